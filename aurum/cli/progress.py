"""Progress of downloads."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from rich import filesize
from rich.console import Console
from rich.progress import (
    BarColumn,
    DownloadColumn,
    Progress,
    TaskID,
    TextColumn,
    TransferSpeedColumn,
)

from aurum.models import pull


@contextmanager
def downloads(console: Console) -> Iterator[pull.Progress]:
    """Show a progress bar in bytes for each file being downloaded; a line outside a terminal."""
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        DownloadColumn(),
        TransferSpeedColumn(),
    )
    tasks: dict[str, TaskID] = {}
    with Progress(
        *columns, console=console, transient=True, disable=not console.is_terminal
    ) as bars:

        def update(name: str, done: int, total: int | None) -> None:
            if name not in tasks:
                tasks[name] = bars.add_task(name, total=total)
                if not console.is_terminal:
                    size = f" ({filesize.decimal(total)})" if total else ""
                    console.print(f"- getting {name}{size}", soft_wrap=True, highlight=False)
            bars.update(tasks[name], completed=done, total=total)

        yield update
