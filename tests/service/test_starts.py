"""Starts that can't work are refused at once in one line; other problems don't stop a start."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import time
from dataclasses import replace
from pathlib import Path

import psutil
import pytest
from aurum_client import FaceClient
from up_process import AURUM
from waiting import eventually

from aurum.models import build
from aurum.server.server import Server, ServerError
from benchmarks.common import processes
from benchmarks.robustness.failures import Clients


def said(running) -> str:
    """The one line with the reason of the refusal."""
    (line,) = [line for line in running.text.splitlines() if line.startswith("aurum: ")]
    assert "Traceback" not in running.text
    return line


def in_a_namespace(settings, *mounts: str) -> subprocess.CompletedProcess[str]:
    """Run `aurum up` with its own mounts; skip if mounting is not allowed."""
    if subprocess.run(["unshare", "-m", "true"], check=False, capture_output=True).returncode:
        pytest.skip("mounting is not allowed here")
    script = " && ".join([*mounts, f"exec '{AURUM}' up"])
    return subprocess.run(
        ["unshare", "-m", "sh", "-c", script],
        env={**os.environ, **settings.to_env()},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


def refused(ended: subprocess.CompletedProcess[str]) -> str:
    assert ended.returncode == 1
    (line,) = ended.stderr.splitlines()
    return line


@pytest.mark.parametrize("shared", ["repositories", "nothing but the machine"])
def test_a_second_server_for_the_port_is_refused_and_the_first_keeps_running(
    up, settings, astronaut, tmp_path, shared
):
    running = up()
    running.wait_for("Ctrl-C")
    second = replace(settings, host="127.0.0.2", playground=False)
    if shared != "repositories":
        second = replace(second, repositories=tmp_path / "other", log_folder=tmp_path / "log")
        for name in ("model_repository", "python_backends", "ensembles"):
            shutil.copytree(settings.repositories / name, tmp_path / "other" / name)
    files = {path: path.stat().st_ino for path in settings.rollout.rglob("*")}
    late = up(second)
    assert late.end() == 1
    assert f"another server (process {running.process.pid}) with HTTP port" in said(late)
    assert {path: path.stat().st_ino for path in settings.rollout.rglob("*")} == files
    with FaceClient(settings.http_url) as client:
        client.analyze(astronaut)
    told = subprocess.run(
        [AURUM, "rollout", "status"],
        env={**os.environ, **settings.to_env()},
        capture_output=True,
        text=True,
        check=True,
    )
    assert f"server:    {settings.http_url}, versions loaded" in told.stdout


def test_the_port_is_free_again_after_a_kill(up, settings):
    running = up()
    running.wait_for("Ctrl-C")
    children = psutil.Process(running.process.pid).children(recursive=True)
    running.process.kill()
    running.end()
    psutil.wait_procs(children, timeout=30)
    up().wait_for("Ctrl-C")


@pytest.mark.parametrize("gone", ["file", "folder"])
def test_a_missing_graph_is_named(settings, gone):
    build.install(build.prepare(settings), settings.repositories / "model_repository")
    model = settings.repositories / "model_repository" / "face_embedding"
    if gone == "file":
        (model / "1" / "model.onnx").unlink()
    else:
        shutil.rmtree(model)
    server = Server(settings)
    with pytest.raises(ServerError, match=r"face_embedding/1/model\.onnx is missing: `aurum mod"):
        server.start()
    assert not server.log.exists()  # tritonserver was not started
    assert not (settings.rollout / "live" / str(settings.http_port)).exists()


def test_too_little_shared_memory_is_refused_with_the_minimum(settings):
    line = refused(in_a_namespace(settings, "mount -t tmpfs -o size=64m none /dev/shm"))
    assert "/dev/shm has 64 MiB, and 256 MiB are the minimum" in line
    assert "--shm-size" in line


def test_a_full_disk_at_the_start_is_reported_in_one_line(settings, tmp_path):
    disk = tmp_path / ".aurum"
    disk.mkdir()
    build.install(build.prepare(settings), settings.repositories / "model_repository")
    line = refused(in_a_namespace(settings, f"mount -t tmpfs -o size=64k none '{disk}'"))
    assert "No space left" in line
    assert "free some space" in line


def test_a_folder_that_cannot_be_written_is_named_with_its_setting(settings, tmp_path):
    settings = replace(settings, log_folder=tmp_path / "log")
    (tmp_path / "log").mkdir()
    mount = f"mount --bind '{tmp_path}/log' '{tmp_path}/log'"
    remount = f"mount -o remount,bind,ro '{tmp_path}/log'"
    line = refused(in_a_namespace(settings, mount, remount))
    assert line.startswith(f"aurum: {tmp_path}/log can't be written; set AURUM_LOG_FOLDER")


def test_an_empty_cache_that_cannot_be_written_is_named_with_its_setting(settings, tmp_path):
    cache = tmp_path / "cache"
    cache.mkdir()
    remount = f"mount -o remount,bind,ro '{cache}'"
    line = refused(
        in_a_namespace(
            replace(settings, model_cache=cache), f"mount --bind '{cache}' '{cache}'", remount
        )
    )
    assert line == f"aurum: {cache} can't be written; set AURUM_MODEL_CACHE to a folder that can"


def test_a_path_with_a_space_and_a_quote_works(up, settings, tmp_path):
    """Triton passes the step's path to a shell."""
    moved = tmp_path.parent / f"{tmp_path.name} zoë's"
    tmp_path.rename(moved)
    tmp_path.mkdir()  # for pytest to remove
    up(replace(settings, repositories=moved)).wait_for("Ctrl-C")


