"""The examples of the README, docs/guides/rollout.md and security.md run as pasted."""

import json
import shutil
import tempfile
from dataclasses import replace
from pathlib import Path

import doc_blocks
import numpy as np
import pytest
from aurum_client import FaceClient
from rollout_world import World

from aurum.gateway.run import installed
from benchmarks.common import gateways

EXAMPLES = doc_blocks.blocks("README.md")
HEADERS, ANSWER, DRAWN = (Path(f"/tmp/aurum-{name}") for name in ("headers", "answer", "drawn"))


@pytest.fixture
def run(best):
    """Run an example against the server; remove the files it writes before and after."""

    def clean():
        for path in (HEADERS, ANSWER):
            path.unlink(missing_ok=True)
        shutil.rmtree(DRAWN, ignore_errors=True)

    http, grpc = (url.rpartition(":")[2] for url in best.urls)
    ports = {"8000": http, "8001": grpc}
    clean()
    environment = {"AURUM_URL": best.urls[0]}
    yield lambda block: doc_blocks.run(block, ports=ports, environment=environment)
    clean()


def test_there_are_examples_of_every_kind_of_call():
    assert [block.language for block in EXAMPLES] == ["sh", "sh", "python", "python", "sh"]


def test_curl_with_json_gets_the_face(run):
    outputs = json.loads(run(EXAMPLES[0]))["outputs"]
    data = {item["name"]: np.reshape(item["data"], item["shape"]) for item in outputs}
    assert data["boxes"].shape == (1, 4)
    assert data["embeddings"].shape == (1, 512)
    assert np.linalg.norm(data["embeddings"][0]) == pytest.approx(1, abs=1e-5)


def test_curl_with_the_binary_form_gets_the_face(run):
    header = json.loads(run(EXAMPLES[1]))
    answer = ANSWER.read_bytes()
    sizes = {item["name"]: item["parameters"]["binary_data_size"] for item in header["outputs"]}
    blob = answer[len(answer) - sum(sizes.values()) :]
    start = 0
    for name, size in sizes.items():
        if name == "embeddings":
            embedding = np.frombuffer(blob[start : start + size], "<f4")
        start += size
    assert embedding.shape == (512,)
    assert np.linalg.norm(embedding) == pytest.approx(1, abs=1e-5)


def test_our_client_prints_the_face(run):
    (line,) = run(EXAMPLES[2]).splitlines()
    assert line.startswith("Box(x=")
    assert line.endswith("(512,)")


def test_a_plain_triton_client_gets_the_face(run):
    assert "(1, 512)" in run(EXAMPLES[3])


def test_the_command_line_detects_draws_and_compares(run):
    text = run(EXAMPLES[4])
    assert "1 face" in text
    assert "1.0000" in text
    assert (DRAWN / "astronaut.jpg").is_file()


def test_a_release_is_promoted_and_rolled_back(real, tmp_path):
    world = World(tmp_path, "edgeface-xs")
    before = world.ids()
    [block] = doc_blocks.blocks("docs/guides/rollout.md")
    try:
        text = doc_blocks.run(block, environment=world.settings.to_env())
        assert world.ids() == before
    finally:
        world.server.stop()
    assert "staged release 2" in text
    assert "edgeface_xxs_q@" in text


def test_the_gateway_accepts_the_first_certificate_and_key(best, astronaut):
    if not installed():
        pytest.skip("no nginx with njs: apt-get install nginx libnginx-mod-http-js")
    # Below /tmp: nginx's workers must be able to read the keys.
    with tempfile.TemporaryDirectory(prefix="aurum-checkout-") as name:
        Path(name).chmod(0o755)
        secrets = doc_blocks.as_checkout(Path(name)) / ".aurum" / "gateway"
        settings = replace(
            gateways.settled(best.settings, secrets), gateway_log=f"{name}/access.log"
        )
        block = doc_blocks.named("docs/guides/security.md")["start"]
        key = doc_blocks.run(block, Path(name), environment=settings.to_env()).split()[0]
        given = {"ca_file": secrets / "tls.crt", "headers": {"Authorization": f"Bearer {key}"}}
        url = f"https://localhost:{settings.gateway_port}"  # the certificate's name
        with gateways.Gateway(settings), FaceClient(url, **given) as client:
            assert len(client.detect(astronaut)) == 1
