"""The steps `each_face` and `largest_face`. Only importable inside Triton."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from aurum import contract
from aurum.pipeline import request
from aurum.pipeline.assessment import QualityAssessment, assess_quality, low_quality_error
from aurum.pipeline.call import Call
from aurum.pipeline.embed import embed_crops
from aurum.pipeline.find import DetectedFaces, find_face, find_faces
from aurum.pipeline.liveness import UNKNOWN, score_liveness
from aurum.pipeline.memory_budget import Admit, MemoryBudget
from aurum.pipeline.models import judge_liveness, models_of_release
from aurum.pipeline.step import Answer, Step
from aurum.releases.active import Versions
from aurum.telemetry.record import Record
from aurum.telemetry.traces import TRACES


class EachFace(Step):
    """The step behind `detect_faces` and `analyze_faces`: photo -> all of its faces."""

    find = staticmethod(find_faces)
    pipelines: tuple[str, ...] = (contract.DETECT_FACES, contract.ANALYZE_FACES)

    def initialize(self, args: dict[str, str]) -> None:
        """Read the settings and start the threads. Triton calls this when it loads the model."""
        super().initialize(args)
        self.versions = Versions(self.settings.rollout)
        self.budget = MemoryBudget(self.settings.pipeline_memory)

    def pipeline(self, call: Call) -> str:
        """Tell the pipeline from the outputs that the request asks for."""
        return self.pipelines["embeddings" in call.requested]

    def answer(self, call: Call, record: Record) -> Answer:
        """Find a photo's faces; embed them and assess their quality if embeddings are requested."""
        with self.budget.reserve() as admit:
            return self._faces(call, record, partial(call.wait_for_memory, admit))

    def _faces(self, call: Call, record: Record, admit: Admit) -> Answer:
        wanted = call.requested
        options = request.parse_options(
            call.parameters, self.settings, with_quality="embeddings" in wanted
        )
        versions = self.versions.now()  # the whole answer comes from one release
        models = models_of_release(versions, record)
        found = self.find(call.image, options, self.settings, models, admit)
        embedder = b""
        outputs: dict[str, NDArray[Any]] = {}
        if "embeddings" in wanted:
            with TRACES.span("align"):
                crops = found.crops()
            with TRACES.span("embed"):
                embedded = embed_crops(crops, models.embed)
            embedder = embedded.embedder
            with TRACES.span("quality"):
                assessment = assess_quality(found, crops, embedded)
            record.quality = assessment.quality.tolist()
            kept = self.keep(found, assessment, embedder, options.min_quality)
            found = found._replace(faces=found.faces.take(kept))
            outputs = {
                "embeddings": embedded.embeddings[kept],
                "quality": assessment.quality[kept],
                "quality_parts": assessment.parts[kept],
                "gate": assessment.gate[kept] if len(assessment.gate) else assessment.gate,
                "calibration": embedded.calibration,
            }
        if "liveness" in wanted:
            outputs["liveness"] = self._liveness(found, versions)
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

    def _liveness(self, found: DetectedFaces, versions: Mapping[str, int]) -> NDArray[np.float32]:
        """Return the faces' liveness [F]; [0] if the model isn't served."""
        if not self.settings.liveness:
            return UNKNOWN
        with TRACES.span("liveness"):
            return score_liveness(found, partial(judge_liveness, versions))

    def keep(
        self, found: DetectedFaces, assessment: QualityAssessment, embedder: bytes, least: float
    ) -> NDArray[np.intp]:
        """Return the indices of the faces with at least the quality `least`."""
        return np.flatnonzero(assessment.quality >= least)


class LargestFace(EachFace):
    """The step behind `embed_face`: photo of one person, or an aligned crop -> its largest face."""

    find = staticmethod(find_face)
    pipelines = (contract.EMBED_FACE, contract.EMBED_FACE)

    def keep(
        self, found: DetectedFaces, assessment: QualityAssessment, embedder: bytes, least: float
    ) -> NDArray[np.intp]:
        """Return the index of the only face; RequestError (``low_quality``) if below `least`."""
        if assessment.quality[0] < least:
            raise low_quality_error(assessment, int(found.faces.rotations[0]), embedder, least)
        return np.arange(1)
