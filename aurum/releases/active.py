"""The model versions of the active release, which the pipelines call."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

FILE = "state.json"  # written by aurum.releases.state
# The version that is called if no release is active. It is not the newest one: a release that is
# being loaded is not active yet, and all model calls for one photo must use the same release.
FIRST = 1


class Versions:
    """Reads the rollout state, which is replaced atomically, so every read sees one release.

    A call costs one `stat`; the file is read again only if it was replaced.
    """

    def __init__(self, folder: Path) -> None:
        """`folder` is Settings.rollout. Raises ValueError for a damaged state."""
        self._path = folder / FILE
        self._known: tuple[object, Mapping[str, int]] = (None, {})
        self._known = self._look()

    def now(self) -> Mapping[str, int]:
        """Return versions by model name; empty if no release is active, which means FIRST."""
        # If the file is damaged or unreadable, the last known release stays in use.
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
