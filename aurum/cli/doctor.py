"""``aurum doctor``: find what keeps the service from working here, and say how to fix it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated

import typer

from aurum.cli import FAILED
from aurum.settings import Settings

if TYPE_CHECKING:
    from aurum.doctor.checks import Result

STYLES = {"ok": "green", "warn": "yellow", "fail": "bold red"}


def doctor(
    as_json: Annotated[
        bool, typer.Option("--json", help="Print one JSON object instead of text.")
    ] = False,
) -> None:
    """Check this machine, the configured models and the ports, and say how to fix problems."""
    from aurum.doctor.checks import examine  # noqa: PLC0415 - only this command pays for it

    results = examine(Settings.from_env())
    failed = any(result.status == "fail" for result in results)
    if as_json:
        print(json.dumps({"ok": not failed, "checks": [_record(result) for result in results]}))
    else:
        _print(results)
    raise typer.Exit(FAILED if failed else 0)


def _record(result: Result) -> dict[str, str]:
    return {
        "name": result.name,
        "status": result.status,
        "detail": result.detail,
        "mend": result.fix,  # the key's published name
    }


def _print(results: list[Result]) -> None:
    from rich.console import Console  # noqa: PLC0415
    from rich.text import Text  # noqa: PLC0415

    console = Console(soft_wrap=True)
    for result in results:
        status = Text(f"{result.status:<4}", STYLES[result.status])
        console.print(Text.assemble(status, f"  {result.name}: {result.detail}"))
        if result.fix:
            console.print(Text(f"      {result.fix}", "dim"))
