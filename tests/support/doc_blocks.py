"""The shell commands of a page that are marked `<!-- run -->`, run as they stand."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Mapping
from pathlib import Path

from aurum.paths import CHECKOUT

BLOCK = re.compile(r"<!-- run( \w+)? -->\n```sh\n(.*?)```", re.DOTALL)


def blocks(page: str) -> dict[str, str]:
    """Each by the name behind `run`, or by its number."""
    text = (CHECKOUT / "docs" / page).read_text(encoding="utf-8")
    found = enumerate(BLOCK.findall(text))
    return {name.strip() or str(number): block for number, (name, block) in found}


def run(
    block: str, folder: Path, changes: Mapping[str, str], environment: Mapping[str, str]
) -> str:
    """Run it in `folder` with other words for some of its words; what it printed."""
    for old, new in changes.items():
        block = block.replace(old, new)
    path = f"{CHECKOUT / '.venv/bin'}:{os.environ['PATH']}"
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", block],
        cwd=folder,
        env={**os.environ, **environment, "PATH": path},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, f"{block}\n{done.stdout}\n{done.stderr}"
    return done.stdout
