"""A TOML table that is read field by field and strictly: the manifest and calibrations."""

from __future__ import annotations

import re
import sys
from typing import Any

from aurum.errors import OperatorError


class ManifestError(OperatorError, ValueError):
    """The manifest is invalid; the message names the entry, the field and the allowed values."""


class Table:
    """A TOML table that is consumed field by field; `done` rejects fields that are left."""

    def __init__(self, entry: str, value: object) -> None:
        if not isinstance(value, dict):
            raise ManifestError(f"{entry}: must be a table")
        self.entry = entry
        self._rest = dict(value)

    def error(self, field: str, what: str) -> ManifestError:
        """Return the error about a field, which names the entry."""
        return ManifestError(f"{self.entry}, field `{field}`: {what}")

    def take(self, field: str, kind: type, what: str, default: Any = ...) -> Any:
        """Remove and return `field`; it is required unless there is a default."""
        value = self._rest.pop(field, default)
        if value is ...:
            raise self.error(field, f"is missing; must be {what}")
        if kind is float and type(value) is int:
            value = float(value)
        # Not isinstance: TOML's true is not a number, although Python's True is an int.
        if value is not default and type(value) is not kind:
            raise self.error(field, f"is {value!r}; must be {what}")
        return value

    def text(self, field: str, pattern: str = r"(?s).*\S.*", what: str = "a text") -> str:
        """Take a text that matches `pattern`."""
        value: str = self.take(field, str, what)
        if not re.fullmatch(pattern, value):
            raise self.error(field, f"is {value!r}; must be {what}")
        return value

    def one_of(self, field: str, allowed: tuple[str, ...]) -> str:
        """Take a text that is one of `allowed`."""
        what = f"one of {', '.join(allowed)}"
        return self.text(field, "|".join(map(re.escape, allowed)), what)

    def number(
        self, field: str, low: float, high: float = sys.float_info.max, default: Any = ...
    ) -> float:
        """Take a number from `low` to `high`."""
        what = f"a number from {low:g}" + (f" to {high:g}" if high < sys.float_info.max else "")
        value: float = self.take(field, float, what, default)
        if not low <= value <= high:
            raise self.error(field, f"is {value!r}; must be {what}")
        return value

    def count(self, field: str, default: Any = None) -> int | None:
        """Take a whole number from 1."""
        value: int | None = self.take(field, int, "a whole number from 1", default)
        if value is not None and value < 1:
            raise self.error(field, f"is {value!r}; must be a whole number from 1")
        return value

    def done(self) -> None:
        """Reject the fields that were not taken."""
        for field in self._rest:
            raise self.error(field, "is not known here")
