"""A fake detector with prepared answers, and options and photos to use it with."""

import images
import numpy as np

from aurum.imaging.align import SECOND_TEMPLATE
from aurum.imaging.faces import Candidates
from aurum.pipeline.find import find_faces
from aurum.pipeline.look import DetectorOutput, Models
from aurum.pipeline.request import Options
from aurum.settings import Settings

SETTINGS = Settings()
LANDMARKS = np.array([[3, 4], [7, 4], [5, 6], [4, 8], [6, 8]], np.float32) / 10


def options(**changed):
    """Options without looks that the test doesn't ask for."""
    plain = {
        "min_confidence": 0.5,
        "max_faces": 0,
        "detection_size": 512,
        "aligned": False,
        "orientation": "exif",
        "refine": False,
        "tiles": 0,
        "min_quality": 0,
    }
    return Options(**{**plain, **changed})


def faces(*boxes, scores=None):
    """Candidates in the detector's input, each with landmarks inside its box."""
    array = np.array(boxes, np.float32).reshape(-1, 4)
    landmarks = array[:, None, :2] + array[:, None, 2:] * LANDMARKS
    if scores is None:
        scores = np.linspace(0.95, 0.9, len(array))
    return Candidates(array, landmarks.astype(np.float32), np.array(scores, np.float32))


ONE = faces([40, 40, 9, 9])


class Detector:
    """Returns the prepared answers one by one and records the images it was given.

    In `models`, the scores of the second looks come from `second`, in the order of the crops.
    """

    def __init__(self, *looks, upright=0.0, second=()):
        self.looks = list(looks)
        self.upright = upright
        self.second = list(second)
        self.seen = []
        self.crops = 0

    def __call__(self, image):
        self.seen.append(image.copy())
        return DetectorOutput(self.looks.pop(0), f"detector{len(self.seen)}".encode(), self.upright)

    def refine(self, crops):
        self.crops += len(crops)
        scores = np.array([self.second.pop(0) for _ in crops], np.float32)
        return np.stack([SECOND_TEMPLATE + 1] * len(crops)), scores

    @property
    def models(self):
        return Models(self, self.refine, None)

    @property
    def shapes(self):
        return [image.shape[:2] for image in self.seen]


def find(data, wanted, detect, settings=SETTINGS):
    return find_faces(data, wanted, settings, detect.models)


def file(width, height):
    return images.jpeg(width, height)
