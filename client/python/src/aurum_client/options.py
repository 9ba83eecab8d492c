"""The options of the calls, and the request parameters that they become.

In all of them None leaves the choice to the server, which also checks their ranges and answers
with InvalidRequestError.
"""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any, TypeAlias, TypedDict

import numpy as np

Parameters: TypeAlias = dict[str, float | int | bool | str]


class LookOptions(TypedDict, total=False):
    """How a photo is looked at: options of every call that takes photos."""

    min_confidence: float | None
    """The least score of a face, 0 to 1."""
    detection_size: int | None
    """The long side, in pixels, that the photo is shrunk to for detection."""
    orientation: str | None
    """``"auto"``, so that a photo without an upright face is looked at turned by 90, 180 and 270
    degrees, too, or ``"exif"``, upright as its EXIF says."""
    refine: bool | None
    """Look once more at each of the 256 largest faces, which makes their landmarks, and so the
    embeddings, steadier."""
    tiles: int | None
    """For crowds, look at this many overlapping parts of the photo besides the whole, each at
    ``detection_size``, 0 to 16."""


class DetectOptions(LookOptions, total=False):
    """Options of ``detect``."""

    max_faces: int | None
    """At most this many faces, the largest."""


class AnalyzeOptions(DetectOptions, total=False):
    """Options of ``analyze`` and ``analyze_many``."""

    min_quality: float | None
    """Leave out faces of a lower quality, 0 to 1; ``max_faces`` goes first."""


class EmbedOptions(LookOptions, total=False):
    """Options of ``embed`` and ``compare``."""

    min_quality: float | None
    """Refuse a face of a lower quality, 0 to 1, with LowQualityError."""


def build_parameters(kind: type[Any], options: Any) -> Parameters:
    """Return the request parameters of a call whose options are those of ``kind``.

    Types are settled here, as numpy's scalars are neither JSON nor gRPC parameters.

    Raises:
        TypeError, ValueError: an option is unknown or not of its kind.
    """
    for name in options:
        if name not in kind.__optional_keys__:
            known = ", ".join(sorted(kind.__optional_keys__))
            raise TypeError(f"there is no option {name!r} here, but {known}")
    return {
        name: _SETTLED[name](name, value) for name, value in options.items() if value is not None
    }


def _number(name: str, value: Any) -> float:
    return float(value)


def _integer(name: str, value: Any) -> int:
    return operator.index(value)


def _text(name: str, value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError(f"{name} must be text, not {type(value).__name__}")
    return str(value)


def _truth(name: str, value: Any) -> bool:
    if not isinstance(value, bool | np.bool_):
        raise TypeError(f"{name} must be True or False, not {type(value).__name__}")
    return bool(value)


_SETTLED: dict[str, Callable[[str, Any], float | int | bool | str]] = {
    "min_confidence": _number,
    "max_faces": _integer,
    "min_quality": _number,
    "detection_size": _integer,
    "orientation": _text,
    "refine": _truth,
    "tiles": _integer,
}
