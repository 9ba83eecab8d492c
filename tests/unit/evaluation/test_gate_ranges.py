"""Tools that calibrate quality, choose the gate's ranges and count false matches of strangers."""

import itertools

import cv2
import numpy as np
import pytest
from quality_table import table

from aurum.evaluation import ValidationError, gate, groups, kinds
from aurum.evaluation.gate import Faces
from aurum.evaluation.strangers import rates
from aurum.quality.parts import PARTS, total
from benchmarks.quality import model, pairs, ranges, reliability
from benchmarks.quality.ranges import Group

SHARPNESS = PARTS.index("sharpness")


@pytest.fixture(autouse=True)
def fewer_impostors(monkeypatch):
    monkeypatch.setattr("benchmarks.quality.pairs.IMPOSTORS", 20_000)


# --- quality as a probability ---


def people(count, seed=0):
    """Degraded photos whose probability of being recognized depends on their sharpness."""
    random = np.random.default_rng(seed)
    data = table([f"P{index // 2}" for index in range(2 * count)])
    data.parts[:] = random.normal(0, 1, data.parts.shape)
    samples = np.arange(len(data.person))
    data.embeddings[:] = random.normal(0, 0.02, data.embeddings.shape)
    data.embeddings[samples, samples // 8] = 1  # a separate axis for every person
    chance = 1 / (1 + np.exp(-1.5 * data.parts[:, SHARPNESS] - 1))
    lost = (samples % 4 > 0) & (random.random(len(samples)) > chance)
    data.embeddings[lost] = random.normal(0, 1, (int(lost.sum()), 512))
    data.embeddings[:] /= np.linalg.norm(data.embeddings, axis=1, keepdims=True)
    return data._replace(quality=chance.astype(np.float32))


def test_a_calibrated_model_keeps_the_order_and_predicts_other_people():
    seen, others = people(150), people(150, seed=1)
    middle = model.centre(seen)
    raw = model.fit(model.recognized(seen, middle), len(PARTS))
    others = model.recognized(others, middle)

    found = model.calibrated(raw, seen)

    one, two = total(others.parts, raw), total(others.parts, found)
    assert np.diff(two[np.argsort(one)]).min() > -1e-3  # weights are rounded
    rows, failed, _ = model.outcomes(others)
    # Brier score: the calibrated prediction is nearer to the outcome.
    near = [np.mean((predicted[rows] - ~failed) ** 2) for predicted in (one, two)]
    assert near[1] < near[0]
    assert abs(np.mean(two[rows]) - np.mean(~failed)) < 0.05


def test_predictions_are_listed_beside_outcomes():
    data = people(250)

    lines = reliability.reliability(data)

    rows = [line.strip("| ").split(" | ") for line in lines if line.startswith("| 0")]
    assert len(rows) >= 7
    for _, count, mean, true in rows:
        if int(count) > 100:
            assert abs(float(mean.rstrip("%")) - float(true.rstrip("%"))) < 12
    data.quality[:] = 0.99
    worse = reliability.reliability(data)
    errors = [float(text[-2].split()[-1].rstrip("%.")) for text in (lines, worse)]
    assert errors[0] < errors[1]


def test_a_higher_cut_rejects_more_and_recognizes_more():
    data = people(200)
    data.quality[::4] = 0.97  # the originals

    lines = reliability.cuts(data)

    rows = [
        [float(cell.strip(" %")) for cell in line.strip("|").split("|")] for line in lines[2:-1]
    ]
    assert rows[0][1] == rows[0][2] == 0
    assert [row[1] for row in rows[:-1]] == [0] * (len(rows) - 1)
    assert rows[-1][1] == 100
    assert all(a[2] < b[2] for a, b in itertools.pairwise(rows))
    assert rows[0][4] < rows[4][4]
    assert pairs.FAR == 1e-3


# --- strangers ---


def test_pairs_of_one_owner_are_not_strangers():
    vectors = np.eye(3, 4, dtype=np.float32)[[0, 0, 1, 0]]

    found = rates(vectors, np.array(["Ann", "Ann", "Bob", "Cid"]), [0.5])

    # Of six pairs Ann's own is excluded; Ann's two photos and Cid's are alike.
    assert (found.photos, found.pairs, found.accepted) == (4, 5, (2,))
    assert found.share(0) == pytest.approx(0.4)
    assert rates(vectors[:0], np.array([]), [0.5]).share(0) == 0


def test_many_photos_are_counted_in_blocks(monkeypatch):
    random = np.random.default_rng(0)
    vectors = random.normal(size=(50, 8)).astype(np.float32)
    owners = random.integers(0, 20, 50)
    whole = rates(vectors, owners, [0.1, 1.0])

    monkeypatch.setattr("aurum.evaluation.strangers.ROWS", 7)

    assert rates(vectors, owners, [0.1, 1.0]) == whole


# --- the gate's ranges ---


def degraded(sharpness, alike):
    """Faces of 60 owners, of which the `alike` ones match each other."""
    parts = np.full((60, len(PARTS)), 0.5, np.float32)
    parts[:, SHARPNESS] = sharpness
    vectors = np.eye(60, 512, dtype=np.float32)
    vectors[alike] = np.eye(512, dtype=np.float32)[-1]
    return Group(parts, vectors, [str(index) for index in range(60)])


def test_the_loosest_bound_that_holds_is_chosen(monkeypatch):
    sharpness = np.linspace(0.2, 0.5, 60)
    plan = ranges.Part("sharpness", True, (0.1, 0.2, 0.3, 0.4), ("blurred",))
    monkeypatch.setattr(ranges, "PLAN", (plan,))
    groups = {("blurred", "much"): degraded(sharpness, sharpness < 0.28)}

    assert ranges.choose(groups, (0.3, 0.4)) == {"sharpness": (0.3, None)}
    # A kind that the part is not meant for is ignored.
    assert ranges.choose(
        {("noisy", "much"): degraded(sharpness, sharpness < 0.28)}, (0.3, 0.4)
    ) == {"sharpness": (0.1, None)}


def test_a_bound_that_leaves_too_few_faces_to_measure_is_accepted():
    sharpness = np.linspace(0.2, 0.5, 60)
    group = degraded(sharpness, sharpness > 0)

    assert not ranges.held(group, {}, (0.3, 0.4))
    assert ranges.held(group, {"sharpness": (0.49, None)}, (0.3, 0.4))
    assert not ranges.held(group, {"noise": (None, 1.0)}, (0.3, 0.4))


@pytest.mark.parametrize(("kind", "severity"), list(kinds.every()))
def test_every_kind_of_degradation_is_deterministic(tmp_path, kind, severity):
    random = np.random.default_rng(0)
    path = tmp_path / "Ann" / "Ann_0001.jpg"
    path.parent.mkdir()
    cv2.imwrite(str(path), random.integers(0, 256, (250, 250, 3), np.uint8))

    def made():
        return kinds.items(tmp_path, ["Ann/Ann_0001.jpg"], kind, severity)

    items = made()
    assert len(items) == (1 if kind in kinds.KINDS else len(kinds.PICTURES) * kinds.CROPS)
    assert items[0].owner == ("Ann" if kind in kinds.KINDS else kinds.PICTURES[0])
    assert items[0].load() == made()[0].load() != path.read_bytes()


def test_the_gate_is_evaluated_on_the_faces_that_pass():
    vectors = np.eye(4, 8, dtype=np.float32)[[0, 0, 0, 1]]
    faces = Faces(5, vectors, np.array([True, False, True, True]), ["a", "b", "c", "d"])

    row = gate.evaluate("blurred", gate.together([faces, faces]), (0.5, 0.5))

    assert (row.photos, row.faces, row.gated.photos) == (10, 8, 6)
    # Without the gate a, b and c are alike: 3 pairs, each in four ways. With it a and c.
    assert row.without.accepted[0] == 12
    assert row.gated.accepted[0] == 4


# --- groups ---


def test_groups_are_read_and_a_bad_line_is_named(tmp_path):
    path = tmp_path / "groups.txt"
    path.write_text("# who is what\nAnn\twomen\n\nBob B\tmen\n")
    assert groups.read(path) == {"Ann": "women", "Bob B": "men"}

    path.write_text("Ann\twomen\nBob men\n")
    with pytest.raises(ValidationError, match="line 2: expected `person<TAB>group`"):
        groups.read(path)
