"""The first half of `aurum up`: what is served is chosen, got, built and put into place.

In a process of its own, `python -m aurum.cli.prepare DESCRIPTOR`, since building and proving graphs
leave 130 MB in the process that did it, which `aurum up` would keep for as long as it serves. What
is served goes to the file descriptor, as JSON rows for the table of what is ready.
"""

# ruff: noqa: PLC0415 - what the child needs is imported in the child alone

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import TYPE_CHECKING

import typer
from rich.console import Console
from rich.markup import escape

from aurum.cli import FAILED, complain
from aurum.errors import OperatorError
from aurum.server.runtime import die_with_parent
from aurum.settings import Settings

if TYPE_CHECKING:
    from aurum.models.build import BuiltProfile
    from aurum.models.manifest import Profile
    from aurum.releases.state import Release

MADE_UP = "[bold red]SIMULATED MODELS: EVERY FACE AND EMBEDDING BELOW IS MADE UP.[/bold red]"

Rows = list[tuple[str, str]]
console = Console()


def prepare() -> Rows:
    """Run `main` in a process of its own; the rows that it gives.

    Raises typer.Exit where it fails, which has said why.
    """
    read, write = os.pipe()
    with open(read, encoding="utf-8") as rows:
        try:
            child = subprocess.Popen(
                [sys.executable, "-P", "-m", "aurum.cli.prepare", str(write)],
                pass_fds=[write],
                preexec_fn=die_with_parent,  # noqa: PLW1509 - one system call, no locks
            )
        finally:
            os.close(write)
        with child:
            text = rows.read()
    if child.returncode:
        raise typer.Exit(abs(child.returncode))
    return [(name, value) for name, value in json.loads(text)]


def main(descriptor: int) -> None:
    """Put the release in force into place, or else what AURUM_PROFILE says."""
    from aurum.rollout.steps import active_release
    from aurum.server import installation
    from aurum.server.preflight import as_server_error

    settings = Settings.from_env()
    with as_server_error():
        installation.complete(settings, lambda line: console.print(f"- {line}", soft_wrap=True))
        release = active_release(settings)
        rows = _of_release(release) if release else _of_profile(settings)
    with open(descriptor, "w", encoding="utf-8") as file:
        json.dump(rows, file)


def _of_profile(settings: Settings) -> Rows:
    """Pull, build and install what AURUM_PROFILE says."""
    from aurum.cli.progress import downloads
    from aurum.models import build
    from aurum.server.preflight import ServerError, cache_problem

    if problem := cache_problem(settings):
        raise ServerError(problem)
    with downloads(console) as progress:
        prepared = build.prepare(settings, progress, lambda line: console.print(f"- {line}"))
    build.install(prepared, settings.repositories / "model_repository")
    if prepared.simulated:
        console.print(_simulated(prepared))
    if prepared.profile.commercial_use == "no":
        console.print(_non_commercial(prepared.profile))
    name = prepared.profile.name + (" (SIMULATED)" if prepared.simulated else "")
    return [("profile", name), *prepared.ids.items(), *_commercial(prepared.profile)]


def _of_release(release: Release) -> Rows:
    """What a rollout has put in force; Server lays it out."""
    from aurum.models import manifest

    console.print(
        f"serving {release}, which a rollout put in force; AURUM_PROFILE is not looked at",
        soft_wrap=True,
    )
    if any(model.startswith("simulated") for model in release.ids.values()):
        console.print(MADE_UP)
    profile = manifest.load().profiles.get(release.profile)
    if profile and profile.commercial_use == "no":
        console.print(_non_commercial(profile))
    name = f"{release.number}, of profile {release.profile or 'unknown'}"
    return [("release", name), *release.ids.items(), *_commercial(profile)]


def _commercial(profile: Profile | None) -> Rows:
    use = profile.commercial_use if profile else "unknown"
    return [] if use == "yes" else [("commercial use", f"{use}: see `aurum models list`")]


def _non_commercial(profile: Profile) -> str:
    models = [model for model in profile.models if model.commercial_use == "no"]
    licences = escape("\n".join(f"{model.name}: {model.licence}" for model in models))
    return f"[bold red]NOT FOR COMMERCIAL USE[/bold red], BY THESE WEIGHTS' LICENCES:\n{licences}"


def _simulated(prepared: BuiltProfile) -> str:
    reasons = escape("\n".join(f"{name}: {why}" for name, why in prepared.failures.items()))
    return (
        f"{MADE_UP}\n"
        + (f"THE REAL MODELS COULD NOT BE HAD:\n{reasons}\n" if reasons else "")
        + "TO GET THE REAL MODELS: SET AURUM_MODEL_MIRROR TO A FOLDER OR ADDRESS THAT HAS THEM, OR "
        "GO ONLINE, AND START AGAIN (docs/reference/models.md)."
    )


if __name__ == "__main__":
    try:
        main(int(sys.argv[1]))
    except OperatorError as error:
        complain(f"aurum: {error}")
        sys.exit(FAILED)
    except KeyboardInterrupt:  # `aurum up` hears the same Ctrl-C, and says so
        sys.exit(FAILED)
