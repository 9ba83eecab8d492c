"""First half of ``aurum up``: choose, download, build and install what is served.

This runs in a child process, `python -m aurum.cli.prepare DESCRIPTOR`: building graphs and checking
their parity leaves 130 MB allocated, which `aurum up` would otherwise keep while it serves. The
child writes the rows of the "ready" table as JSON to the file descriptor.
"""

# ruff: noqa: PLC0415 - only the child imports what it needs

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import TYPE_CHECKING

import typer
from rich.console import Console
from rich.markup import escape

from aurum.cli import FAILED
from aurum.cli.errors import explained, reported
from aurum.contract import LIVENESS
from aurum.server.runtime import ended_with_parent
from aurum.settings import Settings

if TYPE_CHECKING:
    from aurum.models.build import BuiltProfile
    from aurum.models.manifest import Profile
    from aurum.releases.state import Release

SIMULATED_WARNING = (
    "[bold red]SIMULATED MODELS: EVERY FACE AND EMBEDDING BELOW IS MADE UP.[/bold red]"
)

Rows = list[tuple[str, str]]
console = Console()


def prepare() -> Rows:
    """Run `main` in a child process and return its rows.

    Raises typer.Exit if the child fails; it has printed the reason.
    """
    read, write = os.pipe()
    with open(read, encoding="utf-8") as rows:
        try:
            line = [sys.executable, "-P", "-m", "aurum.cli.prepare", str(write)]
            child = subprocess.Popen(ended_with_parent(line), pass_fds=[write])
        finally:
            os.close(write)
        with child:
            text = rows.read()
    if child.returncode:
        raise typer.Exit(abs(child.returncode))
    return [(name, value) for name, value in json.loads(text)]


def main(descriptor: int) -> None:
    """Install the active release, or the profile in AURUM_PROFILE if there is none."""
    from aurum.rollout.steps import active_release
    from aurum.server import installation
    from aurum.server.preflight import as_server_error

    settings = Settings.from_env()
    with as_server_error():
        installation.complete(settings, lambda line: console.print(f"- {line}", soft_wrap=True))
        release = active_release(settings)
        rows = _of_release(release, settings) if release else _of_profile(settings)
    with open(descriptor, "w", encoding="utf-8") as file:
        json.dump(rows, file)


def _say(line: str) -> None:
    console.print(f"- {line}")


def _of_profile(settings: Settings) -> Rows:
    """Download, build and install the profile in AURUM_PROFILE."""
    from aurum.cli.progress import downloads
    from aurum.models import build
    from aurum.server.preflight import ServerError, cache_problem

    if problem := cache_problem(settings):
        raise ServerError(problem)
    with downloads(console) as progress:
        prepared = build.prepare(settings, progress, _say)
    build.install(prepared, settings.repositories / "model_repository")
    if prepared.simulated:
        console.print(_simulated(prepared))
    if prepared.profile.commercial_use == "no":
        console.print(_non_commercial(prepared.profile))
    name = prepared.profile.name + (" (SIMULATED)" if prepared.simulated else "")
    return [("profile", name), *prepared.ids.items(), *notes(prepared.profile)]


def _of_release(release: Release, settings: Settings) -> Rows:
    """Describe the active release; Server makes the copy that is served.

    `face_liveness`, which belongs to no release, is built and installed.
    """
    from aurum.cli.progress import downloads
    from aurum.models import build, manifest

    console.print(
        f"serving {release}, which a rollout made active; AURUM_PROFILE is ignored",
        soft_wrap=True,
    )
    if any(model.startswith("simulated") for model in release.ids.values()):
        console.print(SIMULATED_WARNING)
    profile = manifest.load().profiles.get(release.profile)
    profile = profile and build.with_own_calibration(profile, settings)
    if profile and profile.commercial_use == "no":
        console.print(_non_commercial(profile))
    ids = dict(release.ids)
    if settings.liveness:
        with downloads(console) as progress:
            graph, ids[LIVENESS] = build.prepare_liveness(settings, progress, _say)
        build.install_graphs({LIVENESS: graph}, settings.repositories / "model_repository")
    name = f"{release.number}, of profile {release.profile or 'unknown'}"
    return [("release", name), *ids.items(), *notes(profile)]


def notes(profile: Profile | None) -> Rows:
    """Say what the user of this profile must know."""
    if profile is None:
        return [("commercial use", "unknown: see `aurum models list`")]
    notes = []
    if profile.commercial_use != "yes":
        notes.append(("commercial use", f"{profile.commercial_use}: see `aurum models list`"))
    known = profile.embedder.calibration
    if profile.embedder.file and known is None:
        notes.append(("calibration", "none: no comparison is decided; `aurum models calibrate`"))
    elif known and known.own:
        notes.append(("calibration", f"your own of {known.date}, {known.dataset}"))
    if profile.large:
        notes.append(("memory", "more than 500 MB, because of the size of these models"))
    return notes


def _non_commercial(profile: Profile) -> str:
    models = [model for model in profile.models if model.commercial_use == "no"]
    licences = escape("\n".join(f"{model.name}: {model.licence}" for model in models))
    return f"[bold red]NOT FOR COMMERCIAL USE[/bold red], BY THESE WEIGHTS' LICENCES:\n{licences}"


def _simulated(prepared: BuiltProfile) -> str:
    reasons = escape("\n".join(f"{name}: {why}" for name, why in prepared.failures.items()))
    return (
        f"{SIMULATED_WARNING}\n"
        + (f"THE REAL MODELS ARE UNAVAILABLE:\n{reasons}\n" if reasons else "")
        + "TO GET THE REAL MODELS: SET AURUM_MODEL_MIRROR TO A FOLDER OR ADDRESS THAT HAS THEM, OR "
        "GO ONLINE, THEN RESTART (docs/reference/models.md)."
    )


if __name__ == "__main__":
    try:
        with reported("aurum"), explained("aurum"):
            main(int(sys.argv[1]))
    except KeyboardInterrupt:  # `aurum up` gets the same Ctrl-C and reports it
        sys.exit(FAILED)
