"""Limits of memory and CPU time, for one photo and for all photos of a process."""

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import images
import numpy as np
import pytest
from waiting import eventually

from aurum.imaging.decoding.clock import Clock
from aurum.imaging.decoding.decode import accept
from aurum.imaging.decoding.limits import Limits
from aurum.imaging.decoding.refusal import InvalidImageError
from aurum.imaging.faces import Candidates
from aurum.pipeline.find import find_face, find_faces
from aurum.pipeline.look import DetectorOutput, Models
from aurum.pipeline.memory_budget import MemoryBudget
from aurum.pipeline.request import parse_options
from aurum.settings import SettingError, Settings
from benchmarks.robustness.hostile.image_bytes import many_scans, with_size

LIMITS = Limits(10**7, 10**7, 10**8, 10**8, memory=500_000_000, seconds=5, heic=True)
MESSAGE = (
    "the image takes more than {} s of processor time, the limit for one photo "
    "(AURUM_MAX_PHOTO_SECONDS)"
)
GOOD = images.good()


def burn(seconds):
    end = time.thread_time() + seconds
    while time.thread_time() < end:
        pass


def nothing(_):
    empty = np.zeros((0, 4), np.float32), np.zeros((0, 5, 2), np.float32), np.zeros(0, np.float32)
    return DetectorOutput(Candidates(*empty), b"", 0.9)


# --- time ---


def test_an_estimate_above_the_limit_is_refused_before_decoding():
    few, many = many_scans(2000, 2000, 99), many_scans(10_000, 10_000, 99)
    assert len(many) < 250_000
    assert accept(few, LIMITS).header.seconds < 0.2

    with pytest.raises(InvalidImageError) as caught:
        accept(many, LIMITS._replace(seconds=3))

    assert caught.value.reason == "too_much_time"
    assert str(caught.value) == MESSAGE.format(3)


@pytest.mark.parametrize("name", ["jpeg progressive", "mpo", "jpeg trailing jpeg"])
def test_common_encodings_have_time_in_any_size(name):
    assert accept(with_size(GOOD[name][0], 8000, 6000), LIMITS).header.seconds < 2


def test_the_clock_counts_only_its_own_thread():
    clock = Clock(0.2)
    other = threading.Thread(target=burn, args=(0.3,))
    other.start()
    other.join()
    clock.check()
    with pytest.raises(InvalidImageError):
        clock.check(ahead=0.2)

    burn(0.25)

    assert clock.left == 0
    with pytest.raises(InvalidImageError, match=r"more than 0.2 s of processor time"):
        clock.check()


def test_a_photo_without_time_left_gets_no_further_look():
    looks = []

    def slow(image):
        looks.append(image.shape)
        burn(0.3)
        return nothing(image)

    settings = replace(Settings(), max_photo_seconds=0.25)
    data, _ = GOOD["jpeg"]

    with pytest.raises(InvalidImageError) as caught:
        find_faces(data, parse_options({}, settings), settings, Models(slow, None, None))

    assert caught.value.reason == "too_much_time"
    assert str(caught.value) == MESSAGE.format(0.25)
    assert len(looks) == 1


# --- memory ---


def test_admission_is_asked_for_all_memory_that_a_photo_may_take():
    data, (width, height) = GOOD["png"]
    assert accept(data, LIMITS).memory_needed == len(data) + int(width * height * 6.25)
    jpeg = images.jpeg(4000, 3000)
    assert accept(jpeg, LIMITS).memory_needed == len(jpeg) + 12_000_000 * 3 + 3_000_000 * 3


def test_a_photo_waits_in_turn_until_there_is_memory_for_it():
    budget = MemoryBudget(100)
    order, inside = [], threading.Event()
    leave = threading.Event()

    def reserve(name, need):
        with budget.reserve() as admit:
            admit(need)
            order.append(name)
            inside.set()
            leave.wait(30)

    with ThreadPoolExecutor(4) as pool:
        done = [pool.submit(reserve, "first", 60)]
        inside.wait(30)
        done.append(pool.submit(reserve, "large", 90))
        eventually(lambda: len(budget._large._waiting) == 1)
        done.append(pool.submit(reserve, "next", 10))  # would fit, but must wait for its turn
        eventually(lambda: len(budget._large._waiting) == 2)
        assert order == ["first"]
        leave.set()
        for one in done:
            one.result()
    assert order == ["first", "large", "next"]
    with budget.reserve() as admit:
        admit(1000)  # all the memory there is


def test_a_small_photo_does_not_wait_for_a_large_one():
    budget = MemoryBudget(160)
    with budget.reserve() as large, budget.reserve() as small:
        large(160)
        small(10)


def test_memory_is_released_after_an_error():
    budget = MemoryBudget(100)

    def fail(*need):
        with budget.reserve() as admit:
            for some in need:
                admit(some)
            raise KeyError

    for need in ((100,), (100,), ()):
        with pytest.raises(KeyError):
            fail(*need)
    with budget.reserve() as admit:
        admit(100)


@pytest.mark.parametrize("name", ["jpeg", "png", "heic"])
def test_nothing_is_decoded_before_it_is_admitted(name):
    class ClosedError(Exception):
        pass

    needs = []

    def admit(need):
        needs.append(need)
        raise ClosedError

    settings, models = Settings(), Models(nothing, None, None)
    for find, parameters in ((find_faces, {}), (find_face, {})):
        with pytest.raises(ClosedError):
            find(GOOD[name][0], parse_options(parameters, settings), settings, models, admit)
    assert needs == [accept(GOOD[name][0], LIMITS).memory_needed] * 2


def test_one_photo_may_not_need_more_memory_than_there_is_in_all():
    with pytest.raises(SettingError, match=r"AURUM_MAX_PHOTO_MEMORY=500000000: must not exceed "):
        Settings.from_env({"AURUM_PIPELINE_MEMORY": "400000000"})
    assert Settings.from_env({"AURUM_PIPELINE_MEMORY": "600000000"}).pipeline_memory == 600_000_000


# --- decoders get only the picture ---


@pytest.mark.parametrize("name", [name for name in GOOD if "heic" not in name])
def test_decoders_get_no_metadata(name):
    data = accept(GOOD[name][0], LIMITS).data
    if name.startswith("avif"):
        return  # decoded in a separate process

    for trace in (b"Exif", b"eXIf", b"EXIF", b"zTXt", b"tEXt", b"MPF\0", b"VP8X", b"ICCP", b"iCCP"):
        assert trace not in data[:2000], trace
