"""A copy of the checkout with the service in containers, and ways to ask it."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import psutil
from aurum_client import AurumError, FaceClient
from engine import Engine
from stand_ins import DOCKERFILES, without_digests
from waiting import eventually

from aurum.paths import CHECKOUT, PHOTO
from aurum.server.ephemeral import free_ports
from aurum.settings import Settings
from benchmarks.common.gateways import certificate


class Project:
    """What an operator has: the files, and `docker compose` in their folder."""

    def __init__(self, engine: Engine, folder: Path) -> None:
        self.engine = engine
        self.folder = folder
        self.port, self._grafana = free_ports(2)
        self.ca = folder / "ca.pem"
        self.key = ""

    def furnish(self) -> None:
        """Copy the checkout, with what the docs expect there: a certificate, and `aurum`."""
        listed = subprocess.run(
            ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
            cwd=CHECKOUT,
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        compiled = CHECKOUT.glob("backends/*/*.so")
        for name in [*listed.split("\0"), *map(str, (p.relative_to(CHECKOUT) for p in compiled))]:
            if name and (source := CHECKOUT / name).is_file():
                target = self.folder / name
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(source, target)
        for name in DOCKERFILES:
            file = self.folder / name
            file.write_text(without_digests(file.read_text()))
        certificate(self.folder)
        for made, given in {
            "ca.crt": "ca.pem",
            "tls.crt": "server-chain.pem",
            "tls.key": "server.key",
        }.items():
            shutil.copy(self.folder / made, self.folder / given)
        command = self.folder / ".venv" / "bin" / "aurum"
        command.parent.mkdir(parents=True)
        command.write_text(
            f"#!/bin/sh\nPYTHONPATH={self.folder}:{self.folder}/client/python/src "
            f"exec {sys.executable} -c 'from aurum.cli.app import main; main()' \"$@\"\n"
        )
        command.chmod(0o755)

    def follow(self, block: str) -> str:
        """Run the docs' commands as they are, but for `make setup`, the password and the ports."""
        settings = {
            "GRAFANA_ADMIN_PASSWORD": "a-password",
            "AURUM_GATEWAY_PUBLISH": f"127.0.0.1:{self.port}",
            "GRAFANA_PUBLISH": str(self._grafana),
            "AURUM_GATEWAY_RATE": "10000",  # the tests' load is no abuse
            "AURUM_GATEWAY_BURST": "10000",
        }
        edits = "\n".join(f"sed -i 's/^#*{key}=.*/{key}={value}/' .env" for key, value
                          in settings.items())  # fmt: skip
        script = block.replace("make setup\n", "").replace(":8443/", f":{self.port}/")
        script = re.sub(
            r"^cp \.env\.example .*$", f"cp .env.example .env\n{edits}", script, count=1, flags=re.M
        )
        cache = str(Settings.from_env().model_cache)
        done = subprocess.run(
            ["bash", "-euxo", "pipefail", "-c", script],
            cwd=self.folder,
            env={**self.engine.environment, "AURUM_MODEL_CACHE": cache},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, f"{done.stdout[-2000:]}\n{done.stderr[-5000:]}"
        if found := re.search(r"^aurum_\S+$", done.stdout, re.M):
            self.key = found[0]
        return done.stdout

    def compose(self, *arguments: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        """Run `docker compose` with these arguments."""
        return self.engine.run("compose", *arguments, cwd=self.folder, check=check)

    def containers(self, service: str) -> list[str]:
        """The containers of a service, running or not."""
        return self.compose("ps", "-aq", service).stdout.split()

    def inspect(self, service: str) -> dict[str, Any]:
        """What the engine says of a service's only container."""
        (container,) = self.containers(service)
        (shown,) = json.loads(self.engine.out("inspect", container))
        return shown

    def health(self, service: str) -> str:
        """As its health check has it."""
        (container,) = self.containers(service)
        return self.engine.out("inspect", "-f", "{{.State.Health.Status}}", container)

    def execute(self, service: str, *command: str, check: bool = True) -> str:
        """What a command in a service's container prints."""
        return self.compose("exec", "-T", service, *command, check=check).stdout

    def process(self, pattern: str) -> psutil.Process:
        """A process in Triton's container, by its command line."""
        (container,) = self.containers("triton")
        return self.engine.process(container, pattern)

    def client(self, protocol: str = "http", **options: Any) -> FaceClient:
        """Ours, through the gateway, with its defaults unless others are given."""
        scheme = "grpcs" if protocol == "grpc" else "https"
        headers = {"Authorization": f"Bearer {self.key}"}
        url = f"{scheme}://localhost:{self.port}"
        return FaceClient(url, ca_file=self.ca, headers=headers, **options)

    def curl(self, path: str, *arguments: str) -> tuple[int, str]:
        """Status and body of what the gateway answers."""
        done = subprocess.run(
            ["curl", "-s", "--cacert", self.ca, "-w", "\n%{http_code}", *arguments,
             f"https://localhost:{self.port}{path}"],
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        body, _, status = done.stdout.rpartition("\n")
        return int(status), body

    def answers(self, seconds: float = 90) -> None:
        """Wait until a photo is answered, over both protocols, and Triton is healthy."""
        for protocol in ("http", "grpc"):
            with self.client(protocol, retries=0, timeout=20) as client:

                def answered(client: FaceClient = client) -> bool:
                    try:
                        return bool(client.detect(PHOTO.read_bytes()))
                    except AurumError:
                        return False

                eventually(answered, seconds, pause=0.3)
        eventually(lambda: self.health("triton") == "healthy", seconds, pause=0.5)

    def prometheus(self, path: str) -> Any:
        """The data of an answer of Prometheus' API."""
        url = f"http://127.0.0.1:9090/api/v1/{path}"
        return json.loads(self.execute("prometheus", "wget", "-qO-", url))["data"]
