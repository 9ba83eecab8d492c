"""The commands of docs/guides/backup.md: after a wipe and a restore, everything is served again."""

import shutil
import subprocess
import tempfile
from dataclasses import replace
from pathlib import Path

import doc_blocks
import pytest
from aurum_client import FaceClient
from other_models import altered, stage
from rollout_world import World
from scenario_world import redis
from waiting import eventually

from aurum.gateway import keys, run
from aurum.server.ephemeral import free_ports
from aurum.server.server import Server
from benchmarks.common import gateways

BLOCKS = doc_blocks.named("docs/guides/backup.md")


@pytest.fixture
def folder():
    """Below /tmp, as nginx's workers must read the keys; it stands for the checkout."""
    with tempfile.TemporaryDirectory(prefix="aurum-backup-") as name:
        Path(name).chmod(0o755)
        yield Path(name)


def test_release_and_keys_are_the_same_after_a_restore(folder, tmp_path, astronaut):
    if not run.installed():
        pytest.skip("no nginx with njs: apt-get install nginx libnginx-mod-http-js")
    world = World(folder, "simulated")
    checkout = world.settings.repositories
    (secrets := checkout / ".aurum" / "gateway").mkdir(parents=True)
    gateways.certificate(secrets)
    settings = replace(
        gateways.settled(world.settings, secrets), gateway_log=str(folder / "access.log")
    )
    key = keys.add(settings.gateway_keys, "my-app")
    given = {"ca_file": secrets / "ca.crt", "headers": {"Authorization": f"Bearer {key}"}}

    def ask():
        with gateways.Gateway(settings) as gateway, FaceClient(gateway.url, **given) as client:
            return client.analyze(astronaut).models

    try:
        stage(world.settings, {"face_embedding": altered(
            world.old.graphs["face_embedding"], tmp_path / "other.onnx", projection=-1
        ), "face_detection": altered(
            world.old.graphs["face_detection"], tmp_path / "detector.onnx", unit_boxes=0.9
        ), "face_landmarks": altered(
            world.old.graphs["face_landmarks"], tmp_path / "landmarks.onnx"
        )})  # fmt: skip
        world.mark_validated()
        promoted = world.rollout.promote(new_embedding_space=True)
        before = ask()
        assert before.embedder == promoted.ids["face_embedding"]
        doc_blocks.run(BLOCKS["backup"], checkout)
    finally:
        world.server.stop()
    archive = checkout / "backup" / "aurum.tar.gz"
    assert archive.stat().st_mode & 0o077 == 0

    shutil.rmtree(checkout / ".aurum")
    for graphs in (checkout / "model_repository").glob("*/1"):
        shutil.rmtree(graphs)  # as in a fresh clone
    doc_blocks.run(BLOCKS["restore"], checkout)
    with Server(world.settings) as server:
        server.wait_ready()
        assert ask() == before


def test_jobs_waiting_in_redis_survive_a_restore(tmp_path):
    (tmp_path / "first").mkdir()
    (tmp_path / "second").mkdir()
    (port,) = free_ports(1)

    def cli(number, *words):
        command = ["redis-cli", "-p", str(number), *words]
        return subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip()

    with redis(tmp_path / "first") as url:
        old = url.rpartition(":")[2]
        for job in range(50):
            cli(old, "rpush", "bull:faceScoring:wait", str(job))
        doc_blocks.run(BLOCKS["backup_jobs"], tmp_path, {"6379": old})
    shutil.rmtree(tmp_path / "first")

    # Redis's own folder may hold other jobs, so the page has a variable for it.
    folder = {"REDIS_FOLDER": str(tmp_path / "second")}
    doc_blocks.run(BLOCKS["restore_jobs"], tmp_path, {"6379": str(port)}, folder)
    try:
        assert cli(port, "llen", "bull:faceScoring:wait") == "50"
        assert cli(port, "config", "get", "appendonly").split() == ["appendonly", "yes"]
        eventually(lambda: "aof_rewrite_in_progress:0" in cli(port, "info", "persistence"))
    finally:
        cli(port, "shutdown")
    # From now on it is started as usual, and reads its append-only file.
    process = subprocess.Popen(
        ["redis-server", "--port", str(port), "--dir", tmp_path / "second", "--appendonly", "yes"],
        stdout=subprocess.DEVNULL,
    )
    try:
        eventually(lambda: cli(port, "llen", "bull:faceScoring:wait") == "50")
    finally:
        process.terminate()
        process.wait()
