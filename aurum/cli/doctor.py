"""``aurum doctor``: what keeps the service from working on this machine, and how to mend it."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from aurum.cli import FAILED
from aurum.settings import Settings

if TYPE_CHECKING:
    from aurum.doctor.checks import Result

STYLES = {"ok": "green", "warn": "yellow", "fail": "bold red"}


def doctor(
    as_json: Annotated[
        bool, typer.Option("--json", help="One JSON object instead of lines.")
    ] = False,
) -> None:
    """Check this machine, the configured models and the ports; say how to mend what is wrong."""
    from aurum.doctor.checks import examine  # noqa: PLC0415 - only this command pays for it

    results = examine(Settings.from_env())
    failed = any(result.status == "fail" for result in results)
    if as_json:
        print(json.dumps({"ok": not failed, "checks": [asdict(result) for result in results]}))
    else:
        _print(results)
    raise typer.Exit(FAILED if failed else 0)


def _print(results: list[Result]) -> None:
    from rich.console import Console  # noqa: PLC0415
    from rich.text import Text  # noqa: PLC0415

    console = Console(soft_wrap=True)
    for result in results:
        status = Text(f"{result.status:<4}", STYLES[result.status])
        console.print(Text.assemble(status, f"  {result.name}: {result.detail}"))
        if result.mend:
            console.print(Text(f"      {result.mend}", "dim"))
