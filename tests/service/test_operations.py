"""The commands of docs/guides/operations.md do what the page says."""

import subprocess
from dataclasses import replace
from pathlib import Path

import doc_blocks
import pytest
from gateway_world import gateway_before
from waiting import eventually

from aurum.gateway import keys
from aurum.paths import CHECKOUT
from benchmarks.common import gateways

BLOCKS = list(doc_blocks.blocks("guides/operations.md").values())


@pytest.fixture(scope="module")
def gateway(best):
    with gateway_before(best) as world:
        yield world


@pytest.fixture
def type_in(gateway, best):
    """Run the page's block of that number, with the settings that the servers have."""
    settings = replace(best.settings, **{
        name: value
        for name, value in vars(gateway.gateway.settings).items()
        if name.startswith("gateway_")
    })  # fmt: skip
    folder = gateway.ca.parent
    changes = {
        "localhost:8443": f"localhost:{settings.gateway_port}",
        "127.0.0.1:8002": f"127.0.0.1:{settings.metrics_port}",
        "aurum/assets": str(CHECKOUT / "aurum" / "assets"),
        ".aurum/tritonserver-8000.log": str(best.server.log),
        ".aurum/gateway/run": "run",
        ".aurum/gateway": ".",
    }
    return lambda number: doc_blocks.run(
        BLOCKS[number], folder, changes, {**settings.to_env(), "AURUM_URL": best.urls[0]}
    )


def test_is_it_well(type_in):
    said = type_in(0)
    assert "1 face" in said
    assert "aurum_requests_total{" in said


def test_logs_and_their_rotation(type_in, gateway, astronaut):
    log = Path(gateway.gateway.settings.gateway_log)
    with gateway.client("http") as client:
        client.detect(astronaut)
        assert '"route":"infer"' in type_in(1)
        eventually(log.exists)
        client.detect(astronaut)
        eventually(lambda: len(gateway.log()) == 1)
    assert log.with_name("access.log.1").exists()


def test_a_key_is_replaced(type_in, gateway, astronaut):
    path = gateway.gateway.settings.gateway_keys
    old = keys.add(path, "my-app")
    new = type_in(2).split()[0]
    assert [name for name, _ in keys.read(path)].count("my-app") == 1
    statuses = []
    for key in (old, new):
        with gateway.http(Authorization=f"Bearer {key}") as http:
            statuses.append(http.get("/v2/models/analyze_faces/ready").status_code)
    assert statuses == [401, 200]


def test_a_certificate_is_replaced(type_in, gateway):
    folder = gateway.ca.parent
    before = gateway.serial()
    (new := folder / "new").mkdir()
    for name in ("ca.crt", "ca.key"):
        (new / name).write_bytes((folder / name).read_bytes())
    gateways.certificate(new)
    said = type_in(3)
    assert said.count("notAfter=") == 2
    eventually(lambda: gateway.serial() != before)
    checked = subprocess.run(
        ["openssl", "verify", "-CAfile", gateway.ca, folder / "tls.crt"], check=False
    )
    assert checked.returncode == 0
