"""Parsers of settings' values. Each raises a ValueError that says which values are allowed."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from aurum.contract import MAX_SIDE, STRIDE


def between(kind: type[int] | type[float], low: float, high: float) -> Callable[[str], Any]:
    """Parse a whole number, or a number, from `low` to `high`."""
    what = "whole number" if kind is int else "number"

    def parse(text: str) -> float:
        try:
            value = kind(text)
        except ValueError:
            value = float("nan")
        if not low <= value <= high:
            raise ValueError(f"must be a {what} from {low} to {high}")
        return value

    return parse


def detection_side(text: str) -> int:
    """Parse a side of the detector's input in pixels: a multiple of its coarsest stride."""
    value: int = between(int, STRIDE, MAX_SIDE)(text)
    if value % STRIDE:
        raise ValueError(f"must be a multiple of {STRIDE} from {STRIDE} to {MAX_SIDE}")
    return value


def one_of(*allowed: str) -> Callable[[str], str]:
    """Parse one of the `allowed` words."""

    def parse(text: str) -> str:
        if text not in allowed:
            raise ValueError(f"must be one of {', '.join(allowed)}")
        return text

    return parse


def flag(text: str) -> bool:
    """Parse 0 or 1."""
    return one_of("0", "1")(text) == "1"


def trace_url(text: str) -> str:
    """Parse the address that traces are sent to."""
    if not text.startswith(("http://", "https://")):
        raise ValueError("must be an address that begins with http:// or https://")
    return text


def text(text: str) -> str:
    """Accept any text."""
    return text


def path(text: str) -> Path:
    """Parse a path and make it absolute."""
    return Path(text).expanduser().resolve()


def folder_or_address(text: str) -> str:
    """Parse a path, made absolute, or an address such as s3://bucket/folder."""
    return text if "://" in text else str(path(text))


def networks(text: str) -> str:
    """Parse addresses and networks, separated by commas, into canonical notation."""
    from ipaddress import ip_network  # noqa: PLC0415 - saves memory; only the gateway needs it

    try:
        return ",".join(str(ip_network(part.strip())) for part in text.split(","))
    except ValueError:
        raise ValueError(
            "must be addresses and networks like 10.0.0.0/8, separated by commas"
        ) from None
