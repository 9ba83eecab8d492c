"""Parsing and validation of a request's parameters, and the errors that answer bad requests."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from aurum.contract import MAX_TILES, ORIENTATIONS, STRIDE
from aurum.settings import Settings

# Characters of the sender's text in an error message, which ends up in logs: enough to recognize a
# wrong value, too few for a photo that was sent in the wrong place.
MAX_SHOWN = 80


class RequestError(ValueError):
    """A request that can't be answered because of what the sender sent.

    ``code`` is stable and machine-readable, for clients. ``reason`` is more specific, for metrics
    and logs.
    """

    def __init__(self, code: str, message: str, reason: str = "") -> None:
        super().__init__(f"[{code}] {message}")
        self.code = code
        self.reason = reason


@dataclass(frozen=True)
class Options:
    """The validated parameters of one request, with the service's defaults filled in.

    docs/reference/contract.md describes each.
    """

    min_confidence: float  # lowest detection score of a face, 0..1
    max_faces: int  # 0: all
    detection_size: int  # longest side of the detector's input, pixels; a multiple of 32
    aligned: bool  # the image is an aligned crop already
    orientation: str  # one of contract.ORIENTATIONS
    refine: bool  # whether each face gets a second look
    tiles: int  # 0: chosen by the photo's shape
    min_quality: float  # 0..1


def parse_options(
    parameters: Mapping[str, Any], settings: Settings, *, with_quality: bool = True
) -> Options:
    """Parse and validate Triton's request parameters.

    Numbers may be sent as text, because not every client can send floats as gRPC parameters. Names
    that Triton or a proxy adds (``triton_...``, ``x-...``) are ignored. Any other unknown name is
    an error, so that a misspelled option is never ignored silently.

    Args:
        parameters: values by name, as JSON has them.
        settings: the service's defaults and limits.
        with_quality: whether the pipeline assesses quality; without it `min_quality` is an error.

    Raises:
        RequestError: ``invalid_parameter``; the message has the parameter, its value and what is
            allowed.
    """
    known: dict[str, Callable[[Any], Any]] = {
        "min_confidence": _share,
        "max_faces": _max_faces,
        "detection_size": lambda value: _detection_size(value, settings.max_detection_size),
        "aligned": _boolean,
        "orientation": _orientation,
        "refine": _boolean,
        "tiles": _tiles,
        "min_quality": _share if with_quality else _no_quality,
    }
    values: dict[str, Any] = {
        "min_confidence": settings.min_confidence,
        "max_faces": 0,
        "detection_size": settings.detection_size,
        "aligned": False,
        "orientation": settings.orientation,
        "refine": settings.refine,
        "tiles": 0,
        "min_quality": 0.0,
    }
    for name, value in parameters.items():
        if name in known:
            try:
                values[name] = known[name](value)
            except ValueError as error:
                given_value = shortened(repr(value))
                raise RequestError("invalid_parameter", f"{name}={given_value}: {error}") from None
        elif not name.lower().startswith(("triton_", "x-")):
            allowed = ", ".join(known)
            unknown = shortened(repr(name))
            raise RequestError(
                "invalid_parameter", f"unknown parameter {unknown}; known: {allowed}"
            )
    return Options(**values)


def shortened(text: str) -> str:
    """Cut a sender's text to 80 characters for an error message."""
    return text if len(text) <= MAX_SHOWN else f"{text[: MAX_SHOWN - 3]}..."


def _share(value: Any) -> float:
    number = _number(value)
    if number is None or not 0 <= number <= 1:
        raise ValueError("must be a number from 0 to 1")
    return number


def _no_quality(value: Any) -> float:
    raise ValueError("detect_faces returns no quality; use analyze_faces or embed_face")


def _max_faces(value: Any) -> int:
    number = _number(value)
    if number is None or number != int(number) or number < 0:
        raise ValueError("must be a whole number, 0 (all faces) or more")
    return int(number)


def _detection_size(value: Any, limit: int) -> int:
    number = _number(value)
    if number is None or number % STRIDE or not STRIDE <= number <= limit:
        raise ValueError(
            f"must be a multiple of {STRIDE} from {STRIDE} to {limit} (AURUM_MAX_DETECTION_SIZE)"
        )
    return int(number)


def _orientation(value: Any) -> str:
    if value not in ORIENTATIONS:
        raise ValueError(f"must be one of {', '.join(ORIENTATIONS)}")
    return str(value)


def _tiles(value: Any) -> int:
    number = _number(value)
    if number is None or number != int(number) or not 0 <= number <= MAX_TILES:
        raise ValueError(f"must be a whole number from 0 to {MAX_TILES}")
    return int(number)


def _boolean(value: Any) -> bool:
    if isinstance(value, bool):
        return value
    if isinstance(value, str) and value.lower() in ("true", "false"):
        return value.lower() == "true"
    raise ValueError("must be true or false")


def _number(value: Any) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        number = float(value)
    except (ValueError, OverflowError):
        return None
    return number if math.isfinite(number) else None
