"""The step `each_face`, which answers all pipelines. Only importable inside Triton."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from aurum import contract
from aurum.pipeline import request
from aurum.pipeline.assessment import assess_quality, low_quality_error
from aurum.pipeline.call import Call
from aurum.pipeline.embed import embed_crops
from aurum.pipeline.find import DetectedFaces, find_face, find_faces
from aurum.pipeline.liveness import UNKNOWN, score_liveness
from aurum.pipeline.look import Models
from aurum.pipeline.memory_budget import Admit, MemoryBudget
from aurum.pipeline.models import judge_liveness, models_of_release
from aurum.pipeline.step import Answer, Step
from aurum.releases.active import Versions
from aurum.settings import Settings
from aurum.telemetry.record import Record
from aurum.telemetry.traces import TRACES


class Pipeline(NamedTuple):
    """What distinguishes one pipeline from the others."""

    find: Callable[[bytes, request.Options, Settings, Models, Admit], DetectedFaces]
    embeddings: str = ""  # the output for embeddings; empty: without embeddings and quality
    needs_face: bool = False  # whether it is an error if no face has the quality `min_quality`


# In this order: a direct request of the step for all of its outputs counts as analyze_faces.
PIPELINES = {
    contract.DETECT_FACES: Pipeline(find_faces),
    contract.ANALYZE_FACES: Pipeline(find_faces, "embeddings"),
    contract.EMBED_FACE: Pipeline(find_face, "largest_embedding", needs_face=True),
}


class EachFace(Step):
    """The step behind all pipelines: photo -> its faces, or its largest face."""

    pipelines = tuple(PIPELINES)

    def initialize(self, args: dict[str, str]) -> None:
        """Read the settings and start the threads. Triton calls this when it loads the model."""
        super().initialize(args)
        self.versions = Versions(self.settings.rollout)
        self.budget = MemoryBudget(self.settings.pipeline_memory)

    def pipeline(self, call: Call) -> str:
        """Tell the pipeline from the output for embeddings that the request asks for."""
        for name, pipeline in PIPELINES.items():
            if pipeline.embeddings in call.requested:
                return name
        return contract.DETECT_FACES

    def answer(self, call: Call, record: Record) -> Answer:
        """Find a photo's faces; embed them and assess their quality if embeddings are requested."""
        with self.budget.reserve() as admit:
            return self._faces(call, record, partial(call.wait_for_memory, admit))

    def _faces(self, call: Call, record: Record, admit: Admit) -> Answer:
        pipeline = PIPELINES[record.pipeline]
        options = request.parse_options(
            call.parameters, self.settings, with_quality=bool(pipeline.embeddings)
        )
        versions = self.versions.now()  # the whole answer comes from one release
        models = models_of_release(versions, record)
        found = pipeline.find(call.image, options, self.settings, models, admit)
        embedder = b""
        outputs: dict[str, NDArray[Any]] = {}
        if pipeline.embeddings:
            with TRACES.span("align"):
                crops = found.crops()
            with TRACES.span("embed"):
                embedded = embed_crops(crops, models.embed)
            embedder = embedded.embedder
            with TRACES.span("quality"):
                assessment = assess_quality(found, crops, embedded)
            record.quality = assessment.quality.tolist()
            kept = np.flatnonzero(assessment.quality >= options.min_quality)
            if pipeline.needs_face and not len(kept):
                raise low_quality_error(
                    assessment, int(found.faces.rotations[0]), embedder, options.min_quality
                )
            found = found._replace(faces=found.faces.take(kept))
            outputs = {
                pipeline.embeddings: embedded.embeddings[kept],
                "quality": assessment.quality[kept],
                "quality_parts": assessment.parts[kept],
                "gate": assessment.gate[kept] if len(assessment.gate) else assessment.gate,
                "calibration": embedded.calibration,
            }
        if "liveness" in call.requested:
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
