"""`aurum up`: from nothing to a service that answers, in the foreground."""

from __future__ import annotations

import signal
import threading
from contextlib import ExitStack
from types import FrameType

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from aurum import PIPELINES
from aurum.cli.progress import downloads
from aurum.models import build, manifest
from aurum.models.build import Prepared
from aurum.models.manifest import Profile
from aurum.models.releases import Release
from aurum.playground.serve import Playground
from aurum.rollout.steps import in_force
from aurum.server.server import Server
from aurum.server.supervise import Supervisor
from aurum.settings import Settings

console = Console()
MADE_UP = "[bold red]SIMULATED MODELS: EVERY FACE AND EMBEDDING BELOW IS MADE UP.[/bold red]"


def up() -> None:
    """Get and build the models, start Triton, wait until it answers; Ctrl-C drains and stops."""
    settings = Settings.from_env()
    release = in_force(settings)
    served = _of_release(release) if release else _of_profile(settings)
    _serve(Server(settings), served)


Rows = list[tuple[str, str]]  # for the table of what is ready


def _of_profile(settings: Settings) -> Rows:
    """Pull, build and install what AURUM_PROFILE says."""
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


def _serve(server: Server, served: Rows) -> None:
    stopping = threading.Event()
    page: Playground | None = None

    def stop(number: int, frame: FrameType | None) -> None:
        if stopping.is_set():
            server.kill()  # asked twice: at once
            if page:
                page.kill()
        stopping.set()

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, stop)
    # What is beside the server ends before it, as its requests are the server's.
    with server, ExitStack() as beside:
        supervisor = Supervisor(server, stopping, lambda line: console.print(escape(line)))
        with console.status("starting Triton"):
            supervisor.wait_ready()
        if not stopping.is_set():
            if server.settings.playground:
                page = beside.enter_context(Playground(server.settings))
            console.print(_ready(server.settings, served, page))
            supervisor.watch()
        console.print("draining requests in flight, then stopping (Ctrl-C again: at once)")
    console.print("stopped")


def _ready(settings: Settings, served: Rows, page: Playground | None) -> Table:
    table = Table(title="Aurum Face Serving is ready", show_header=False, title_justify="left")
    table.add_row("HTTP", settings.http_url)
    table.add_row("gRPC", settings.grpc_url)
    table.add_row("metrics", f"http://{settings.host}:{settings.metrics_port}/metrics")
    if page:
        moved = "" if page.port == settings.playground_port else " (the wanted port is taken)"
        table.add_row("playground", page.url + moved)
    table.add_row("pipelines", ", ".join(PIPELINES))
    for row in served:
        table.add_row(*row)
    table.add_row("stop", "Ctrl-C")
    return table


def _non_commercial(profile: Profile) -> str:
    models = [model for model in profile.models if model.commercial_use == "no"]
    licences = escape("\n".join(f"{model.name}: {model.licence}" for model in models))
    return f"[bold red]NOT FOR COMMERCIAL USE[/bold red], BY THESE WEIGHTS' LICENCES:\n{licences}"


def _simulated(prepared: Prepared) -> str:
    reasons = escape("\n".join(f"{name}: {why}" for name, why in prepared.failures.items()))
    return (
        f"{MADE_UP}\n"
        + (f"THE REAL MODELS COULD NOT BE HAD:\n{reasons}\n" if reasons else "")
        + "TO GET THE REAL MODELS: SET AURUM_MODEL_MIRROR TO A FOLDER OR ADDRESS THAT HAS THEM, OR "
        "GO ONLINE, AND START AGAIN (docs/models.md)."
    )
