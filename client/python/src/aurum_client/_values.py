"""Conversion of a caller's values to Python's own types, with errors that name the argument."""

from __future__ import annotations

import math
import operator
from typing import Any, NoReturn

import numpy as np

from aurum_client._text import shown

_INT64 = 2**63  # the range of an integer parameter in gRPC


def _refuse(name: str, value: Any, allowed: str) -> NoReturn:
    raise TypeError(f"{name}={shown(value)} must be {allowed}")


def number(name: str, value: Any) -> float:
    """Return a number as a finite float; TypeError or ValueError, by ``name``, for all else."""
    if isinstance(value, str | bytes | bytearray | bool | np.bool_):
        _refuse(name, value, "a number")
    try:
        converted = float(value)
    except (TypeError, ValueError, OverflowError):
        _refuse(name, value, "a number")
    if not math.isfinite(converted):
        raise ValueError(f"{name}={converted} must be a finite number")
    return converted


def integer(name: str, value: Any) -> int:
    """Return a whole number, such as 640 or 640.0, as an int; otherwise as :func:`number`."""
    if isinstance(value, bool | np.bool_):
        _refuse(name, value, "a whole number")
    try:
        converted = operator.index(value)
    except TypeError:
        if not isinstance(value, float | np.floating) or not float(value).is_integer():
            _refuse(name, value, "a whole number")
        converted = int(value)
    if not -_INT64 <= converted < _INT64:
        raise ValueError(f"{name}={shown(value)} must fit into 64 bits")
    return converted


def text(name: str, value: Any) -> str:
    """Return text as a str; TypeError or ValueError, by ``name``, for all else."""
    if not isinstance(value, str):
        _refuse(name, value, "text")
    try:
        value.encode()
    except UnicodeEncodeError as error:  # half of a surrogate pair
        raise ValueError(f"{name}={shown(value)} must be valid Unicode") from error
    return str(value)


def boolean(name: str, value: Any) -> bool:
    """Return a Python or numpy boolean as a bool; TypeError, by ``name``, for all else."""
    if not isinstance(value, bool | np.bool_):
        _refuse(name, value, "True or False")
    return bool(value)


def seconds(name: str, value: Any) -> float:
    """Return a duration as a float; as :func:`number`, and ValueError unless above 0."""
    duration = number(name, value)
    if duration <= 0:
        raise ValueError(f"{name}={duration:g} must be above 0")
    return duration


def count(name: str, value: Any, least: int) -> int:
    """Return a whole number; as :func:`integer`, and ValueError if below ``least``."""
    converted = integer(name, value)
    if converted < least:
        raise ValueError(f"{name}={converted} must be {least} or more")
    return converted
