"""Decoding in separate processes: one process per photo, its limits, crashes and fork server."""

import os
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import images
import numpy as np
import psutil
import pytest
from large_png import flat_png, slow_png
from waiting import eventually

import aurum
from aurum.imaging.decoding import header, isolated
from aurum.imaging.decoding.decode import FACTORS, accept
from aurum.imaging.decoding.decoder_process import Order
from aurum.imaging.decoding.limits import Limits
from aurum.imaging.decoding.refusal import InvalidImageError
from benchmarks.robustness.hostile.image_bytes import blank_jpeg

LIMITS = Limits(10**7, 10**7, 10**8, 10**8, memory=500_000_000, seconds=5, heic=True)
GOOD = images.good()
HEIC = GOOD["heic"][0]
ROOT = str(Path(aurum.__file__).parents[1])
ALL = 256 * 320 * 3


@pytest.fixture
def decoders(monkeypatch):
    """Start without any process."""
    decoders = isolated._Decoders()
    monkeypatch.setattr(isolated, "_decoders", decoders)
    yield decoders
    decoders._end(decoders._orders)


@pytest.fixture
def fake(decoders, monkeypatch, tmp_path):
    """Replace the HEIC decoder by a function of `order` and `data` with this body."""

    def use(text):
        path = tmp_path / "decoder_process.py"
        path.write_text(
            f"import os, signal, sys, time\nsys.path.insert(0, {ROOT!r})\n"
            "from aurum.imaging.decoding import decoder_process\n"
            f"def fake(order, data):\n    {text}\n"
            "decoder_process.DECODERS['HEIC'] = fake, ()\n"
            "decoder_process.main()\n"
        )
        monkeypatch.setattr(isolated.decoder_process, "__file__", str(path))

    return use


def refusal(data, limits=LIMITS):
    with pytest.raises(InvalidImageError) as caught:
        accept(data, limits).decode()
    return caught.value


# --- every failure of the process is an error of the photo ---


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("os.kill(os.getpid(), signal.SIGSEGV)", "damaged"),
        ("os.kill(os.getpid(), signal.SIGXCPU)", "too_much_time"),
        ("os.kill(os.getpid(), signal.SIGKILL)", "too_much_memory"),
        ("raise MemoryError", "too_much_memory"),
        ("raise ValueError", "damaged"),
        ("sys.exit(0)", "damaged"),
        ("os._exit(0)", "damaged"),
        (f"return (320, 256), 1, [bytes({ALL})]", "not refused"),
        (f"return (320, 256), 1, [bytes({ALL - 1})]", "damaged"),
        (f"return (320, 256), 1, [bytes({ALL + 1})]", "damaged"),
        (f"return (256, 320), 1, [bytes({ALL})]", "damaged"),
        ("return (160, 128), 1, [bytes(160 * 128 * 3)]", "damaged"),
        ("return (0, 256), 1, []", "damaged"),
        ("return (-1, 256), 1, []", "damaged"),
        ("import subprocess; subprocess.Popen([])", "damaged"),
    ],
)
def test_every_failure_of_the_process_becomes_an_error(text, reason, fake):
    fake(text)
    if reason == "not refused":
        assert accept(HEIC, LIMITS).decode().pixels.shape == (256, 320, 3)
        return

    assert refusal(HEIC).reason == reason


def test_the_limits_of_the_process_hold(fake):
    fake("bytearray(200 << 20)")
    assert refusal(HEIC).reason == "too_much_memory"


def test_a_decoder_that_never_ends_is_killed_when_the_photos_time_is_used_up(fake):
    fake("while True: pass")
    began = time.thread_time()

    error = refusal(HEIC, LIMITS._replace(seconds=1))

    assert error.reason == "too_much_time"
    assert "more than 1 s of processor time" in str(error)
    assert time.thread_time() - began < 1  # the time was spent in the other process


def test_time_in_the_process_counts_as_the_photos_time(fake):
    fake(f"time.thread_time() and [0 for _ in iter(lambda: time.thread_time() < 0.5, False)]\n"
         f"    return (320, 256), 1, [bytes({ALL})]")  # fmt: skip
    encoded = accept(HEIC, LIMITS)

    encoded.decode()

    assert encoded.clock.left < LIMITS.seconds - 0.4


def test_a_crash_affects_no_other_photo(fake):
    fake(f"time.sleep(0.5) if data else 0\n"
         f"    if order.seconds == 1: os.abort()\n"
         f"    return (320, 256), 1, [bytes({ALL})]")  # fmt: skip
    with ThreadPoolExecutor(8) as pool:
        bad = [pool.submit(refusal, HEIC, LIMITS._replace(seconds=1)) for _ in range(4)]
        good = [pool.submit(accept(HEIC, LIMITS).decode) for _ in range(4)]

        assert {one.result().reason for one in bad} == {"damaged"}
        assert {one.result().pixels.shape for one in good} == {(256, 320, 3)}


# --- the fork server ---


def test_concurrent_photos_share_one_fork_server(decoders):
    whole = accept(HEIC, LIMITS).decode().pixels
    first = decoders._process

    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda _: accept(HEIC, LIMITS).decode().pixels, range(32)))

    assert all(np.array_equal(whole, one) for one in found)
    assert decoders._process is first
    eventually(lambda: not psutil.Process(first.pid).children())


