"""Draw detected faces on photos."""

# ruff: noqa: PLC0415 - OpenCV and numpy are imported only where needed, for a fast start

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from aurum import errors
from aurum.cli import USAGE, CommandError
from aurum.errors import OperatorError
from aurum.settings import Settings

if TYPE_CHECKING:
    import numpy as np
    from aurum_client import Faces
    from numpy.typing import NDArray

# RGB. Left and right are as seen in the image when the face is upright.
BOX = (0, 255, 0)
LEFT = (255, 140, 0)  # orange
RIGHT = (0, 170, 255)  # blue
NOSE = (255, 255, 0)
LANDMARKS = (LEFT, RIGHT, NOSE, LEFT, RIGHT)
# Direction of the top of a face in the photo, by its rotation: x, y.
TOPS = {90: (-1, 0), 180: (0, 1), 270: (1, 0)}

KEPT_SUFFIXES = (".jpg", ".jpeg", ".png")  # drawings of other formats are .jpg files


class DrawError(OperatorError):
    """The photo could not be decoded locally, or its drawing could not be written."""


def targets(photos: Sequence[Path], folder: Path) -> dict[Path, Path]:
    """Choose the file for each photo's drawing, and create `folder`.

    A drawing is named after its photo; if the name is taken, ``-2``, ``-3`` and so on is appended.
    Raises CommandError if a drawing would replace one of the photos, or if `folder` can't be
    created.
    """
    names: dict[Path, Path] = {}
    taken: set[str] = set()
    for photo in photos:
        suffix = photo.suffix if photo.suffix.lower() in KEPT_SUFFIXES else ".jpg"
        name, number = photo.stem + suffix, 1
        while name.lower() in taken:  # on some file systems a.jpg and A.jpg are the same file
            number += 1
            name = f"{photo.stem}-{number}{suffix}"
        taken.add(name.lower())
        names[photo] = folder / name
    originals = {photo.resolve() for photo in photos}
    for target in names.values():
        if target.resolve() in originals:
            raise CommandError(USAGE, f"--draw {folder}: the drawing would replace {target}")
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise CommandError(USAGE, f"--draw {folder}: {error.strerror}") from error
    return names


def save(path: Path, faces: Faces, target: Path, settings: Settings) -> None:
    """Write a copy of the photo with its faces marked. Raises DrawError."""
    import cv2

    from aurum.imaging.decoding.decode import decode
    from aurum.imaging.decoding.refusal import InvalidImageError

    most = max(settings.max_image_pixels, settings.max_jpeg_pixels)
    try:
        photo = decode(path.read_bytes(), settings.max_image_bytes, most)
        marked = cv2.cvtColor(mark(photo, faces), cv2.COLOR_RGB2BGR)
        target.write_bytes(cv2.imencode(target.suffix, marked)[1].tobytes())
    except InvalidImageError as error:
        raise DrawError(f"cannot draw {target}: {error}") from error
    except OSError as error:
        raise DrawError(f"cannot draw {target}: {errors.text(error)}") from error


def mark(photo: NDArray[np.uint8], faces: Faces) -> NDArray[np.uint8]:
    """Return a copy of the RGB photo with the faces' boxes, landmarks and scores.

    An arrow points to the top of a face that is not upright.
    """
    import cv2

    marked = photo.copy()
    for face in faces:
        # Sizes are proportional to the face, so that small faces in a crowd stay visible.
        line = max(1, round(face.bbox.width / 100))  # pixels
        dot = max(1, round(face.bbox.width / 40))  # pixels
        scale = max(0.25, face.bbox.width / 90)  # font scale; a score is 75 x 22 pixels at 1
        left, top = round(face.bbox.x), round(face.bbox.y)
        right, bottom = round(face.bbox.x + face.bbox.width), round(face.bbox.y + face.bbox.height)
        cv2.rectangle(marked, (left, top), (right, bottom), BOX, line)
        if face.rotation:
            x, y = TOPS[face.rotation]
            middle = (left + right) // 2, (top + bottom) // 2
            end = middle[0] + x * (right - left) // 2, middle[1] + y * (bottom - top) // 2
            cv2.arrowedLine(marked, middle, end, BOX, line, cv2.LINE_AA, tipLength=0.3)
        for (x, y), colour in zip(face.landmarks.tolist(), LANDMARKS, strict=True):
            cv2.circle(marked, (round(x), round(y)), dot, colour, cv2.FILLED, cv2.LINE_AA)
        # Above the box, but always inside the photo.
        place = (max(left, 0), max(top - 2 * line, round(22 * scale)))
        text = f"{face.score:.2f}"
        cv2.putText(marked, text, place, cv2.FONT_HERSHEY_SIMPLEX, scale, BOX, line, cv2.LINE_AA)
    return marked
