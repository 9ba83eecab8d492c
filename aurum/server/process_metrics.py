"""Memory, CPU time and deaths of tritonserver and its Python processes, for Prometheus.

Under the names of prometheus-process-exporter, which the alerts and the dashboard use. In a
container this replaces that exporter: it would need Triton's PID namespace, which ends at each
restart and takes the exporter along.
"""

from __future__ import annotations

import threading
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import psutil

from aurum.server.stubs import Stubs
from aurum.settings import Settings

PREFIX = "namedprocess_namegroup"


def exposition(pid: int, stubs: Stubs) -> str:
    """The metrics of the tritonserver `pid`, in Prometheus' text format."""
    values: dict[str, float] = defaultdict(float)
    started: dict[str, float] = {}
    server = psutil.Process(pid)
    for process in (server, *server.children()):
        name = "tritonserver" if process.pid == pid else f"stub {stubs.name(process.pid)}"
        group = f'groupname="{name}"'
        try:
            with process.oneshot():
                zombie = process.status() == psutil.STATUS_ZOMBIE
                times = process.cpu_times()
                memory = 0 if zombie else process.memory_full_info().pss
                start = process.create_time()
        except psutil.Error:
            continue  # ended meanwhile
        name = f"{PREFIX}_oldest_start_time_seconds{{{group}}}"
        started[name] = min(start, started.get(name, start))
        values[f"{PREFIX}_num_procs{{{group}}}"] += 1
        values[f'{PREFIX}_states{{{group},state="Zombie"}}'] += zombie
        values[f'{PREFIX}_memory_bytes{{{group},memtype="proportionalResident"}}'] += memory
        values[f'{PREFIX}_cpu_seconds_total{{{group},mode="user"}}'] += times.user
        values[f'{PREFIX}_cpu_seconds_total{{{group},mode="system"}}'] += times.system
    return "".join(f"{name} {value:.12g}\n" for name, value in {**started, **values}.items())


@contextmanager
def serving(settings: Settings, pid: int, stubs: Stubs) -> Iterator[None]:
    """Serve them on `settings.process_metrics_port` while the context is open; 0: nowhere."""
    if not settings.process_metrics_port:
        yield
        return

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            try:
                body = exposition(pid, stubs).encode()
            except psutil.NoSuchProcess:
                self.send_error(503)
                return
            self.send_response(200)
            self.send_header("Content-Type", "text/plain; version=0.0.4")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            """Log no requests: Prometheus sends one every few seconds."""

    with ThreadingHTTPServer((settings.host, settings.process_metrics_port), Handler) as server:
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield
        finally:
            server.shutdown()