def test_closing_the_terminal_drains(up):
    running = up()
    running.wait_for("Ctrl-C")
    running.process.send_signal(signal.SIGHUP)
    assert running.end() == 0
    assert "stopped" in running.text


def test_removed_served_files_are_detected_and_restored(up, settings, astronaut):
    running = up()
    running.wait_for("Ctrl-C")
    live = settings.rollout / "live" / str(settings.http_port)
    shutil.rmtree(live / "ensembles" / "analyze_faces")
    running.wait_for("the server answers again, after ")
    assert f"files that it serves were removed: {live}" in running.text
    with FaceClient(settings.http_url) as client:
        client.analyze(astronaut)


@pytest.mark.parametrize("killed_by", [signal.SIGABRT, signal.SIGKILL])
def test_a_server_that_dies_during_its_first_start_is_restarted(up, killed_by):
    running = up()

    def server() -> psutil.Process | None:
        found = processes.server_of(running.process.pid)
        return found if found and found.children() else None

    eventually(server, pause=0.01).send_signal(killed_by)
    running.wait_for("Ctrl-C")
    deaths = [line for line in running.text.splitlines() if "during the start" in line]
    assert deaths == [f"tritonserver ended (killed by {killed_by.name}) during the start"]


def test_after_a_pause_it_answers_and_any_death_is_reported_in_one_line(up, settings):
    """Shorter than a hang, but Triton 2.51 may lose a lock (docs/design/failures.md)."""
    running = up()
    running.wait_for("Ctrl-C")
    with Clients(settings) as clients:
        eventually(lambda: len(clients.seconds) > 10)
        for _ in range(3):
            (server,) = psutil.Process(running.process.pid).children()
            server.suspend()
            time.sleep(2)
            if server.is_running():
                server.resume()
            answered = len(clients.seconds)
            eventually(lambda seen=answered: len(clients.seconds) > seen + 10)
    assert clients.errors == []
    after = running.text.partition("Ctrl-C")[2].splitlines()[2:]
    deaths = [line for line in after if "ended" in line or "died" in line]
    restarts = [line for line in after if line.startswith("the server answers again")]
    assert len(deaths) == len(restarts)
    assert Path(Server(settings).log).exists()
