"""``aurum rollout``: change the running service's model, and go back (docs/guides/rollout.md)."""

# ruff: noqa: PLC0415 - onnx and the server are imported only where needed, for a fast start

from __future__ import annotations

import getpass
import json
import os
import tempfile
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from aurum import contract
from aurum.cli import FAILED, USAGE, CommandError, optional_packages, print_stderr
from aurum.releases.active import FIRST
from aurum.settings import Settings

if TYPE_CHECKING:
    from aurum.releases.state import Release
    from aurum.rollout.steps import Rollout
    from aurum.rollout.validation import Accuracy

rollout = typer.Typer(
    help="Change the running service's models without a failed request: stage, validate, promote; "
    "rollback. Exit codes: 0 done; 1 refused or failed, the service is unchanged; 2 wrong usage.",
    no_args_is_help=True,
)
SHOWN = 10  # lines of the history


def _rollout() -> Rollout:
    from aurum.rollout.steps import Rollout

    return Rollout(Settings.from_env(), _who(), print_stderr)


def _who() -> str:
    """Return who runs the command, as far as the machine knows."""
    try:
        name = getpass.getuser()
    except (KeyError, OSError):  # a container's user may have no name
        name = f"uid {os.getuid()}"
    sudo = os.environ.get("SUDO_USER")
    return f"{name} (sudo by {sudo})" if sudo else name


@rollout.command()
def stage(
    profile: Annotated[
        str, typer.Argument(help="Name of a profile in models.toml.", show_default=False)
    ],
) -> None:
    """Download a profile's files, build its graphs and check their parity; serve nothing yet."""
    from rich.console import Console

    from aurum.cli.progress import downloads

    with downloads(Console(stderr=True)) as progress:
        candidate = _rollout().stage(profile, progress)
    print(f"staged {candidate}; next: aurum rollout validate")


@rollout.command()
def validate(
    pairs: Annotated[
        Path | None,
        typer.Option(
            help="LFW pairs file, on which the accuracy is compared with the active release's.",
            exists=True,
        ),
    ] = None,
    photos: Annotated[
        Path | None,
        typer.Option(help="Photos of --pairs, as `person/file.jpg`.", exists=True),
    ] = None,
    max_accuracy_loss: Annotated[
        float, typer.Option(min=0, max=1, help="Largest loss of accuracy, as a share of the pairs.")
    ] = 0.005,
    rounds: Annotated[
        int,
        typer.Option(min=0, help="Photos each side answers in turn; 0: don't measure latency."),
    ] = 30,
    max_latency_ratio: Annotated[
        float | None,
        typer.Option(min=0.1, help="Largest ratio of new to old latency. Default: report only."),
    ] = None,
) -> None:
    """Validate the candidate in a throwaway service next to the running one."""
    from aurum.rollout.validation import Gates

    if (pairs is None) != (photos is None):
        raise CommandError(USAGE, "--pairs and --photos go together")
    gates = Gates(rounds, max_latency_ratio, max_accuracy_loss)
    with tempfile.TemporaryDirectory(prefix="aurum-") as folder:
        measure = _accuracy(photos, pairs, Path(folder)) if photos and pairs else None
        result = _rollout().validate(gates, measure)
    for check in result.checks:
        print(f"{'ok  ' if check.ok else 'FAIL'} {check.name}: {check.detail}")
    if not result.passed:
        print_stderr("the candidate failed validation; the service is unchanged")
        raise typer.Exit(FAILED)
    print("next: aurum rollout promote")


def _accuracy(photos: Path, pairs: Path, out: Path) -> Accuracy:
    with optional_packages("evaluation"):
        from aurum.evaluation import verification
        from aurum.evaluation.target import serving

    def measure(url: str) -> float:
        with serving([url], Settings.from_env()) as target:
            return verification.run(target, photos, pairs, out).folds.mean

    return measure


@rollout.command()
def promote(
    new_embedding_space: Annotated[
        bool,
        typer.Option(
            "--new-embedding-space",
            help="Allow another embedder: stored embeddings can't be compared with new ones.",
        ),
    ] = False,
) -> None:
    """Make the validated candidate active; running servers load it first, beside the old one."""
    release = _rollout().promote(new_embedding_space)
    print(f"active: {release}; to go back: aurum rollout rollback")


@rollout.command()
def rollback() -> None:
    """Make the previous release active again."""
    back, left = _rollout().rollback()
    print(f"active: {back}; no longer active: {left}")
    if back.ids[contract.EMBEDDING] != left.ids[contract.EMBEDDING]:
        print(
            f"embeddings of {left.ids['face_embedding']} can't be compared with those of "
            f"{back.ids['face_embedding']}"
        )


@rollout.command()
def status(
    as_json: Annotated[bool, typer.Option("--json", help="Print everything as JSON.")] = False,
) -> None:
    """Show the active, previous and staged releases, the servers and the history."""
    from aurum.contract import MODELS
    from aurum.releases.state import Store
    from aurum.server import served_copy

    settings = Settings.from_env()
    state = Store(settings.rollout).load()
    running = served_copy.servers(settings)
    if as_json:
        servers = {
            server.url: {name: sorted(server.versions(name)) for name in MODELS}
            for server in running
        }
        print(json.dumps({**asdict(state), "servers": servers}, indent=1))
        return
    first = "none: AURUM_PROFILE decides at the start what is served"
    print(f"active:    {_shown(state.current) or first}")
    print(f"previous:  {_shown(state.previous) or 'none'}")
    print(f"candidate: {_shown(state.candidate) or 'none'}")
    for server in running:
        loaded = ", ".join(
            f"{name} {sorted(server.versions(name))}".replace("[", "").replace("]", "")
            for name in MODELS
        )
        print(f"server:    {server.url}, versions loaded: {loaded}")
    if not running:
        print("server:    none is running on these repositories")
    for event in state.history[-SHOWN:]:
        before = f", before: {event.previous}" if event.previous else ""
        detail = f": {event.detail}" if event.detail else ""
        print(f"{event.time} {event.what} {event.release} by {event.by}{before}{detail}")


def _shown(release: Release | None) -> str:
    if release is None:
        return ""
    found = release.validation
    verdict = "not validated" if found is None else "valid" if found.passed else "FAILED validation"
    profile = f"profile {release.profile or 'unknown'}"
    if release.number == FIRST:
        return f"{release}, {profile}, served before any rollout"
    return f"{release}, {profile}, staged {release.time} by {release.by}, {verdict}"
