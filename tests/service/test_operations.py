"""The commands of docs/guides/operations.md run as pasted and do what the page says."""

import subprocess
from dataclasses import replace
from pathlib import Path

import doc_blocks
import pytest
from gateway_world import gateway_for
from waiting import eventually

from aurum.gateway import keys
from benchmarks.common import gateways

BLOCKS = doc_blocks.blocks("docs/guides/operations.md")


@pytest.fixture(scope="module")
def gateway(best):
    with gateway_for(best) as world:
        yield world


@pytest.fixture(scope="module")
def checkout(gateway, best):
    """The gateway's folder as a checkout, so that the page's own paths lead to its files."""
    folder = doc_blocks.as_checkout(gateway.ca.parent)
    (folder / ".aurum" / "gateway").symlink_to(folder)
    (folder / ".aurum" / "tritonserver-8000.log").symlink_to(best.server.log)
    return folder


@pytest.fixture
def run_block(gateway, best, checkout):
    """Run the page's block with this number, with the servers' settings."""
    own = vars(gateway.gateway.settings).items()
    settings = replace(
        best.settings, **{name: value for name, value in own if name.startswith("gateway_")}
    )
    ports = {"8443": str(settings.gateway_port), "8002": str(settings.metrics_port)}
    environment = {**settings.to_env(), "AURUM_URL": best.urls[0]}
    return lambda number: doc_blocks.run(BLOCKS[number], checkout, ports, environment)


def test_the_health_commands_work(run_block):
    said = run_block(0)
    assert "1 face" in said
    assert "aurum_requests_total{" in said


def test_logs_are_shown_and_rotated(run_block, gateway, astronaut):
    log = Path(gateway.gateway.settings.gateway_log)
    with gateway.client("http") as client:
        client.detect(astronaut)
        assert '"route":"infer"' in run_block(1)
        eventually(log.exists)
        client.detect(astronaut)
        eventually(lambda: len(gateway.log()) == 1)
    assert log.with_name("access.log.1").exists()


def test_a_key_is_replaced(run_block, gateway, astronaut):
    path = gateway.gateway.settings.gateway_keys
    old = keys.add(path, "my-app")
    new = run_block(2).split()[0]
    assert [name for name, _ in keys.read(path)].count("my-app") == 1
    statuses = []
    for key in (old, new):
        with gateway.http(Authorization=f"Bearer {key}") as http:
            statuses.append(http.get("/v2/models/analyze_faces/ready").status_code)
    assert statuses == [401, 200]


def test_a_certificate_is_replaced(run_block, gateway):
    folder = gateway.ca.parent
    before = gateway.serial()
    (new := folder / "new").mkdir()
    for name in ("ca.crt", "ca.key"):
        (new / name).write_bytes((folder / name).read_bytes())
    gateways.certificate(new)
    said = run_block(3)
    assert said.count("notAfter=") == 2
    eventually(lambda: gateway.serial() != before)
    checked = subprocess.run(
        ["openssl", "verify", "-CAfile", gateway.ca, folder / "tls.crt"], check=False
    )
    assert checked.returncode == 0
