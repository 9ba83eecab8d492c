"""Run a tutorial of docs/tutorials as one session: Python blocks share names, shell blocks don't.

`make pages` starts a server, runs the tutorials and writes their outputs and pictures into the
docs. The test calls `run`.
"""

from __future__ import annotations

import contextlib
import io
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import doc_blocks

from aurum.paths import CHECKOUT
from aurum.server.ephemeral import Service, running
from aurum.settings import Settings


class Tutorial(NamedTuple):
    """A page whose blocks write to a folder of their own below /tmp."""

    name: str

    @property
    def page(self) -> str:
        """Its path in the checkout."""
        return f"docs/tutorials/{self.name}.md"

    @property
    def file(self) -> Path:
        """The page itself."""
        return CHECKOUT / self.page

    @property
    def pictures(self) -> Path:
        """The folder of the pictures that the page shows, if it shows any."""
        return self.file.with_suffix("")

    @contextlib.contextmanager
    def scratch(self) -> Iterator[Path]:
        """The folder that the blocks write to, absent before and removed afterwards."""
        folder = Path(f"/tmp/aurum-{self.name}")
        shutil.rmtree(folder, ignore_errors=True)
        try:
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    def run(self, service: Service) -> list[str]:
        """Run all blocks with the ports of `service`; return what each printed."""
        session: dict[str, Any] = {}
        return [self._run(block, service, session) for block in doc_blocks.blocks(self.page)]

    def _run(self, block: doc_blocks.Block, service: Service, session: dict[str, Any]) -> str:
        http, grpc = (url.rpartition(":")[2] for url in service.urls)
        ports = {"8000": http, "8001": grpc}
        if block.language == "sh":
            return doc_blocks.run(block, ports=ports, environment={"AURUM_URL": service.urls[0]})
        printed = io.StringIO()
        with contextlib.chdir(CHECKOUT), contextlib.redirect_stdout(printed):
            text = doc_blocks.with_ports(block.text, ports)
            exec(compile(text, self.page, "exec"), session)
        return printed.getvalue()

    def write(self, outputs: list[str]) -> None:
        """Put what was printed into the page, where it shows an output."""
        text = self.file.read_text(encoding="utf-8")
        matches = doc_blocks.MARKED.finditer(text)
        for match, printed in reversed(list(zip(matches, outputs, strict=True))):
            if match.group(4) is not None:
                text = text[: match.start(4)] + printed + text[match.end(4) :]
        self.file.write_text(text, encoding="utf-8")


TOUR, MEMBERS = Tutorial("tour"), Tutorial("members")


def main() -> None:
    """Run the tutorials on a server of their own, and write their outputs and pictures."""
    with (
        tempfile.TemporaryDirectory() as name,
        running(Settings.from_env(), Path(name) / "server") as service,
    ):
        for tutorial in (TOUR, MEMBERS):
            with tutorial.scratch() as folder:
                tutorial.write(tutorial.run(service))
                for picture in folder.glob("*.jpg"):
                    tutorial.pictures.mkdir(exist_ok=True)
                    shutil.copy(picture, tutorial.pictures)


if __name__ == "__main__":
    main()
