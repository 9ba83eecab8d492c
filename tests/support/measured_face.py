"""The astronaut's face, and its quality after a change."""

import images
import numpy as np

from aurum.imaging.align import align
from aurum.quality.parts import PARTS, quality_parts

# What the default detector finds in images.photo().
BOX = np.array([[114.3, 63.0, 90.2, 112.4]], np.float32)
LANDMARKS = np.array(
    [[[136.2, 101.7], [182.8, 102.4], [156.0, 124.2], [134.8, 142.4], [175.5, 143.3]]], np.float32
)
SIZE = (images.WIDTH, images.HEIGHT)


def measured(photo=None, landmarks=LANDMARKS, box=BOX, score=0.9, norms=None, crops=None, **more):
    """The quality parts of one face by name."""
    photo = images.photo() if photo is None else photo
    crops = align(photo, box, landmarks) if crops is None else crops
    size = (photo.shape[1], photo.shape[0])
    scores = np.array([score], np.float32)
    row = quality_parts(size, crops, box, landmarks, scores, norms, **more)[0]
    return dict(zip(PARTS, row.tolist(), strict=True))


def of_crop(change):
    """The parts of the astronaut's crop after `change`, a function on float pixels."""
    crop = align(images.photo(), BOX, LANDMARKS)[0]
    changed = np.clip(np.rint(change(crop.astype(float))), 0, 255).astype(np.uint8)
    return measured(crops=changed[None])
