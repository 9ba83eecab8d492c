"""The public contract: names, datatypes, shapes, error codes and limits, each defined once.

Tests hold the served configurations, both clients and docs/reference/contract.md to it.
"""

from __future__ import annotations

from typing import NamedTuple

# --- what Triton serves, by folder ---

REPOSITORIES = ("model_repository", "python_backends", "ensembles")

DETECTION = "face_detection"
LANDMARKS = "face_landmarks"
EMBEDDING = "face_embedding"
MODELS = (DETECTION, LANDMARKS, EMBEDDING)
LIVENESS = "face_liveness"  # served in addition with AURUM_LIVENESS=1

DETECT_FACES = "detect_faces"
EMBED_FACE = "embed_face"
ANALYZE_FACES = "analyze_faces"
PIPELINES = (DETECT_FACES, EMBED_FACE, ANALYZE_FACES)
STEP = "each_face"  # does the work of all pipelines

# --- dimensions ---

LANDMARK_COUNT = 5
EMBEDDING_SIZE = 512
CALIBRATION_SIZE = 6  # thresholds at FAR 1e-2, 1e-3 and 1e-4; slope, intercept, prior
CROP_SIDE = 112  # pixels, of an aligned crop
SECOND_LOOK_SIDE = 96  # pixels, of the crops of face_landmarks
LIVENESS_SIDE = 80  # pixels, of the crops of face_liveness
STRIDE = 32  # pixels; sides of the detector's input are multiples of it
MAX_SIDE = 4096  # pixels, of the detector's input
MAX_TILES = 16
# Requests that may wait before the step: the gateway's default limits, over both protocols.
MAX_QUEUED = 128
QUALITY_PARTS = (
    "resolution", "sharpness", "noise", "exposure", "contrast", "yaw", "pitch", "roll",
    "frontality", "symmetry", "visibility", "misfit", "border_cut", "confidence", "norm",
    "recognizability",
)  # fmt: skip
LIVE_FROM = 0.5  # lowest `liveness` of a face that counts as live (docs/guides/liveness.md)
RECOGNIZABLE = -1  # in `gate`; other values are columns of `quality_parts`


# --- tensors ---


class Tensor(NamedTuple):
    """A datatype of the KServe v2 protocol, and a shape: -1 is the number of faces or any size."""

    datatype: str
    shape: tuple[int, ...]


INPUT = "image"
_FACES = {
    "boxes": Tensor("FP32", (-1, 4)),
    "landmarks": Tensor("FP32", (-1, LANDMARK_COUNT, 2)),
    "scores": Tensor("FP32", (-1,)),
    "rotations": Tensor("INT32", (-1,)),
    "complete": Tensor("BOOL", (1,)),
    "image_size": Tensor("INT32", (2,)),
    "models": Tensor("BYTES", (2,)),
}
_EMBEDDED = {
    "embeddings": Tensor("FP32", (-1, EMBEDDING_SIZE)),
    "quality": Tensor("FP32", (-1,)),
    "quality_parts": Tensor("FP32", (-1, len(QUALITY_PARTS))),
    "gate": Tensor("INT32", (-1,)),
    "calibration": Tensor("FP32", (-1,)),
    "liveness": Tensor("FP32", (-1,)),
}
OUTPUTS = {
    DETECT_FACES: _FACES,
    EMBED_FACE: _FACES | _EMBEDDED,
    ANALYZE_FACES: _FACES | _EMBEDDED,
}
# Without the batch's dimension.
MODEL_INPUTS = {
    DETECTION: {"images": Tensor("UINT8", (3, -1, -1))},
    LANDMARKS: {"crops": Tensor("UINT8", (SECOND_LOOK_SIDE, SECOND_LOOK_SIDE, 3))},
    EMBEDDING: {"crops": Tensor("UINT8", (CROP_SIDE, CROP_SIDE, 3))},
    # Named after the sizes of the surroundings: 2.7 and 4.0 times the face's box.
    LIVENESS: {
        "crops27": Tensor("UINT8", (LIVENESS_SIDE, LIVENESS_SIDE, 3)),
        "crops40": Tensor("UINT8", (LIVENESS_SIDE, LIVENESS_SIDE, 3)),
    },
}
MODEL_OUTPUTS = {
    DETECTION: {
        "boxes": Tensor("FP32", (-1, 4)),
        "landmarks": Tensor("FP32", (-1, LANDMARK_COUNT, 2)),
        "scores": Tensor("FP32", (-1,)),
        "upright": Tensor("FP32", (1,)),
        "model": Tensor("BYTES", (1,)),
    },
    LANDMARKS: {
        "landmarks": Tensor("FP32", (LANDMARK_COUNT, 2)),
        "scores": Tensor("FP32", (1,)),
        "model": Tensor("BYTES", (1,)),
    },
    EMBEDDING: {
        "embedding": Tensor("FP32", (EMBEDDING_SIZE,)),
        "norm": Tensor("FP32", (1,)),
        "model": Tensor("BYTES", (1,)),
        "calibration": Tensor("FP32", (CALIBRATION_SIZE,)),
    },
    LIVENESS: {"liveness": Tensor("FP32", (1,)), "model": Tensor("BYTES", (1,))},
}

# --- parameters ---

PARAMETERS = (
    "min_confidence", "max_faces", "detection_size", "aligned", "orientation", "refine", "tiles",
    "min_quality",
)  # fmt: skip
ORIENTATIONS = ("auto", "exif")

# --- how a request can end ---

# By the sender's doing ...
CLIENT_FAULTS = (
    "invalid_image", "invalid_parameter", "no_face", "low_quality", "not_aligned", "cancelled",
)  # fmt: skip
# ... and by the service's: it stops, a model gave an error, a bug of ours.
SERVER_FAULTS = ("unavailable", "model", "internal")
# Why an image is invalid, for metrics and logs.
INVALID_IMAGE_REASONS = (
    "empty", "too_many_bytes", "too_many_pixels", "too_much_memory", "too_much_time",
    "not_an_image", "other_format", "animated", "damaged", "bad_base64",
)  # fmt: skip
