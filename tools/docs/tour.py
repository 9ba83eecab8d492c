"""Run docs/tutorials/tour.md as one Python session with shell commands in between.

`make pages` starts a server, runs the tour and writes its outputs and pictures into docs; tests
call `run`.
"""

from __future__ import annotations

import contextlib
import io
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any, NamedTuple

from aurum.paths import CHECKOUT
from aurum.server.ephemeral import Service, running
from aurum.settings import Settings

TOUR = CHECKOUT / "docs" / "tutorials" / "tour.md"
PICTURES = CHECKOUT / "docs" / "tutorials" / "tour"
BLOCK = re.compile(r"<!-- run -->\n```(python|sh)\n(.*?)```\n(?:\n```text\n(.*?)```\n)?", re.DOTALL)


class Step(NamedTuple):
    """A block: its language and text, and the output that the docs show (None: none is shown)."""

    language: str
    text: str
    shown: str | None


def steps() -> list[Step]:
    """The tour's blocks."""
    return [Step(*match.groups()) for match in BLOCK.finditer(TOUR.read_text(encoding="utf-8"))]


def run(service: Service, folder: Path) -> list[str]:
    """Run all blocks; what each printed. Files go to `folder` instead of /tmp/aurum-tour."""
    session: dict[str, Any] = {}
    return [_run(step, service, folder, session) for step in steps()]


def _run(step: Step, service: Service, folder: Path, session: dict[str, Any]) -> str:
    text = step.text
    http, grpc = (url.split("//")[1] for url in service.urls)
    for old, new in (
        ("127.0.0.1:8000", http),
        ("127.0.0.1:8001", grpc),
        (".venv/bin/python", sys.executable),
        ("/tmp/aurum-tour", str(folder)),
    ):
        text = text.replace(old, new)
    if step.language == "sh":
        return subprocess.run(
            ["sh", "-euc", text], cwd=CHECKOUT, capture_output=True, text=True, check=True
        ).stdout
    printed = io.StringIO()
    before = Path.cwd()
    os.chdir(CHECKOUT)
    try:
        with contextlib.redirect_stdout(printed):
            exec(compile(text, TOUR.name, "exec"), session)
    finally:
        os.chdir(before)
    return printed.getvalue()


def write(outputs: list[str]) -> None:
    """Replace the outputs shown in the tour by what was printed."""
    left = iter(outputs)

    def replaced(match: re.Match[str]) -> str:
        printed = next(left)
        if match.group(3) is None:
            return match.group(0)
        head = match.group(0)[: match.start(3) - match.start(0)]
        return f"{head}{printed}```\n"

    TOUR.write_text(BLOCK.sub(replaced, TOUR.read_text(encoding="utf-8")), encoding="utf-8")


def main() -> None:
    """Run the tour on a throwaway server and write its outputs and pictures."""
    with tempfile.TemporaryDirectory() as folder:
        with running(Settings.from_env(), Path(folder) / "server") as service:
            made = Path(folder) / "tour"
            made.mkdir()
            write(run(service, made))
        PICTURES.mkdir(exist_ok=True)
        for picture in made.glob("*.jpg"):
            (PICTURES / picture.name).write_bytes(picture.read_bytes())


if __name__ == "__main__":
    main()
