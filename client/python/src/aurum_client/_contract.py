"""The wire contract as plain constants: model names, sizes, special values and error codes."""

from __future__ import annotations

DETECTOR = "face_detection"
EMBEDDER = "face_embedding"
DETECT = "detect_faces"
EMBED = "embed_face"
ANALYZE = "analyze_faces"
PUBLIC_MODELS = (DETECTOR, EMBEDDER, DETECT, EMBED, ANALYZE)

LANDMARKS = 5  # points per face
EMBEDDING_SIZE = 512
CALIBRATION_SIZE = 6  # three thresholds, slope, intercept, prior
ALIGNED_SIDE = 112  # pixels, width and height of an aligned crop
LIVE_FROM = 0.5  # the lowest `liveness` of a face that counts as live
RECOGNIZABLE = -1  # in `gate`; any other value is the `quality_parts` column of the defect

# The codes that map to an error class of their own.
INVALID_IMAGE = "invalid_image"
INVALID_PARAMETER = "invalid_parameter"
NO_FACE = "no_face"
LOW_QUALITY = "low_quality"
NOT_FOUND = "not_found"
UNAVAILABLE = "unavailable"
RATE_LIMITED = "rate_limited"  # the gateway's
