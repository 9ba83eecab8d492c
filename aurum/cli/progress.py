"""Progress bars of downloads and of bulk runs."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import TYPE_CHECKING

from rich import filesize
from rich.console import Console
from rich.progress import (
    BarColumn,
    DownloadColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
)

if TYPE_CHECKING:
    from aurum.bulk.run import Tally
    from aurum.models import pull

LINE = 10.0  # seconds between two lines of progress in a log


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


@contextmanager
def bulk(console: Console) -> Iterator[Callable[[Tally], None]]:
    """Show done, rate and time left; in a log, a line whenever LINE seconds have passed."""
    columns = (
        TextColumn("photos"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[rate]}/s, {task.fields[failed]} failed,"),
        TimeRemainingColumn(),
        TextColumn("left"),
    )
    start = last = time.monotonic()
    with Progress(*columns, console=console, disable=not console.is_terminal) as bars:
        task = bars.add_task("photos", total=None, rate="-", failed=0)

        def update(tally: Tally) -> None:
            nonlocal last
            now = time.monotonic()
            rate = tally.photos / max(now - start, 1e-9)
            failed = sum(tally.failed.values())
            bars.update(
                task, completed=tally.photos, total=tally.todo, rate=f"{rate:.1f}", failed=failed
            )
            if now - last >= LINE and not console.is_terminal:
                last = now
                left = timedelta(seconds=round(max(0, tally.todo - tally.photos) / rate))
                console.print(
                    f"{tally.photos} of {tally.todo} photos, {rate:.1f}/s, {failed} failed, "
                    f"{left} left",
                    soft_wrap=True,
                )

        yield update