def test_a_dead_fork_server_is_replaced(decoders):
    accept(HEIC, LIMITS).decode()
    first = decoders._process.pid

    os.kill(first, signal.SIGKILL)

    assert accept(HEIC, LIMITS).decode().pixels.shape == (256, 320, 3)
    assert decoders._process.pid != first


def test_a_fork_server_that_dies_during_work_costs_no_photo(fake, tmp_path):
    fake(f"flag = {str(tmp_path / 'flag')!r}\n"
         "    if not os.path.exists(flag):\n"
         "        os.mkdir(flag); os.kill(os.getppid(), signal.SIGKILL); os._exit(0)\n"
         f"    return (320, 256), 1, [bytes({ALL})]")  # fmt: skip

    assert accept(HEIC, LIMITS).decode().pixels.shape == (256, 320, 3)


def test_a_fork_server_that_keeps_dying_is_not_blamed_on_the_photo(fake):
    fake("os.kill(os.getppid(), signal.SIGKILL)\n    os._exit(0)")

    with pytest.raises(RuntimeError, match="ended repeatedly"):
        accept(HEIC, LIMITS).decode()


def test_the_fork_server_ends_with_its_parent(tmp_path):
    photo = tmp_path / "photo"
    photo.write_bytes(HEIC)
    script = (
        "import pathlib, sys, time\n"
        "from aurum.imaging.decoding import decode, isolated\n"
        "decode.decode(pathlib.Path(sys.argv[1]).read_bytes(), 10**7, 10**7)\n"
        "print(isolated._decoders._process.pid, flush=True)\n"
        "time.sleep(600)\n"
    )
    arguments = [sys.executable, "-c", script, str(photo)]
    with subprocess.Popen(arguments, stdout=subprocess.PIPE, cwd=ROOT) as starter:
        process = psutil.Process(int(starter.stdout.readline()))
        assert process.is_running()
        starter.kill()

    psutil.wait_procs([process], timeout=60)
    assert not process.is_running() or process.status() == psutil.STATUS_ZOMBIE


def test_an_embedded_interpreter_uses_the_python_on_the_path(monkeypatch):
    monkeypatch.setattr(sys, "executable", "")
    isolated._python.cache_clear()
    try:
        assert Path(isolated._python()).name == "python3"
    finally:
        isolated._python.cache_clear()


# --- which photos are decoded in a separate process ---

OTHERS = [name for name in GOOD if not name.startswith(("heic", "avif"))]


def test_common_photos_start_no_process(decoders):
    for name in OTHERS:
        accept(GOOD[name][0], LIMITS).decode()
    for factor in FACTORS:
        accept(images.jpeg(4000, 3000), LIMITS).decode(factor)

    assert decoders._process is None


@pytest.mark.parametrize("name", OTHERS)
def test_decoding_apart_gives_the_same_pixels_as_in_process(name):
    encoded = accept(GOOD[name][0], LIMITS)
    for factor in FACTORS if encoded.kind == "JPEG" else (1,):
        here, there = encoded._in_process(factor), encoded._in_child(factor)
        assert there[1] == here[1]
        assert np.array_equal(here[0], there[0])


def test_jpegs_that_only_pillow_reads_are_reduced_there_too():
    odd = blank_jpeg(1600, 1200, (0x31, 0x11, 0x11))

    pixels, factor = accept(odd, LIMITS._replace(memory=1600 * 1200 * 3))._in_child(1)

    assert (pixels.shape, factor) == ((600, 800, 3), 2)


def test_a_photo_that_may_take_long_is_decoded_where_it_can_be_killed(decoders):
    """The estimate allows 2 s; it takes less, and an earlier version refused it with this limit."""
    encoded = accept(flat_png(), LIMITS._replace(seconds=1.9))

    assert encoded.decode().pixels.shape == (7070, 7070, 3)
    assert decoders._process is not None


def test_if_the_estimate_is_wrong_the_kernel_ends_it(decoders, monkeypatch):
    """As on a machine five times as slow, where an earlier version decoded it to the end."""
    monkeypatch.setitem(header._PIXEL_SECONDS, "PNG", 40e-9 / 5)
    data, began = slow_png(), time.thread_time()

    error = refusal(data, LIMITS._replace(seconds=1))

    assert error.reason == "too_much_time"
    assert str(error) == (
        "the image takes more than 1 s of processor time, the limit for one photo "
        "(AURUM_MAX_PHOTO_SECONDS)"
    )
    spent = psutil.Process(decoders._process.pid).cpu_times()
    assert time.thread_time() - began < 0.5
    assert sum(spent) < 1.5


@pytest.mark.parametrize("name", ["heic", "avif"])
def test_a_process_gets_no_more_time_than_the_photo_has_left(name, decoders, monkeypatch):
    asked = []
    real = decoders.ask

    def ask(order, *files):
        asked.append(Order.from_bytes(order).seconds)
        return real(order, *files)

    monkeypatch.setattr(decoders, "ask", ask)
    accept(GOOD[name][0], LIMITS._replace(seconds=1)).decode()
    accept(GOOD[name][0], LIMITS).decode()

    assert asked == [1, 2]
