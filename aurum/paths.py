"""Locations of the package's data and of its state, in a checkout and in an installed package.

In a checkout (and in the container image, which has the same folders), Triton's repositories and
the C++ sources are next to the package, and state is kept in ``.aurum/``. An installed package
has them in ``aurum/data`` and never writes there: state is kept in ``AURUM_HOME``, by default
``~/.local/share/aurum`` (XDG_DATA_HOME is respected).
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

PACKAGE = Path(__file__).resolve().parent
CHECKOUT = PACKAGE.parent
INSTALLED = not (CHECKOUT / "model_repository").is_dir()
DATA = PACKAGE / "data" if INSTALLED else CHECKOUT

PHOTO = PACKAGE / "assets" / "astronaut.jpg"
"""A photo with one face, for health checks and parity checks."""

SETUP = "run `aurum up`, which compiles it" if INSTALLED else "run `make setup`"
"""How to get missing libraries, for messages."""


def home(environ: Mapping[str, str] = os.environ) -> Path:
    """Return the folder of all state: models, logs, API keys, compiled libraries."""
    if given := environ.get("AURUM_HOME", "").strip():
        return Path(given).expanduser().resolve()
    if not INSTALLED:
        return CHECKOUT / ".aurum"
    return Path(environ.get("XDG_DATA_HOME") or "~/.local/share").expanduser().resolve() / "aurum"


def compiled(backend: str) -> Path:
    """Return the folder of the libraries that are compiled from ``backends/<backend>``."""
    return home() / "backends" / backend if INSTALLED else DATA / "backends" / backend
