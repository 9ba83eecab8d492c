"""The pipelines' steps, as Triton's Python backend wants them. Only importable inside Triton."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from aurum import contract
from aurum.pipeline import request
from aurum.pipeline.assessment import Judged, judge, refusal
from aurum.pipeline.call import Call
from aurum.pipeline.embed import embed_crops
from aurum.pipeline.find import Found, find_face, find_faces
from aurum.pipeline.models import of_release
from aurum.pipeline.room import Admit, Room
from aurum.pipeline.step import Answer, Step
from aurum.releases.active import Versions
from aurum.telemetry.record import Record


class EachFace(Step):
    """photo -> each of its faces."""

    find = staticmethod(find_faces)
    pipelines: tuple[str, ...] = (contract.DETECT_FACES, contract.ANALYZE_FACES)

    def initialize(self, args: dict[str, str]) -> None:
        """Read the settings once. Triton calls this when it loads the model."""
        super().initialize(args)
        self.versions = Versions(self.settings.rollout)
        self.room = Room(self.settings.pipeline_memory)

    def pipeline(self, call: Call) -> str:
        """The pipeline that a request came through, told by what it asks for."""
        return self.pipelines["embeddings" in call.wanted]

    def answer(self, call: Call, record: Record) -> Answer:
        """One photo; its faces are embedded and judged where the ensemble asks for that."""
        with self.room.visit() as admit:
            return self._faces(call, record, partial(call.admitted, admit))

    def _faces(self, call: Call, record: Record, admit: Admit) -> Answer:
        wanted = call.wanted
        options = request.parse_options(
            call.parameters, self.settings, judged="embeddings" in wanted
        )
        versions = self.versions.now()  # the whole answer comes from one release
        models = of_release(versions, record)
        found = self.find(call.image, options, self.settings, models, admit)
        embedder = b""
        outputs: dict[str, NDArray[Any]] = {}
        if "embeddings" in wanted:
            crops = found.crops()
            embedded = embed_crops(crops, models.embed)
            embedder = embedded.embedder
            judged = judge(found, crops, embedded)
            record.quality = judged.quality.tolist()
            kept = self.kept(found, judged, embedder, options.min_quality)
            found = found._replace(faces=found.faces.take(kept))
            outputs = {
                "embeddings": embedded.embeddings[kept],
                "quality": judged.quality[kept],
                "quality_parts": judged.parts[kept],
                "gate": judged.gate[kept] if len(judged.gate) else judged.gate,
                "calibration": embedded.calibration,
            }
        record.faces = len(found.faces.scores)
        return {
            **outputs,
            "boxes": found.faces.boxes,
            "landmarks": found.faces.landmarks,
            "scores": found.faces.scores,
            "rotations": found.faces.rotations,
            "complete": np.array([found.complete]),
            "image_size": found.image_size,
            "models": np.array([found.detector, embedder], np.object_),
        }

    def kept(self, found: Found, judged: Judged, embedder: bytes, least: float) -> NDArray[np.intp]:
        """Which faces to answer with: those of the `least` quality."""
        return np.flatnonzero(judged.quality >= least)


class LargestFace(EachFace):
    """photo of one face, or an aligned crop -> the largest face."""

    find = staticmethod(find_face)
    pipelines = (contract.EMBED_FACE, contract.EMBED_FACE)

    def kept(self, found: Found, judged: Judged, embedder: bytes, least: float) -> NDArray[np.intp]:
        """The only face. Raises RequestError (``low_quality``) where it is not of that quality."""
        if judged.quality[0] < least:
            raise refusal(judged, int(found.faces.rotations[0]), embedder, least)
        return np.arange(1)
