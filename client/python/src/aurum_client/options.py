"""Options of the calls, and their conversion to request parameters.

None selects the server's default. The server also checks the ranges: a value out of range raises
InvalidRequestError.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias, TypedDict

from aurum_client._text import shown
from aurum_client._values import boolean, integer, number, text
from aurum_client.errors import InvalidRequestError

Parameters: TypeAlias = dict[str, float | int | bool | str]


class LookOptions(TypedDict, total=False):
    """Detection options of every call that takes images."""

    min_confidence: float | None
    """Minimum detector score of a face, 0 to 1."""
    detection_size: int | None
    """Long side of the detector's input in pixels, a multiple of 32. Larger values find smaller
    faces and cost more time."""
    orientation: str | None
    """``"auto"``: if no upright face is found, also detect faces in the photo rotated by 90, 180
    and 270 degrees. ``"exif"``: only apply the EXIF orientation."""
    refine: bool | None
    """Run the detector a second time on each of the 256 largest faces, which makes their landmarks,
    and therefore their embeddings, more stable."""
    tiles: int | None
    """Number of overlapping tiles, 0 to 16, in which faces are detected in addition to the whole
    photo, each at ``detection_size``. For crowds of small faces."""


class DetectOptions(LookOptions, total=False):
    """Options of ``detect``."""

    max_faces: int | None
    """Maximum number of faces, the largest first; 0 for all."""


class AnalyzeOptions(DetectOptions, total=False):
    """Options of ``analyze`` and ``analyze_many``."""

    min_quality: float | None
    """Minimum quality, 0 to 1: faces below it are omitted, after ``max_faces`` is applied."""


class EmbedOptions(LookOptions, total=False):
    """Options of ``embed`` and ``compare``."""

    min_quality: float | None
    """Minimum quality, 0 to 1: a face below it raises LowQualityError."""


def build_parameters(kind: type[Any], options: Any) -> Parameters:
    """Return the request parameters for ``options``, which must be options of ``kind``.

    Values are converted to Python's own types: numpy scalars are valid in neither JSON nor gRPC.
    A whole number may be a float, such as 640.0. Options that are None are left out.

    Raises:
        TypeError: an option is unknown or has the wrong type.
        InvalidRequestError: a number is infinite, NaN or of more than 64 bits, or text is not valid
            Unicode.
    """
    for name in options:
        if name not in kind.__optional_keys__:
            known = ", ".join(sorted(kind.__optional_keys__))
            raise TypeError(f"there is no option {shown(name)}; known: {known}")
    given = {name: value for name, value in options.items() if value is not None}
    try:
        return {name: _CONVERTERS[name](name, value) for name, value in given.items()}
    except ValueError as error:  # of the right type, but cannot be sent
        raise InvalidRequestError(str(error)) from error


_CONVERTERS: dict[str, Callable[[str, Any], float | int | bool | str]] = {
    "min_confidence": number,
    "max_faces": integer,
    "min_quality": number,
    "detection_size": integer,
    "orientation": text,
    "refine": boolean,
    "tiles": integer,
}
