"""The pipelines' steps, as Triton's Python backend wants them. Only importable inside Triton."""

from __future__ import annotations

from typing import Any

import numpy as np
import triton_python_backend_utils as pb_utils

from aurum.pipeline import embed, find, request, triton
from aurum.settings import Settings


class StepModel:
    """What all steps share; `answer` is each one's own."""

    def initialize(self, args: dict[str, str]) -> None:
        """Read the settings once. Triton calls this when it loads the model."""
        self.settings = Settings.from_env()
        self.step = triton.Step(self.answer, self.settings)

    def execute(self, requests: list[Any]) -> None:
        """Hand the requests to the step's threads."""
        self.step.execute(requests)

    def finalize(self) -> None:
        """Finish what was accepted. Triton calls this when it unloads the model."""
        self.step.close()

    def answer(self, call: Any) -> triton.Answer:
        """The outputs for one request, by name."""
        raise NotImplementedError


class FindFaces(StepModel):
    """photo -> all its faces and their aligned crops."""

    find = staticmethod(find.find_faces)

    def answer(self, call: Any) -> triton.Answer:
        """One photo."""
        options = request.parse_options(call.parameters(), self.settings)
        found = self.find(triton.image_of(call), options, self.settings, triton.detect)
        outputs = {
            "boxes": found.faces.boxes,
            "landmarks": found.faces.landmarks,
            "scores": found.faces.scores,
            "image_size": found.image_size,
            "models": np.array([found.detector, b""], np.object_),
        }
        if "crops" in call.requested_output_names():
            outputs["crops"] = found.crops()
        return outputs


class FindFace(FindFaces):
    """photo of one face, or an aligned crop -> the largest face and its crop."""

    find = staticmethod(find.find_face)


class EmbedCrops(StepModel):
    """aligned crops, any number of them -> embeddings."""

    def answer(self, call: Any) -> triton.Answer:
        """The crops of one photo."""
        crops = pb_utils.get_input_tensor_by_name(call, "crops").as_numpy()
        found_by = pb_utils.get_input_tensor_by_name(call, "found_by").as_numpy()
        embeddings, embedder = embed.embed_crops(crops, triton.embed)
        return {
            "embeddings": embeddings,
            "models": np.array([found_by[0], embedder], np.object_),
        }
