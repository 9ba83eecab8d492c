"""`face_detection` refuses images larger than any that the pipeline may send."""

import re
from pathlib import Path

import graphs
import numpy as np
import onnx
import onnxruntime
import pytest

from aurum.models import families
from aurum.models.families.candidates import MOST_SIDE
from aurum.settings import SettingError, Settings

NAMES = ("yunet_s_dynamic", "yunet_n_dynamic", "scrfd_2.5g_bnkps", "simulated_detector")
REFUSED = f"height_and_width_must_be_multiples_of_32_up_to_{MOST_SIDE}"


def detector(name):
    entry = graphs.ENTRIES[name]
    upstream = onnx.load(str(graphs.weights(entry.file))) if entry.file else None
    return graphs.session(families.build("face_detection", entry, upstream))


def peak():
    """Peak memory of this process in bytes, since the last reset."""
    return int(re.search(r"VmHWM:\s+(\d+)", Path("/proc/self/status").read_text())[1]) * 1024


def reset():
    Path("/proc/self/clear_refs").write_text("5")  # proc(5)


@pytest.mark.parametrize("name", NAMES)
def test_larger_images_are_refused_before_they_take_memory(name):
    served = detector(name)
    image = np.zeros((1, 3, 8192, 8192), np.uint8)
    image[:] = 1  # touch its pages
    reset()
    before = peak()

    with pytest.raises(onnxruntime.capi.onnxruntime_pybind11_state.InvalidArgument, match=REFUSED):
        served.run(None, {"images": image})

    assert peak() - before < 100_000_000
    for shape in ((32, MOST_SIDE + 32), (MOST_SIDE + 32, 32)):
        with pytest.raises(Exception, match=REFUSED):
            served.run(None, {"images": np.zeros((1, 3, *shape), np.uint8)})
    assert served.run(None, {"images": np.zeros((1, 3, 32, MOST_SIDE), np.uint8)})


def test_the_limit_is_the_largest_setting():
    value = str(MOST_SIDE)
    assert Settings.from_env({"AURUM_MAX_DETECTION_SIZE": value}).max_detection_size == MOST_SIDE
    with pytest.raises(SettingError):
        Settings.from_env({"AURUM_MAX_DETECTION_SIZE": str(MOST_SIDE + 32)})
