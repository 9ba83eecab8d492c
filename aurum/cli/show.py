"""Format the service's answers as JSON records and as text."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from aurum.cli import print_stderr

if TYPE_CHECKING:
    from aurum_client import Comparison, Embedding, Face, Faces, ModelIds

LANDMARKS = ("image_left_eye", "image_right_eye", "nose", "image_left_mouth", "image_right_mouth")
SHOWN = 4  # numbers of an embedding in the text
DIGITS = 4  # decimals of coordinates in pixels and of scores

Record = dict[str, Any]


def print_json(record: Record) -> None:
    """Print the record on one line and flush, for readers at the other end of a pipe."""
    print(json.dumps(record), flush=True)


def print_failure(path: Path, error: Exception, as_json: bool) -> None:
    """Report on stderr, and as a JSON line, why there is no answer for a photo."""
    print_stderr(f"{path}: {error}")
    if as_json:
        reason = {
            "code": getattr(error, "code", None),
            "type": type(error).__name__,
            "message": str(error),
        }
        print_json({"path": str(path), "error": reason})


def faces_record(faces: Faces) -> Record:
    """Return the record of a photo's faces, without the photo's path."""
    return {
        "image_size": list(faces.image_size),
        "faces": [_face_record(face) for face in faces],
        "complete": faces.complete,
        "models": _models_record(faces.models),
    }


def embedding_record(embedding: Embedding) -> Record:
    """Return the record of a photo's embedding, without the photo's path."""
    return {
        "image_size": list(embedding.image_size),
        "face": _judged_record(embedding),
        "embedding": embedding.vector.tolist(),
        "complete": embedding.complete,
        "models": _models_record(embedding.models),
    }


def comparison_record(paths: Sequence[Path], comparison: Comparison) -> Record:
    """Return the record of a comparison; the keys `a` and `b` are the two photos."""
    sides = {
        name: {
            "path": str(path),
            "image_size": list(side.image_size),
            "face": _judged_record(side),
            "complete": side.complete,
        }
        for name, path, side in zip("ab", paths, (comparison.a, comparison.b), strict=True)
    }
    models = _models_record(comparison.a.models)
    decision = {
        name: getattr(comparison, name)
        for name in (
            *("similarity", "far", "threshold", "match", "probability"),
            *("decision", "reason", "gated"),
        )
    }
    return {**decision, **sides, "models": models}


def _face_record(face: Face) -> Record:
    box = face.bbox
    sides = {"x": box.x, "y": box.y, "width": box.width, "height": box.height}
    return {
        "bbox": {name: round(value, DIGITS) for name, value in sides.items()},
        "landmarks": {
            name: {"x": round(x, DIGITS), "y": round(y, DIGITS)}
            for name, (x, y) in zip(LANDMARKS, face.landmarks.tolist(), strict=True)
        },
        "score": round(face.score, DIGITS),
        "rotation": face.rotation,
    }


def _judged_record(embedding: Embedding) -> Record:
    parts = embedding.quality_parts
    return {
        **_face_record(embedding.face),
        "quality": embedding.quality,
        "quality_calibrated": embedding.quality_calibrated,
        "quality_parts": parts and parts._asdict(),
        "recognizable": embedding.recognizable,
        "defect": embedding.defect,
        "liveness_score": embedding.liveness_score,
        "is_live": embedding.is_live,
    }


def _models_record(models: ModelIds) -> Record:
    return {"detector": models.detector, "embedder": models.embedder}


def faces_text(path: Path, faces: Faces, *, more: bool) -> str:
    """Return a line for the photo and one per face; `more` adds a hint that some may be missing."""
    width, height = faces.image_size
    number = "1 face" if len(faces) == 1 else f"{len(faces)} faces"
    lines = [f"  {index:>2}  {_face_text(face)}" for index, face in enumerate(faces, start=1)]
    if more:
        lines.append("  more may be found with a larger --detection-size or more --tiles")
    return "\n".join([f"{path}: {number} in {width}x{height}", *lines])


def embedding_text(path: Path, embedding: Embedding) -> str:
    """Return one line: the first numbers, the norm, the quality and the model."""
    numbers = " ".join(f"{number:+.4f}" for number in embedding.vector[:SHOWN].tolist())
    norm = float((embedding.vector**2).sum()) ** 0.5
    return (
        f"{path}: [{numbers} ...] norm {norm:.4f}{_quality_text(embedding)}  "
        f"{embedding.models.embedder}"
    )


def comparison_text(paths: Sequence[Path], comparison: Comparison) -> str:
    """Return a line for the similarity, one for each face, and one for the models."""
    sides = zip(paths, (comparison.a, comparison.b), strict=True)
    models = comparison.a.models
    return "\n".join(
        [
            f"similarity {comparison.similarity:.4f}: {_decision_text(comparison)}",
            *(f"  {_face_text(side.face)}{_quality_text(side)}  {path}" for path, side in sides),
            f"  detector {models.detector}, embedder {models.embedder}",
        ]
    )


def _quality_text(embedding: Embedding) -> str:
    if embedding.quality is None:
        return ""
    order = "" if embedding.quality_calibrated else " (only an order)"
    defect = f", not recognizable: {embedding.defect}" if embedding.defect else ""
    return f"  quality {embedding.quality:.2f}{order}{defect}"


def _decision_text(comparison: Comparison) -> str:
    if comparison.decision == "not recognizable":
        return f"no decision, as a face is not recognizable ({comparison.reason})"
    if comparison.threshold is None or comparison.probability is None:
        return "uncalibrated, so no decision (see `aurum models calibrate --help`)"
    persons = "one person's" if comparison.match else "two persons'"
    return (
        f"{persons} at FAR {comparison.far:g} (threshold {comparison.threshold:.4f}), "
        f"probability {comparison.probability:.2%}"
    )


def _face_text(face: Face) -> str:
    box = face.bbox
    turned = f"  turned {face.rotation}" if face.rotation else ""
    return (
        f"score {face.score:.2f}  at {box.x:.0f},{box.y:.0f}  "
        f"size {box.width:.0f}x{box.height:.0f}{turned}"
    )
