"""The gate: a face with a quality part out of its range fails, and the worst part is the reason."""

import numpy as np
import pytest

from aurum.quality.gate import PASSES, gate
from aurum.quality.parts import COMMON_PARTS, PARTS, weakest
from aurum.quality.weights import FITTED

# A face that passes, however the ranges are fitted.
GOOD = {
    "resolution": 60, "sharpness": 0.55, "noise": 0.7, "exposure": 1, "contrast": 0.15, "yaw": 2,
    "pitch": -3, "roll": 1, "frontality": 0.99, "symmetry": 0.6, "visibility": 0.6, "misfit": 0.1,
    "border_cut": 0, "confidence": 0.94, "norm": 2.1, "recognizability": 1,
}  # fmt: skip


def rows(*changes):
    faces = [{**GOOD, **change} for change in changes]
    return np.array([[face[name] for name in PARTS] for face in faces], np.float32)


def reasons(*changes):
    columns = gate(rows(*changes), FITTED.embedder)
    assert columns.dtype == np.int32
    return [None if column == PASSES else PARTS[column] for column in columns]


def test_a_good_face_passes():
    assert reasons({}) == [None]


@pytest.mark.parametrize("name", FITTED.gate)
def test_each_range_is_bounded(name):
    """A face passes at the bound and fails a little beyond it."""
    least, most = FITTED.gate[name]
    bound = np.float32(least if most is None else most)
    beyond = np.nextafter(bound, np.float32(-np.inf if most is None else np.inf)) - (
        0.001 * abs(bound) * (1 if most is None else -1)
    )
    assert reasons({name: bound}, {name: beyond}) == [None, name]


def test_the_reason_is_the_part_farthest_out_of_its_range():
    assert reasons({"sharpness": 0.05, "resolution": 9.9}) == ["sharpness"]
    assert reasons({"sharpness": 0.33, "resolution": 1.5}) == ["resolution"]


def test_other_embedders_have_no_ranges():
    assert gate(rows({}), "other@0123456789ab").shape == (0,)


def test_no_faces_give_an_empty_result():
    assert gate(np.zeros((0, len(PARTS)), np.float32), FITTED.embedder).shape == (0,)


def test_the_weakest_part_of_a_face():
    changes = {"confidence": 0.6}, {"exposure": 0.1}, {"yaw": -70}, {"noise": 20}, {"misfit": 3}
    for embedder in (FITTED.embedder, ""):
        found = [PARTS[column] for column in weakest(rows(*changes), embedder)]
        assert found == ["confidence", "exposure", "yaw", "noise", "misfit"]
    lost = rows({"recognizability": 0.4, "norm": 0.1})
    assert PARTS[weakest(lost, FITTED.embedder)[0]] == "recognizability"
    assert PARTS[weakest(lost)[0]] not in PARTS[COMMON_PARTS:]
