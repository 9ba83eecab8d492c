"""The commands of docs/guides/operations.md do what the page says."""

import subprocess
from dataclasses import replace
from pathlib import Path

import doc_blocks
import pytest
from edge_world import edge_before
from waiting import eventually

from aurum.edge import keys, private
from aurum.settings import CHECKOUT

BLOCKS = list(doc_blocks.blocks("guides/operations.md").values())


@pytest.fixture(scope="module")
def edge(best):
    with edge_before(best) as world:
        yield world


@pytest.fixture
def type_in(edge, best):
    """Run the page's block of that number, with the settings that the servers have."""
    settings = replace(best.settings, **{
        name: value for name, value in vars(edge.edge.settings).items() if name.startswith("edge_")
    })  # fmt: skip
    folder = edge.ca.parent
    changes = {
        "localhost:8443": f"localhost:{settings.edge_port}",
        "127.0.0.1:8002": f"127.0.0.1:{settings.metrics_port}",
        "aurum/assets": str(CHECKOUT / "aurum" / "assets"),
        ".aurum/tritonserver-8000.log": str(best.server.log),
        ".aurum/edge/run": "run",
        ".aurum/edge": ".",
    }
    return lambda number: doc_blocks.run(
        BLOCKS[number], folder, changes, {**settings.to_env(), "AURUM_URL": best.urls[0]}
    )


def test_is_it_well(type_in):
    said = type_in(0)
    assert "1 face" in said
    assert "aurum_requests_total{" in said


def test_logs_and_their_rotation(type_in, edge, astronaut):
    log = Path(edge.edge.settings.edge_log)
    with edge.client("http") as client:
        client.detect(astronaut)
        assert '"route":"infer"' in type_in(1)
        eventually(log.exists)
        client.detect(astronaut)
        eventually(lambda: len(edge.log()) == 1)
    assert log.with_name("access.log.1").exists()


def test_a_key_is_replaced(type_in, edge, astronaut):
    path = edge.edge.settings.edge_keys
    old = keys.add(path, "my-app")
    new = type_in(2).split()[0]
    assert [name for name, _ in keys.read(path)].count("my-app") == 1
    statuses = []
    for key in (old, new):
        with edge.http(Authorization=f"Bearer {key}") as http:
            statuses.append(http.get("/v2/models/analyze_faces/ready").status_code)
    assert statuses == [401, 200]


def test_a_certificate_is_replaced(type_in, edge):
    folder = edge.ca.parent
    before = edge.serial()
    (new := folder / "new").mkdir()
    for name in ("ca.crt", "ca.key"):
        (new / name).write_bytes((folder / name).read_bytes())
    private.certificate(new)
    said = type_in(3)
    assert said.count("notAfter=") == 2
    eventually(lambda: edge.serial() != before)
    checked = subprocess.run(
        ["openssl", "verify", "-CAfile", edge.ca, folder / "tls.crt"], check=False
    )
    assert checked.returncode == 0
