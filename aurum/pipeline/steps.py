"""The pipelines' steps, as Triton's Python backend wants them. Only importable inside Triton."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np

from aurum.pipeline import find, request, triton
from aurum.pipeline.embed import embed_crops
from aurum.pipeline.judge import judge
from aurum.pipeline.look import Models
from aurum.pipeline.record import Record
from aurum.pipeline.versions import Versions
from aurum.settings import Settings


class EachFace:
    """photo -> each of its faces."""

    find = staticmethod(find.find_faces)
    pipelines: tuple[str, ...] = ("detect_faces", "analyze_faces")

    def initialize(self, args: dict[str, str]) -> None:
        """Read the settings once. Triton calls this when it loads the model."""
        self.settings = Settings.from_env()
        self.versions = Versions(self.settings.rollout)
        self.step = triton.Step(self, self.settings)

    def execute(self, requests: list[Any]) -> None:
        """Hand the requests to the step's threads."""
        self.step.execute(requests)

    def finalize(self) -> None:
        """Finish what was accepted. Triton calls this when it unloads the model."""
        self.step.close()

    def pipeline(self, call: Any) -> str:
        """The pipeline that a request came through, told by what it asks for."""
        return self.pipelines["embeddings" in call.requested_output_names()]

    def answer(self, call: Any, record: Record) -> triton.Answer:
        """One photo; its faces are embedded and judged where the ensemble asks for that."""
        options = request.parse_options(triton.parameters_of(call), self.settings)
        versions = self.versions.now()  # the whole answer comes from one release
        models = Models(
            record.watch(partial(triton.detect, versions)),
            partial(triton.refine, versions),
            partial(triton.embed, versions),
        )
        found = self.find(triton.image_of(call), options, self.settings, models)
        record.faces = len(found.faces.scores)
        outputs = {
            "boxes": found.faces.boxes,
            "landmarks": found.faces.landmarks,
            "scores": found.faces.scores,
            "rotations": found.faces.rotations,
            "complete": np.array([found.complete]),
            "image_size": found.image_size,
        }
        embedder = b""
        wanted = call.requested_output_names()
        if "embeddings" in wanted:
            crops = found.crops()
            embedded = embed_crops(crops, models.embed)
            embedder = embedded.embedder
            outputs["embeddings"] = embedded.embeddings
            outputs["calibration"] = embedded.calibration
            if "quality" in wanted:
                outputs["quality"], outputs["quality_parts"] = judge(found, crops, embedded)
                record.quality = outputs["quality"].tolist()
        outputs["models"] = np.array([found.detector, embedder], np.object_)
        return outputs


class LargestFace(EachFace):
    """photo of one face, or an aligned crop -> the largest face."""

    find = staticmethod(find.find_face)
    pipelines = ("embed_face", "embed_face")
