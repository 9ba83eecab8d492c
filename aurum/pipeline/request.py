"""A pipeline request: its photo and its checked parameters."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from aurum.contract import MAX_TILES, ORIENTATIONS, STRIDE
from aurum.settings import Settings

MAX_SHOWN = 500  # characters of the sender's in a message


class RequestError(ValueError):
    """A request that can't be answered, through the fault of whoever sent it.

    ``code`` is stable and machine-readable; clients tell errors apart by it. ``reason`` is a finer
    one, for metrics and logs.
    """

    def __init__(self, code: str, message: str, reason: str = "") -> None:
        super().__init__(f"[{code}] {message}")
        self.code = code
        self.reason = reason


@dataclass(frozen=True)
class Options:
    """The parameters of one request, checked, with the service's defaults filled in."""

    min_confidence: float
    max_faces: int
    detection_size: int
    aligned: bool
    orientation: str  # one of contract.ORIENTATIONS
    refine: bool
    tiles: int
    min_quality: float


def parse_options(parameters: str, settings: Settings, *, judged: bool = True) -> Options:
    """Read Triton's request parameters (a JSON object).

    Numbers may also come as text, because Triton's gRPC parameters have no floats in every client.
    Names that Triton or a proxy adds (``triton_...``, ``x-...``) are left alone; any other name
    that we don't know is an error, since a misspelt option must not be ignored in silence. Where no
    face will be `judged`, none can be chosen by its quality.

    Raises RequestError (``invalid_parameter``) that names the parameter, its value and what is
    allowed.
    """
    given: Mapping[str, Any] = json.loads(parameters) if parameters else {}
    known: dict[str, Callable[[Any], Any]] = {
        "min_confidence": _share,
        "max_faces": _max_faces,
        "detection_size": lambda value: _detection_size(value, settings.max_detection_size),
        "aligned": _boolean,
        "orientation": _orientation,
        "refine": _boolean,
        "tiles": _tiles,
        "min_quality": _share if judged else _not_judged,
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
    for name, value in given.items():
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
    """What a sender wrote, short enough for gRPC, whose errors are headers of 8 KiB at most."""
    return text if len(text) <= MAX_SHOWN else f"{text[:MAX_SHOWN]}..."


def _share(value: Any) -> float:
    number = _number(value)
    if number is None or not 0 <= number <= 1:
        raise ValueError("must be a number from 0 to 1")
    return number


def _not_judged(value: Any) -> float:
    raise ValueError("detect_faces tells no quality; ask analyze_faces or embed_face")


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
