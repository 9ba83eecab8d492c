"""Nothing that we start stores an id or sends telemetry: observed with strace, in an empty home.

onnxruntime does both by default, except on machines that look like CI, so the variables that
indicate CI are removed.
"""

from __future__ import annotations

import ipaddress
import os
import re
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from aurum.paths import CHECKOUT, PHOTO
from aurum.server.ephemeral import prepare_repositories
from aurum.settings import Settings

_ADDRESS = re.compile(r'(?:inet_addr\(|inet_pton\(AF_INET6, )"([^"]+)"')

# Builds, checks and serves graphs, and has photos analyzed, as `make serve` and clients do.
_SERVE = """
import sys
from dataclasses import replace
from pathlib import Path
from aurum_client import FaceClient
from aurum.paths import PHOTO
from aurum.server.ephemeral import running
from aurum.settings import Settings

folder = Path(sys.argv[1])
settings = replace(Settings.from_env(), profile="simulated", model_cache=folder / "cache")
with running(settings, folder) as service:
    for url in service.urls:
        with FaceClient(url, timeout=60) as client:
            assert client.analyze(PHOTO).models.embedder
"""
# As in benchmarks, which import onnxruntime before any module of the service.
_MEASURE = """
import sys
from benchmarks.baselines.plain import ort
ort.InferenceSession(sys.argv[1], providers=["CPUExecutionProvider"])
"""
_TEST = "tests/unit/models/test_families_rewrite.py"
_NODE = """
const { FaceClient } = require("./client/node");
const [models, photo] = process.argv.slice(1);
const local = { models, threads: 1 };
const client = new FaceClient({ urls: "http://127.0.0.1:1", retries: 0, timeoutMs: 60000, local });
client.detect(photo).then(async ({ source }) => {
  await client.close();
  process.exitCode = source === "local" ? 0 : 1;
});
"""


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model repository with simulated graphs."""
    folder = tmp_path_factory.mktemp("models")
    prepare_repositories(replace(Settings.from_env(), profile="simulated"), folder)
    return folder / "model_repository"


def watched(command: list[str], folder: Path) -> tuple[set[str], list[str]]:
    """Return what `command` contacted beyond this machine, and what it left in its home."""
    home, log = folder / "home", folder / "strace"
    home.mkdir()
    telling = ("CI", "BUILD_", "ORT_", "XDG_", "GITHUB_", "PYTEST_")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(telling)}
    kept |= {"HOME": str(home), "PATH": f"{CHECKOUT / '.venv/bin'}{os.pathsep}{kept['PATH']}"}
    strace = ["strace", "-f", "-qq", "--seccomp-bpf", "-e", "trace=connect,sendto", "-o", str(log)]
    run = subprocess.run(
        [*strace, *command], env=kept, cwd=CHECKOUT, capture_output=True, text=True, check=False
    )
    assert run.returncode == 0, run.stdout + run.stderr
    asked = {_plain(one) for one in _ADDRESS.findall(log.read_text())}
    beyond = {str(one) for one in asked if not one.is_loopback}
    return beyond, [str(path) for path in home.rglob("*")]


def _plain(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address:
    address = ipaddress.ip_address(text)
    return getattr(address, "ipv4_mapped", None) or address


@pytest.mark.parametrize("kind", ["service", "benchmark", "test", "node"])
def test_nothing_is_stored_or_sent(kind: str, models: Path, tmp_path: Path):
    model = models / "face_landmarks" / "1" / "model.onnx"
    pytest_alone = ["-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", "--no-header", _TEST]
    command = {
        "service": ["python", "-c", _SERVE, str(tmp_path / "service")],
        "benchmark": ["python", "-c", _MEASURE, str(model)],
        "test": ["python", *pytest_alone],
        "node": ["node", "-e", _NODE, str(models), str(PHOTO)],
    }[kind]
    asked, kept = watched(command, tmp_path)
    assert (asked, kept) == (set(), [])


def test_strace_sees_onnxruntimes_telemetry_if_it_is_left_on(models: Path, tmp_path: Path):
    """Otherwise silence would prove nothing; fails with a wheel that has no telemetry."""
    script = "import sys, onnxruntime as o; o.InferenceSession(sys.argv[1])"
    model = models / "face_landmarks" / "1" / "model.onnx"
    _, kept = watched(["python", "-c", script, str(model)], tmp_path)
    assert any("onnxruntime" in path for path in kept)
