"""``aurum models``: the model files, and the graphs built of them."""

# ruff: noqa: PLC0415 - httpx and onnx are imported where they are needed, to start fast

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from aurum.cli import FAILED, USAGE, CommandError, complain
from aurum.settings import Settings

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

    from aurum.models.manifest import Manifest, Model

models = typer.Typer(help="List, pull, verify and build the models.", no_args_is_help=True)

MEGABYTE = 1_000_000
WELL = ("ok", "none")
STATUS_STYLES = {"ok": "green", "missing": "yellow", "corrupt": "red"}

Names = Annotated[
    list[str] | None, typer.Argument(metavar="NAME", help="Profiles or models.", show_default=False)
]


@models.command("list")
def list_models() -> None:
    """Show profiles and models: licences, whether commercial use is allowed, what is cached."""
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
    table = _table("profile", "detector", "embedder", "commercial", "cached")
    for profile in content.profiles.values():
        cached = all(_status(model, settings) in WELL for model in profile.models)
        table.add_row(
            profile.name + (" *" if profile.name == settings.profile else ""),
            profile.detector.name,
            profile.embedder.name,
            profile.commercial_use,
            "yes" if cached else "no",
        )
    console.print(table)
    console.print(
        f"configured: {settings.profile} (AURUM_PROFILE); auto: the first to be had of "
        f"{', '.join(content.auto)}; else simulated, which makes up every face and embedding",
        highlight=False,
    )
    if settings.require_commercial:
        console.print(
            'AURUM_REQUIRE_COMMERCIAL=1: only profiles with "yes" under commercial are served',
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
    """A table whose cells are broken where they must, so that nothing is cut off."""
    from rich.table import Table

    table = Table(box=None, pad_edge=False, header_style="bold underline")
    for header in headers:
        table.add_column(header, overflow="fold")
    # Names are for copying, so they stay whole.
    table.columns[0].no_wrap = True
    return table


def _status(model: Model, settings: Settings) -> str:
    """``none`` for a simulated model, which has no file; ok, missing, corrupt or unreadable."""
    from aurum.models import pull

    if model.file is None:
        return "none"
    try:
        return pull.verify(model, settings)
    except OSError as error:
        return f"unreadable: {error.strerror}"


@models.command("pull")
def pull_models(names: Names = None) -> None:
    """Get model files into the cache: those named, else those of the profile in AURUM_PROFILE.

    Exit codes: 0 all files are there; 1 some can't be had; 2 there is no such profile or model.
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
                reasons = "\n".join(choice.failures.values())
                raise CommandError(FAILED, f"no profile of auto can be had:\n{reasons}")
            wanted = [choice.profile.name]
            lines.append(f"profile {choice.profile.name}")
        for model in _named(wanted, content):
            if model.file is None:
                lines.append(f"{model.name}: simulated, it has no file")
                continue
            try:
                lines.append(f"{model.name}: {pull.pull(model, settings, progress)}")
            except pull.PullError as error:
                failures.append(f"{model.name}: {error}")
    # Only now, as the bars would take what goes to stdout along to stderr.
    for line in lines:
        print(line)
    for failure in failures:
        complain(failure)
    raise typer.Exit(FAILED if failures else 0)


@models.command("verify")
def verify_models(names: Names = None) -> None:
    """Compare the files in the cache with the manifest's hashes: those named, else all.

    Exit codes: 0 all is well; 1 a file is corrupt, or one that was named is missing; 2 there is
    no such profile or model.
    """
    from aurum.models import manifest

    settings = Settings.from_env()
    content = manifest.load()
    allowed = WELL if names else (*WELL, "missing")
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
            help="The model repository to put the graphs into. Unset: the one that is served.",
            show_default=False,
        ),
    ] = None,
) -> None:
    """Pull, build and prove the graphs of the profile in AURUM_PROFILE, and install them."""
    from rich.console import Console

    from aurum.cli.progress import downloads
    from aurum.models import build
    from aurum.server import installation

    settings = Settings.from_env()
    installation.complete(settings, complain)
    with downloads(Console(stderr=True)) as progress:
        prepared = build.prepare(settings, progress, complain)
    build.install(prepared, repository or settings.repositories / "model_repository")
    for name, reason in prepared.failures.items():
        complain(f"{name} cannot be had: {reason}")
    if prepared.simulated:
        complain("SIMULATED: these models make up every face and embedding")
    print(f"profile {prepared.profile.name}")
    for name, identity in prepared.ids.items():
        print(f"{name}: {identity}")


def _named(names: list[str], content: Manifest) -> list[Model]:
    """The models of the profiles and models called so, each once."""
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
