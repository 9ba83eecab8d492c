"""``aurum models``: manage the model files and the graphs built from them."""

# ruff: noqa: PLC0415 - httpx and onnx are imported only where needed, for a fast start

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from aurum.cli import FAILED, USAGE, CommandError, optional_packages, print_stderr
from aurum.cli.validate import Urls, command_line, evaluated
from aurum.settings import Settings

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

    from aurum.models.manifest import Manifest, Model

models = typer.Typer(
    help="List, pull, verify, build and calibrate the models.", no_args_is_help=True
)

MEGABYTE = 1_000_000
USABLE = ("ok", "none")
STATUS_STYLES = {"ok": "green", "missing": "yellow", "corrupt": "red"}

Names = Annotated[
    list[str] | None,
    typer.Argument(metavar="NAME", help="Names of profiles or models.", show_default=False),
]


@models.command("list")
def list_models() -> None:
    """List profiles and models: licences, commercial use, cached files."""
    from rich.console import Console

    from aurum.models import manifest

    settings = Settings.from_env()
    content = manifest.load()
    console = Console()
    _print_profiles(content, settings, console)
    console.print()
    _print_models(content, settings, console)
    console.print(f"cache: {settings.model_cache}", soft_wrap=True, markup=False, highlight=False)


def _print_profiles(content: Manifest, settings: Settings, console: Console) -> None:
    from aurum.models import measured

    figures = measured.load()
    table = _table("profile", "detector", "embedder", "commercial", "cached", *measured.HEADS)
    for profile in content.profiles.values():
        cached = all(_status(model, settings) in USABLE for model in profile.models)
        table.add_row(
            profile.name + (" *" if profile.name == settings.profile else ""),
            profile.detector.name,
            profile.embedder.name,
            profile.commercial_use,
            "yes" if cached else "no",
            *measured.cells(measured.of(profile, figures)),
        )
    console.print(table)
    console.print(
        f"LFW, TAR at FAR 1e-3, ms a photo and the server's MB were measured on the developers' "
        f"machine (docs/guides/choosing.md); {measured.NOT_MEASURED}: not measured",
        highlight=False,
    )
    console.print(
        f"configured: {settings.profile} (AURUM_PROFILE); auto: the first available of "
        f"{', '.join(content.auto)}; otherwise simulated, which makes up every face and embedding",
        highlight=False,
    )
    if settings.require_commercial:
        console.print(
            'AURUM_REQUIRE_COMMERCIAL=1: only profiles marked "yes" under commercial are served',
            highlight=False,
        )


def _print_models(content: Manifest, settings: Settings, console: Console) -> None:
    from rich.text import Text

    table = _table("model", "role", "MB", "file", "commercial", "licence")
    for model in content.models.values():
        status = _status(model, settings)
        table.add_row(
            model.name,
            model.role,
            f"{model.bytes / MEGABYTE:.1f}" if model.bytes else "",
            Text(status, STATUS_STYLES.get(status, "")),
            model.commercial_use,
            model.licence,
        )
    console.print(table)


def _table(*headers: str) -> Table:
    """Create a table that wraps long cells instead of cutting them off."""
    from rich.table import Table

    table = Table(box=None, pad_edge=False, header_style="bold underline")
    for header in headers:
        table.add_column(header, overflow="fold")
    # Users copy the names, so they stay on one line.
    table.columns[0].no_wrap = True
    return table


def _status(model: Model, settings: Settings) -> str:
    """Return ok, missing, corrupt or unreadable; ``none`` for a simulated model without a file."""
    from aurum.models import pull

    if model.file is None:
        return "none"
    try:
        return pull.verify(model, settings)
    except OSError as error:
        return f"unreadable: {error.strerror}"


