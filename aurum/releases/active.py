"""Which version of each model the pipelines call: that of the release in force."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

FILE = "state.json"  # written by aurum.releases.state
# What is called where no release is in force. Not "the newest": a release that is being loaded is
# not in force yet, and a photo must not meet it between two of its calls.
FIRST = 1


class Versions:
    """Reads a rollout's state, which is replaced as a whole, so each look sees one release.

    A look costs one `stat`; the file is read anew only where it was replaced.
    """

    def __init__(self, folder: Path) -> None:
        """`folder` is Settings.rollout. Raises ValueError for a damaged state."""
        self._path = folder / FILE
        self._known: tuple[object, Mapping[str, int]] = (None, {})
        self._known = self._look()

    def now(self) -> Mapping[str, int]:
        """Versions by the model's name; empty where no release is in force: FIRST."""
        # Damaged or unreadable, and not by us: what was served so far goes on.
        with suppress(OSError, ValueError):
            self._known = self._look()
        return self._known[1]

    def _look(self) -> tuple[object, Mapping[str, int]]:
        known = self._known
        try:
            found = os.stat(self._path)
            stamp = (found.st_ino, found.st_mtime_ns, found.st_size)
            if stamp == known[0]:
                return known
            return stamp, _versions(self._path.read_text(encoding="utf-8"))
        except FileNotFoundError:
            return None, {}


def _versions(text: str) -> dict[str, int]:
    try:
        current = json.loads(text)["current"]
        graphs = current["graphs"] if current else {}
        return {name: int(graph["version"]) for name, graph in graphs.items()}
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"not a rollout's state: {error!r}") from error
