"""Reference answers of the upstream models, independent of the service's code.

These are OpenCV's FaceDetectorYN, and onnxruntime on the upstream graphs with decoding in plain
NumPy (`aurum.models.families.reference`), OpenCV's NMS and scikit-image's alignment.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray
from skimage.transform import SimilarityTransform

from aurum.evaluation import ValidationError
from aurum.evaluation.target import Target
from aurum.imaging.align import TEMPLATE
from aurum.models import manifest, pull
from aurum.models.families import reference
from aurum.settings import Settings

OPENCV_FILE = "face_detection_yunet_2023mar.onnx"
CELL = 32  # pixels; sides of a detector's input are multiples of it


class Reference(NamedTuple):
    """Faces of one photo: boxes [F,4], landmarks [F,5,2], embeddings [F,512] (or [F,0])."""

    boxes: NDArray[np.float32]
    landmarks: NDArray[np.float32]
    embeddings: NDArray[np.float32]


class Upstream:
    """The upstream graphs of the models that the service reports."""

    def __init__(self, target: Target) -> None:
        self._settings = target.settings
        by_id = {model.id: model for model in manifest.load().models.values() if model.id}
        try:
            self._entries = [by_id[name] for name in (target.detector, target.embedder)]
        except KeyError as error:
            raise ValidationError(f"{error.args[0]} is not in the manifest") from None
        self._detector, self._embedder = (
            ort.InferenceSession(str(pull.pull(entry, self._settings))) for entry in self._entries
        )

    def __call__(self, photo: NDArray[np.uint8]) -> Reference:
        """Detect and embed the faces of an RGB photo no larger than the detection size."""
        height, width = photo.shape[:2]
        padded = cv2.copyMakeBorder(
            photo, 0, -height % CELL, 0, -width % CELL, cv2.BORDER_CONSTANT, value=(0, 0, 0)
        )
        found = reference.detect(self._detector, self._entries[0], padded)  # type: ignore[arg-type]
        sure = found["scores"] >= self._settings.min_confidence
        boxes, points = found["boxes"][sure], found["landmarks"][sure]
        kept = cv2.dnn.NMSBoxes(
            boxes,  # type: ignore[arg-type]
            found["scores"][sure],  # type: ignore[arg-type]
            0.0,
            self._settings.nms_iou,
        )
        order = np.asarray(kept, np.intp).reshape(-1)
        scores = found["scores"][sure]
        means = [_mean(points, scores, boxes[index], points[index]) for index in order]
        points = np.array(means, np.float32).reshape(-1, 5, 2)
        crops = [_crop(photo, face) for face in points]
        embeddings = np.empty((0, 512), np.float32)
        if crops:
            embeddings = reference.embed(self._embedder, self._entries[1], np.stack(crops))
        return Reference(boxes[order], points, embeddings)


def _mean(
    points: NDArray[np.float32],
    scores: NDArray[np.float32],
    box: NDArray[np.float32],
    best: NDArray[np.float32],
) -> NDArray[np.float64]:
    """Compute a face's landmarks like the service: the candidates' mean weighted by score ** 8."""
    near = np.abs(points - best).max(axis=(1, 2)) < max(box[2:]) / 4
    return np.asarray(np.average(points[near], axis=0, weights=scores[near] ** 8))


def _crop(photo: NDArray[np.uint8], landmarks: NDArray[Any]) -> NDArray[np.uint8]:
    """Align a face to ArcFace's template, by scikit-image's least squares and a bilinear warp."""
    move = SimilarityTransform.from_estimate(landmarks.astype(float), TEMPLATE.astype(float))
    return cv2.warpAffine(photo, move.params[:2], (112, 112))  # type: ignore[return-value]


class OpenCv:
    """FaceDetectorYN with OpenCV Zoo's file of the same weights, from the model mirror."""

    def __init__(self, settings: Settings) -> None:
        path = Path(settings.model_mirror) / OPENCV_FILE
        if not path.is_file():
            raise ValidationError(f"{path} is missing: this needs OpenCV Zoo's file")
        self._net = cv2.FaceDetectorYN.create(
            str(path), "", (320, 320), settings.min_confidence, settings.nms_iou, 5000
        )

    def __call__(self, photo: NDArray[np.uint8]) -> Reference:
        """Detect the faces of an RGB photo; OpenCV pads it to whole cells."""
        self._net.setInputSize((photo.shape[1], photo.shape[0]))
        _, rows = self._net.detect(np.ascontiguousarray(photo[..., ::-1]))
        table = np.zeros((0, 15), np.float32) if rows is None else rows.astype(np.float32)
        # OpenCV takes the best candidate's landmarks, the service a mean, so we don't compare them.
        none = np.empty((len(table), 0), np.float32)
        return Reference(table[:, :4], none, none)
