"""The gate: a face with a part out of its range is not recognizable, and the part says why."""

import numpy as np
import pytest

from aurum.quality.gate import PASSES, gate
from aurum.quality.parts import OF_ANY, PARTS, weakest
from aurum.quality.weights import LEARNT

# Whatever the ranges are fitted to be, such a face is one to recognize.
GOOD = {
    "resolution": 60, "sharpness": 0.55, "noise": 0.7, "exposure": 1, "contrast": 0.15, "yaw": 2,
    "pitch": -3, "roll": 1, "frontality": 0.99, "symmetry": 0.6, "visibility": 0.6, "misfit": 0.1,
    "border_cut": 0, "confidence": 0.94, "norm": 2.1, "recognizability": 1,
}  # fmt: skip


def rows(*changes):
    faces = [{**GOOD, **change} for change in changes]
    return np.array([[face[name] for name in PARTS] for face in faces], np.float32)


def told(*changes):
    columns = gate(rows(*changes), LEARNT.embedder)
    assert columns.dtype == np.int32
    return [None if column == PASSES else PARTS[column] for column in columns]


def test_a_good_face_passes():
    assert told({}) == [None]


@pytest.mark.parametrize("name", LEARNT.gate)
def test_each_range_has_ends(name):
    """At the bound a face passes, a little beyond it does not."""
    least, most = LEARNT.gate[name]
    bound = np.float32(least if most is None else most)
    beyond = np.nextafter(bound, np.float32(-np.inf if most is None else np.inf)) - (
        0.001 * abs(bound) * (1 if most is None else -1)
    )
    assert told({name: bound}, {name: beyond}) == [None, name]


def test_the_part_that_is_farthest_out_is_the_reason():
    assert told({"sharpness": 0.05, "resolution": 9.9}) == ["sharpness"]
    assert told({"sharpness": 0.33, "resolution": 1.5}) == ["resolution"]


def test_of_other_embedders_no_ranges_are_known():
    assert gate(rows({}), "other@0123456789ab").shape == (0,)


def test_no_faces_make_an_empty_answer():
    assert gate(np.zeros((0, len(PARTS)), np.float32), LEARNT.embedder).shape == (0,)


def test_what_a_face_is_worst_in():
    changes = {"confidence": 0.6}, {"exposure": 0.1}, {"yaw": -70}, {"noise": 20}, {"misfit": 3}
    for embedder in (LEARNT.embedder, ""):
        found = [PARTS[column] for column in weakest(rows(*changes), embedder)]
        assert found == ["confidence", "exposure", "yaw", "noise", "misfit"]
    lost = rows({"recognizability": 0.4, "norm": 0.1})
    assert PARTS[weakest(lost, LEARNT.embedder)[0]] == "recognizability"
    assert PARTS[weakest(lost)[0]] not in PARTS[OF_ANY:]
