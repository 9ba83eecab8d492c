"""Run docs/tutorials/tour.md as one Python session, with its shell commands in between.

`make pages` starts a server, runs the tour and writes its outputs and pictures into the docs. The
test calls `run`.
"""

from __future__ import annotations

import contextlib
import io
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import doc_blocks

from aurum.paths import CHECKOUT
from aurum.server.ephemeral import Service, running
from aurum.settings import Settings

PAGE = "docs/tutorials/tour.md"
TOUR = CHECKOUT / PAGE
PICTURES = CHECKOUT / "docs" / "tutorials" / "tour"
FOLDER = Path("/tmp/aurum-tour")


@contextlib.contextmanager
def scratch() -> Iterator[Path]:
    """The tour's folder, absent before and removed afterwards."""
    shutil.rmtree(FOLDER, ignore_errors=True)
    try:
        yield FOLDER
    finally:
        shutil.rmtree(FOLDER, ignore_errors=True)


def run(service: Service) -> list[str]:
    """Run all blocks with the ports of `service`; return what each printed."""
    http, grpc = (url.rpartition(":")[2] for url in service.urls)
    ports = {"8000": http, "8001": grpc}
    session: dict[str, Any] = {}
    return [_run(block, ports, session) for block in doc_blocks.blocks(PAGE)]


def _run(block: doc_blocks.Block, ports: dict[str, str], session: dict[str, Any]) -> str:
    if block.language == "sh":
        return doc_blocks.run(block, ports=ports)
    printed = io.StringIO()
    with contextlib.chdir(CHECKOUT), contextlib.redirect_stdout(printed):
        exec(compile(doc_blocks.with_ports(block.text, ports), PAGE, "exec"), session)
    return printed.getvalue()


def write(outputs: list[str]) -> None:
    """Put what was printed into the page, where it shows an output."""
    text = TOUR.read_text(encoding="utf-8")
    matches = doc_blocks.MARKED.finditer(text)
    for match, printed in reversed(list(zip(matches, outputs, strict=True))):
        if match.group(4) is not None:
            text = text[: match.start(4)] + printed + text[match.end(4) :]
    TOUR.write_text(text, encoding="utf-8")


def main() -> None:
    """Run the tour on a server of its own, and write its outputs and pictures."""
    with tempfile.TemporaryDirectory() as name, scratch() as folder:
        with running(Settings.from_env(), Path(name) / "server") as service:
            write(run(service))
        PICTURES.mkdir(exist_ok=True)
        for picture in folder.glob("*.jpg"):
            shutil.copy(picture, PICTURES)


if __name__ == "__main__":
    main()
