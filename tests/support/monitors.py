"""The real Prometheus, Alertmanager and exporters with the files of monitoring/, on free ports."""

from __future__ import annotations

import re
import shutil
import ssl
import subprocess
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx
import psutil
import waiting
from in_thread import in_thread

from aurum.paths import CHECKOUT
from aurum.server.ephemeral import Service, free_ports

FOLDER = CHECKOUT / "monitoring"
INTERVAL = "4s"  # between two scrapes
DAYS = 30  # for which the stand-in gateway's certificate is valid


@dataclass(frozen=True)
class Monitors:
    """Where Prometheus and Alertmanager answer."""

    prometheus: str
    alertmanager: str
    logs: list[Path] = field(default_factory=list)

    def ask(self, path: str, **parameters: str) -> Any:
        """Return the data of Prometheus's answer."""
        answer = httpx.get(f"{self.prometheus}/api/v1/{path}", params=parameters, timeout=30).json()
        assert answer["status"] == "success", answer
        return answer["data"]

    def query(self, expression: str) -> list[tuple[dict[str, str], float]]:
        """Evaluate an expression now; return its series, each with its value."""
        result = self.ask("query", query=expression)["result"]
        return [(item["metric"], float(item["value"][1])) for item in result]

    def alerts(self) -> dict[str, str]:
        """The state of each pending or firing alert, by name."""
        return {item["labels"]["alertname"]: item["state"] for item in self.ask("alerts")["alerts"]}


def eventually(look: Callable[[], Any], seconds: float = 60) -> Any:
    """Poll `look` until it returns something true; a program that starts may not answer yet."""

    def try_to() -> Any:
        with suppress(httpx.TransportError):
            return look()

    return waiting.eventually(try_to, seconds, pause=0.2)


@contextmanager
def monitoring(service: Service, folder: Path) -> Iterator[Monitors]:
    """Monitor `service` at short intervals, with alerts that fire without a delay."""
    prometheus, alertmanager, cluster, blackbox, processes = free_ports(5)
    with ExitStack() as stack:
        gateway = stack.enter_context(_tls_server(folder))
        settings = service.settings
        _copy_configuration(
            folder,
            _folder(service.server.pid),
            {
                "http://triton:8000": settings.http_url,
                "triton:8002": f"127.0.0.1:{settings.metrics_port}",
                "gateway:8443": f"127.0.0.1:{gateway}",
                "blackbox:9115": f"127.0.0.1:{blackbox}",
                "triton:8004": f"127.0.0.1:{processes}",
                "alertmanager:9093": f"127.0.0.1:{alertmanager}",
                "_interval: 15s": f"_interval: {INTERVAL}",
            },
        )
        logs = []
        for name, arguments in {
            "prometheus-blackbox-exporter": [
                "--config.file=blackbox.yml",
                f"--web.listen-address=127.0.0.1:{blackbox}",
            ],
            "prometheus-process-exporter": [
                "-config.path=process-exporter.yml",
                "-recheck",
                "-threads=false",
                f"-web.listen-address=127.0.0.1:{processes}",
            ],
            "prometheus-alertmanager": [
                "--config.file=alertmanager.yml",
                "--storage.path=alertmanager",
                f"--web.listen-address=127.0.0.1:{alertmanager}",
                f"--cluster.listen-address=127.0.0.1:{cluster}",
            ],
            "prometheus": [
                "--config.file=prometheus.yml",
                "--storage.tsdb.path=prometheus",
                f"--web.listen-address=127.0.0.1:{prometheus}",
            ],
        }.items():
            logs.append(folder / f"{name}.log")
            stack.enter_context(_process([name, *arguments], logs[-1], folder))
        monitors = Monitors(
            f"http://127.0.0.1:{prometheus}", f"http://127.0.0.1:{alertmanager}", logs
        )
        for address in (monitors.prometheus, monitors.alertmanager):
            eventually(lambda address=address: httpx.get(f"{address}/-/ready").status_code == 200)
        yield monitors


def _folder(pid: int) -> Path:
    """The folder that only this tritonserver and its stubs have in their command lines."""
    (backends,) = (
        argument.partition("=")[2]
        for argument in psutil.Process(pid).cmdline()
        if argument.startswith("--backend-directory=")
    )
    return Path(backends).parent


def _copy_configuration(folder: Path, server: Path, replacements: dict[str, str]) -> None:
    """Copy monitoring/ with other addresses and times, for the server of one folder."""
    for path in FOLDER.glob("*.yml"):
        text = path.read_text("utf-8")
        if path.name == "prometheus.yml":
            for old, new in replacements.items():
                assert old in text, old
                text = text.replace(old, new)
        if path.name == "process-exporter.yml":  # only this server of all on this machine
            text = text.replace("_stub .*", f"_stub .*{server}.*")
            text = text.replace("[tritonserver]", f"[tritonserver]\n    cmdline: ['{server}']")
        if path.name == "alerts.yml":
            text = re.sub(r"( for:) \w+", r"\1 0s", text)
        if path.name == "alertmanager.yml":
            text = text.replace("group_wait: 30s", "group_wait: 0s")
        (folder / path.name).write_text(text, "utf-8")


@contextmanager
def _process(command: list[str], log: Path, folder: Path) -> Iterator[None]:
    program = shutil.which(command[0])
    assert program, f"{command[0]} is missing: make setup"
    with (
        log.open("wb") as output,
        subprocess.Popen(
            [program, *command[1:]], cwd=folder, stdout=output, stderr=subprocess.STDOUT
        ) as process,
    ):
        try:
            yield
        finally:
            process.terminate()


class _HandshakeOnly(BaseHTTPRequestHandler):
    """Accepts a TLS handshake, nothing else."""

    def log_message(self, *args: object) -> None:
        """Keep requests out of the tests' output."""


@contextmanager
def _tls_server(folder: Path) -> Iterator[int]:
    """Run a TLS server with a certificate in place of the gateway; yield its port."""
    subprocess.run(
        "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes "
        f"-subj /CN=gateway -keyout key.pem -out cert.pem -days {DAYS}".split(),
        cwd=folder,
        check=True,
        capture_output=True,
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "cert.pem", folder / "key.pem")
    server = ThreadingHTTPServer(("127.0.0.1", 0), _HandshakeOnly)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    with in_thread(server):
        yield server.server_port
