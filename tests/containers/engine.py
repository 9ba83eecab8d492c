"""A Docker engine of the tests' own, of which nothing is left when it stops."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import psutil
from waiting import eventually

FORWARDING = Path("/proc/sys/net/ipv4/ip_forward")
PROGRAM = "/usr/bin/docker"  # Debian's, as old as its engine


class CannotRunError(Exception):
    """No Docker engine can run on this machine; the message is the end of its log."""


@dataclass(frozen=True)
class Engine:
    """A running engine, with the Docker command line for it."""

    folder: Path

    @property
    def environment(self) -> dict[str, str]:
        """In which `docker` and `docker compose` talk to it."""
        return {
            **os.environ,
            "PATH": f"{self.folder / 'bin'}{os.pathsep}{os.environ['PATH']}",
            "DOCKER_HOST": f"unix://{self.folder}/docker.sock",
            "DOCKER_CONFIG": str(self.folder / "config"),
        }

    @property
    def containers(self) -> Path:
        """Where it keeps the containers' logs."""
        return self.folder / "data" / "containers"

    def run(
        self, *arguments: str | Path, check: bool = True, **options: object
    ) -> subprocess.CompletedProcess[str]:
        """Run `docker` with these arguments; its output."""
        done = subprocess.run(
            ["docker", *map(str, arguments)],
            env=self.environment,
            capture_output=True,
            text=True,
            check=False,
            **options,
        )
        assert not check or done.returncode == 0, f"{arguments}: {done.stdout}\n{done.stderr}"
        return done

    def process(self, container: str, pattern: str) -> psutil.Process:
        """The process in a container whose command line matches; as this machine sees it."""
        pids = self.out("top", container, "-eo", "pid").split()[1:]
        found = [process for process in map(psutil.Process, map(int, pids))
                 if re.search(pattern, " ".join(process.cmdline()))]  # fmt: skip
        (only,) = found
        return only

    def out(self, *arguments: str | Path, **options: object) -> str:
        """What `docker` with these arguments prints."""
        return self.run(*arguments, **options).stdout.strip()


@contextmanager
def running(folder: Path, compose: Path) -> Iterator[Engine]:
    """Start an engine that keeps everything in `folder`."""
    for name in ("bin", "config/cli-plugins", "data", "exec"):
        (folder / name).mkdir(parents=True)
    (folder / "bin" / "docker").symlink_to(PROGRAM)
    (folder / "config" / "cli-plugins" / "docker-compose").symlink_to(compose)
    engine = Engine(folder)
    with _network_as_before(), (folder / "dockerd.log").open("wb") as log:
        process = subprocess.Popen(
            [
                "dockerd",
                f"--data-root={folder}/data",
                f"--exec-root={folder}/exec",
                f"--pidfile={folder}/docker.pid",
                f"--host=unix://{folder}/docker.sock",
                "--exec-opt=native.cgroupdriver=cgroupfs",
                "--default-ulimit=nofile=20000:20000",
                "--default-ulimit=nproc=4096:4096",
                "--bip=10.200.0.1/24",
                "--default-address-pool=base=10.201.0.0/16,size=24",
            ],
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,  # Ctrl-C is for the tests, which then stop it
        )
        try:
            eventually(lambda: _answers(engine, process), seconds=60)
            yield engine
        finally:
            _stop(engine, process)


def _answers(engine: Engine, process: subprocess.Popen[bytes]) -> bool:
    log = engine.folder / "dockerd.log"
    if process.poll() is not None:
        raise CannotRunError(f"dockerd ended: {log.read_text()[-300:].strip()}")
    return engine.run("version", check=False).returncode == 0


def _stop(engine: Engine, process: subprocess.Popen[bytes]) -> None:
    if process.poll() is None:
        if left := engine.run("ps", "-aq", check=False).stdout.split():
            engine.run("rm", "-f", *left, check=False)
        engine.run("network", "prune", "-f", check=False)
        process.terminate()
    with suppress(subprocess.TimeoutExpired):
        process.wait(timeout=60)
    with suppress(ProcessLookupError):  # containerd is of its session
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    mounted = (line.split()[1] for line in Path("/proc/mounts").read_text().splitlines())
    for point in sorted((p for p in mounted if p.startswith(str(engine.folder))), reverse=True):
        subprocess.run(["umount", "-l", point], check=False)
    shutil.rmtree(engine.folder, ignore_errors=True)


@contextmanager
def _network_as_before() -> Iterator[None]:
    """Take back what an engine changes in the machine's network: rules, a policy, a bridge."""
    forwarding = FORWARDING.read_text()
    before = {table: _rules(table) for table in ("filter", "nat")}
    links = _links()
    try:
        yield
    finally:
        for table, kept in before.items():
            added = [rule for rule in _rules(table) if rule not in kept]
            for rule in [item for item in added if item[0] == "-A"]:
                _iptables(table, "-D", *rule[1:])
            for rule in [item for item in added if item[0] == "-N"]:
                _iptables(table, "-X", *rule[1:])
            for rule in [item for item in kept if item[0] == "-P"]:
                _iptables(table, *rule)
        for link in _links() - links:
            subprocess.run(["ip", "link", "delete", link], check=False, capture_output=True)
        FORWARDING.write_text(forwarding)


def _rules(table: str) -> list[list[str]]:
    return [shlex.split(line) for line in _iptables(table, "-S").splitlines()]


def _iptables(table: str, *arguments: str) -> str:
    command = ["iptables", "-w", "-t", table, *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False).stdout


def _links() -> set[str]:
    names = {path.name for path in Path("/sys/class/net").iterdir()}
    return {name for name in names if name == "docker0" or name.startswith("br-")}