@models.command("pull")
def pull_models(names: Names = None) -> None:
    """Download the named models, by default those of AURUM_PROFILE, into the cache.

    Exit codes: 0 all files are cached; 1 a file is unavailable; 2 no such profile or model.
    """
    from rich.console import Console

    from aurum.cli.progress import downloads
    from aurum.models import manifest, pull

    settings = Settings.from_env()
    content = manifest.load()
    wanted = names or [settings.profile]
    lines, failures = [], []
    with downloads(Console(stderr=True)) as progress:
        if wanted == [manifest.AUTO]:
            choice = pull.choose_profile(content, settings, progress)
            if choice.profile is None:
                reasons = "\n".join(f"{name}: {why}" for name, why in choice.failures.items())
                raise CommandError(FAILED, f"no profile of auto is available:\n{reasons}")
            wanted = [choice.profile.name]
            lines.append(f"profile {choice.profile.name}")
        for model in _named(wanted, content):
            if model.file is None:
                lines.append(f"{model.name}: simulated, has no file")
                continue
            try:
                lines.append(f"{model.name}: {pull.pull(model, settings, progress)}")
            except pull.PullError as error:
                failures.append(f"{model.name}: {error}")
    # Only now: while progress bars are shown, they redirect stdout to stderr.
    for line in lines:
        print(line)
    for failure in failures:
        print_stderr(failure)
    raise typer.Exit(FAILED if failures else 0)


@models.command("verify")
def verify_models(names: Names = None) -> None:
    """Check cached files (those named, by default all) against the manifest's sha256 hashes.

    Exit codes: 0 all files are good; 1 a file is corrupt, or a named one is missing; 2 no such
    profile or model.
    """
    from aurum.models import manifest

    settings = Settings.from_env()
    content = manifest.load()
    allowed = USABLE if names else (*USABLE, "missing")
    failed = False
    for model in _named(names or list(content.models), content):
        status = _status(model, settings)
        failed = failed or status not in allowed
        print(f"{status:<8} {model.file or model.name}")
    raise typer.Exit(FAILED if failed else 0)


@models.command("build")
def build_models(
    repository: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            help="Model repository for the graphs. Default: the one that is served.",
            show_default=False,
        ),
    ] = None,
) -> None:
    """Download, build, check for parity and install the graphs of AURUM_PROFILE."""
    from rich.console import Console

    from aurum.cli.progress import downloads
    from aurum.models import build
    from aurum.server import installation

    settings = Settings.from_env()
    installation.complete(settings, print_stderr)
    with downloads(Console(stderr=True)) as progress:
        prepared = build.prepare(settings, progress, print_stderr)
    build.install(prepared, repository or settings.repositories / "model_repository")
    for name, reason in prepared.failures.items():
        print_stderr(f"{name} is unavailable: {reason}")
    if prepared.simulated:
        print_stderr("SIMULATED: these models make up every face and embedding")
    print(f"profile {prepared.profile.name}")
    for name, identity in prepared.ids.items():
        print(f"{name}: {identity}")


@models.command("calibrate")
def calibrate_models(
    folder: Annotated[
        Path,
        typer.Argument(
            help="Photos of people like yours: one folder for each person.",
            exists=True,
            file_okay=False,
        ),
    ],
    url: Urls = None,
) -> None:
    """Measure what similarities mean for your photos, so that comparisons can be decided.

    At least 100 people, 30 of them with two photos or more, some 450 photos in all; this takes a
    few minutes. The result is kept in AURUM_HOME, and the next `aurum up` serves it.
    """
    from datetime import UTC, datetime

    with optional_packages("evaluation"):
        from aurum.evaluation import calibrate
    calibrate.check(folder)
    with evaluated(url) as target:
        date = datetime.now(UTC).date().isoformat()
        text, path = calibrate.keep(target, folder, date, command_line())
    print(text)
    print(f"kept in {path}; to serve it, restart `aurum up`")
    print("Where a rollout is active, stage its profile again. To go back, remove the file.")


def _named(names: list[str], content: Manifest) -> list[Model]:
    """Return the models that the names of profiles and models stand for, each once."""
    from aurum.models.manifest import AUTO

    found: dict[str, Model] = {}
    for name in names:
        if name == AUTO:
            chosen = [model for key in content.auto for model in content.profiles[key].models]
        elif name in content.profiles:
            chosen = list(content.profiles[name].models)
        elif name in content.models:
            chosen = [content.models[name]]
        else:
            known = ", ".join([AUTO, *content.profiles, *content.models])
            raise CommandError(USAGE, f"there is no profile or model {name!r}; there are: {known}")
        found |= {model.name: model for model in chosen}
    return list(found.values())
