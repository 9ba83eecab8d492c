"""The memory and CPU time that photos may take in the step's process, and callers who gave up."""

import os
import re
import time
import zlib
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import httpx
import images
import psutil
import pytest
from aurum_client import FaceClient, InvalidImageError
from large_png import flat_png, slow_png

from aurum.server.ephemeral import running
from aurum.settings import Settings
from benchmarks.common.processes import MEGABYTE, cpu_seconds, sampled
from benchmarks.robustness.hostile import bases
from benchmarks.robustness.hostile.image_bytes import chunk

THREADS = 16
# Besides decoding: the detector's input, crops, what the allocator keeps.
BESIDE = 150_000_000


@pytest.fixture
def untraced(monkeypatch, tmp_path):
    """A server whose step processes many photos at once, without coverage measurement."""
    for name in os.environ:
        if name.startswith("COVERAGE"):
            monkeypatch.delenv(name)
    settings = replace(Settings.from_env(), profile="simulated", pipeline_threads=THREADS)
    with running(settings, tmp_path) as service:
        yield service


def most(pid):
    """Peak memory of a process in bytes."""
    text = Path("/proc", str(pid), "status").read_text()
    return int(re.search(r"VmHWM:\s+(\d+) kB", text)[1]) * 1024


def steps(service):
    """The process ids of the step."""
    children = psutil.Process(service.server.pid).children(recursive=True)
    return [child.pid for child in children if "stub" in child.name()]


def growth(service, photos):
    """The largest growth of a process of the step in bytes while the photos are processed at once.

    Measured by its own peak, and sampled together with its decoder processes.
    """
    before = {pid: most(pid) for pid in steps(service)}
    with ExitStack() as stack:
        pool = stack.enter_context(ThreadPoolExecutor(len(photos)))
        client = stack.enter_context(FaceClient(service.urls[1], timeout=300))
        sizes = [stack.enter_context(sampled(pid, period=0.05)) for pid in before]
        list(pool.map(lambda photo: client.detect(photo, orientation="exif"), photos))
    together = max(max(step) - step[0] for step in sizes) * MEGABYTE
    return max(together, *(most(pid) - held for pid, held in before.items()))


def test_sixteen_large_pngs_at_once_stay_within_the_budget(untraced, record_figure):
    data = flat_png()
    assert len(data) < 420_000

    grown = growth(untraced, [data] * THREADS)

    record_figure("growth of a step, MB", grown // 10**6)
    assert grown < untraced.settings.pipeline_memory + BESIDE


@pytest.mark.parametrize("name", ["zTXt", "iTXt"])
def test_metadata_beside_the_pixels_takes_no_memory(untraced, record_figure, name):
    packed = zlib.compress(b"0" * 7_900_000, 9)
    head = {"iTXt": b"x\0\1\0\0\0", "zTXt": b"x\0\0"}[name]
    png = bases.pngs()[0]
    data = png[:-12] + chunk(name.encode(), head + packed) * 300 + png[-12:]
    assert len(data) < 2_600_000

    grown = growth(untraced, [data])

    record_figure("growth of a step, MB", grown // 10**6)
    assert grown < 100_000_000


def decoders(service):
    """The processes that decode photos for the step."""
    children = psutil.Process(service.server.pid).children(recursive=True)
    return [child for child in children if "decoder_process" in " ".join(child.cmdline())]


def test_a_photo_that_exceeds_its_time_is_ended(tmp_path, astronaut, record_figure):
    """No other photo is affected, even if its decoder process is killed."""
    settings = replace(Settings.from_env(), profile="simulated", max_photo_seconds=1)
    with running(settings, tmp_path) as service, FaceClient(service.urls[1], timeout=60) as client:
        living = steps(service)
        client.embed(astronaut)
        assert not decoders(service)
        before = cpu_seconds(service.server.pid)

        with pytest.raises(InvalidImageError, match=r"more than 1 s of processor time"):
            client.embed(slow_png())

        record_figure("processor time, s", spent := cpu_seconds(service.server.pid) - before)
        assert spent < 2
        (first,) = decoders(service)
        record_figure("PSS of what decodes, MB", first.memory_full_info().pss // 10**6)
        first.kill()
        heic = images.good()["heic"][0]
        with ThreadPoolExecutor(8) as pool:  # enough requests to reach both processes of the step
            list(pool.map(client.embed, [heic] * 16))
        later = decoders(service)
        assert len(later) == 2
        assert first not in later
        client.embed(astronaut)
        assert steps(service) == living
    assert not psutil.wait_procs(later, timeout=60)[1]


def headers(deadline):
    return {
        "Content-Type": "application/octet-stream",
        "Inference-Header-Content-Length": "0",
        "X-Aurum-Deadline": deadline,
    }


def test_no_work_is_done_for_callers_who_gave_up(simulated, astronaut):
    url = f"{simulated.urls[0]}/v2/models/detect_faces/infer"

    def ask(deadline):
        return httpx.post(url, content=astronaut, headers=headers(deadline), timeout=60)

    late = ask(str(time.time() - 1))
    assert late.status_code == 400  # no 503: it says nothing about the server
    assert "[unavailable] the request's deadline passed before its turn came" in late.text
    for deadline in (str(time.time() + 60), "", "soon", "nan", "inf"):
        assert ask(deadline).status_code == 200, deadline
