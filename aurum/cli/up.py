"""``aurum up``: install the models and run the service in the foreground."""

from __future__ import annotations

import signal
import threading
from contextlib import ExitStack
from types import FrameType

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from aurum.cli.prepare import Rows, prepare
from aurum.contract import PIPELINES
from aurum.playground.serve import Playground
from aurum.server.server import Server
from aurum.server.supervise import Supervisor
from aurum.settings import Settings

console = Console()


def up() -> None:
    """Download and build the models, then run Triton; Ctrl-C drains and stops it."""
    server = Server(Settings.from_env())
    server.claim()  # before writing anything that another server may use
    try:
        _serve(server, prepare())
    finally:
        server.stop()


def _serve(server: Server, served: Rows) -> None:
    stopping = threading.Event()
    page: Playground | None = None

    def stop(number: int, frame: FrameType | None) -> None:
        if stopping.is_set():
            server.kill()  # second signal: stop at once
            if page:
                page.kill()
        stopping.set()

    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        # Under nohup(1) SIGHUP is ignored, and stays so.
        if signal.getsignal(number) != signal.SIG_IGN or number != signal.SIGHUP:
            signal.signal(number, stop)
    # The playground stops before the server, since it passes its requests on to it.
    with server, ExitStack() as beside:
        supervisor = Supervisor(server, stopping, say)
        if not console.is_terminal:  # where nothing turns
            say("- starting Triton")
        with console.status("starting Triton"):
            supervisor.wait_ready()
        if not stopping.is_set():
            if server.settings.playground:
                page = beside.enter_context(Playground(server.settings))
            console.print(_ready(server, served, page))
            supervisor.watch()
        console.print("draining requests in flight, then stopping (Ctrl-C again: at once)")
    console.print("stopped")


def say(line: str) -> None:
    """Print a line without wrapping it, however narrow the terminal is."""
    console.print(escape(line), soft_wrap=True)


def _ready(server: Server, served: Rows, page: Playground | None) -> Table:
    settings = server.settings
    table = Table(title="Aurum Face Serving is ready", show_header=False, title_justify="left")
    table.add_row("HTTP", settings.http_url)
    table.add_row("gRPC", settings.grpc_url)
    table.add_row("metrics", f"http://{settings.host}:{settings.metrics_port}/metrics")
    if page:
        moved = "" if page.port == settings.playground_port else " (the configured port is taken)"
        table.add_row("playground", page.url + moved)
    table.add_row("pipelines", ", ".join(PIPELINES))
    for row in served:
        table.add_row(*row)
    table.add_row("kernels", str(server.kernels))
    table.add_row("stop", "Ctrl-C")
    return table
