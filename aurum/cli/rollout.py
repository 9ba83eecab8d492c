"""``aurum rollout``: another model for the running service, and back (docs/guides/rollout.md)."""

# ruff: noqa: PLC0415 - onnx and the server are imported where they are needed, to start fast

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
from aurum.cli import FAILED, USAGE, CommandError, complain, evaluation_packages
from aurum.releases.active import FIRST
from aurum.settings import Settings

if TYPE_CHECKING:
    from aurum.releases.state import Release
    from aurum.rollout.steps import Rollout
    from aurum.rollout.validation import Accuracy

rollout = typer.Typer(
    help="Put another model behind the running service without a failed request, and take it back: "
    "stage, validate, promote; rollback. Exit codes: 0 done; 1 refused or failed, and what is "
    "served is what was; 2 wrong usage.",
    no_args_is_help=True,
)
SHOWN = 10  # lines of the history


def _rollout() -> Rollout:
    from aurum.rollout.steps import Rollout

    return Rollout(Settings.from_env(), _who(), complain)


def _who() -> str:
    """Who acts, as far as the machine knows."""
    try:
        name = getpass.getuser()
    except (KeyError, OSError):  # a container's user may have no name
        name = f"uid {os.getuid()}"
    sudo = os.environ.get("SUDO_USER")
    return f"{name} (sudo by {sudo})" if sudo else name


@rollout.command()
def stage(
    profile: Annotated[str, typer.Argument(help="Profile of models.toml.", show_default=False)],
) -> None:
    """Pull a profile's files by their sha256, build and prove its graphs. Nothing is served yet."""
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
            help="Official LFW pairs file: the accuracy on it is compared with what is served.",
            exists=True,
        ),
    ] = None,
    photos: Annotated[
        Path | None,
        typer.Option(help="The photos of --pairs, as `person/file.jpg`.", exists=True),
    ] = None,
    max_accuracy_loss: Annotated[
        float, typer.Option(min=0, max=1, help="Share of the pairs that may be lost.")
    ] = 0.005,
    rounds: Annotated[
        int, typer.Option(min=0, help="Photos that each side answers, in turns; 0: no latency.")
    ] = 30,
    max_latency_ratio: Annotated[
        float | None, typer.Option(min=0.1, help="New / old; unset: it is only told.")
    ] = None,
) -> None:
    """Judge the candidate through a whole service of its own, beside what is served."""
    # Two servers are started beside gRPC's threads, whose fork handlers can then crash the child.
    os.environ.setdefault("GRPC_ENABLE_FORK_SUPPORT", "0")
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
        complain("the candidate failed; what is served is what was")
        raise typer.Exit(FAILED)
    print("next: aurum rollout promote")


def _accuracy(photos: Path, pairs: Path, out: Path) -> Accuracy:
    with evaluation_packages():
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
            help="The embedder may change: stored embeddings don't compare with new ones.",
        ),
    ] = False,
) -> None:
    """Put the validated candidate in force; servers that run load it first, beside the old."""
    release = _rollout().promote(new_embedding_space)
    print(f"in force: {release}; back: aurum rollout rollback")


@rollout.command()
def rollback() -> None:
    """Put the release before in force again."""
    back, left = _rollout().rollback()
    print(f"in force: {back}; no longer: {left}")
    if back.ids[contract.EMBEDDING] != left.ids[contract.EMBEDDING]:
        print(
            f"embeddings made by {left.ids['face_embedding']} don't compare with those of "
            f"{back.ids['face_embedding']}"
        )


@rollout.command()
def status(
    as_json: Annotated[bool, typer.Option("--json", help="All of it, as JSON.")] = False,
) -> None:
    """Show what is in force, what a rollback goes back to, what is staged, and the history."""
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
    first = "none: AURUM_PROFILE says at a start what is served"
    print(f"in force:  {_shown(state.current) or first}")
    print(f"previous:  {_shown(state.previous) or 'none'}")
    print(f"candidate: {_shown(state.candidate) or 'none'}")
    for server in running:
        loaded = ", ".join(
            f"{name} {sorted(server.versions(name))}".replace("[", "").replace("]", "")
            for name in MODELS
        )
        print(f"server:    {server.url}, versions loaded: {loaded}")
    if not running:
        print("server:    none runs over these repositories")
    for event in state.history[-SHOWN:]:
        before = f", before: {event.previous}" if event.previous else ""
        detail = f": {event.detail}" if event.detail else ""
        print(f"{event.time} {event.what} {event.release} by {event.by}{before}{detail}")


def _shown(release: Release | None) -> str:
    if release is None:
        return ""
    found = release.validation
    judged = "not validated" if found is None else "valid" if found.passed else "FAILED validation"
    profile = f"profile {release.profile or 'unknown'}"
    if release.number == FIRST:
        return f"{release}, {profile}, served before any rollout"
    return f"{release}, {profile}, staged {release.time} by {release.by}, {judged}"
