"""Tools that fit and evaluate the total quality, against hand-computed cases."""

import cv2
import numpy as np
import pytest
from quality_table import table
from scipy.optimize import approx_fprime

from aurum.evaluation import degrade, lfw
from aurum.quality.parts import PARTS
from aurum.quality.weights import FILE, FITTED, save
from benchmarks.quality import cross, evaluate, mean_face, model, samples
from benchmarks.quality.measure import measure
from benchmarks.quality.pairs import error_versus_reject, failures, pairs
from benchmarks.quality.source import Measured

NAMES = ["Ann/Ann_0001.jpg", "Ann/Ann_0002.jpg", "Bob/Bob_0001.jpg", "Cid/Cid_0001.jpg"]


@pytest.fixture(autouse=True)
def fewer_impostors(monkeypatch):
    monkeypatch.setattr("benchmarks.quality.pairs.IMPOSTORS", 20_000)


@pytest.fixture
def folder(tmp_path):
    random = np.random.default_rng(0)
    for name in NAMES:
        path = tmp_path / "images" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(path), random.integers(0, 256, (250, 250, 3), np.uint8))
    return tmp_path / "images"


def test_rejection_by_hand():
    failed = np.array([True, False, True, False, False])
    quality = np.array([0.1, 0.2, 0.3, 0.4, 0.5])

    fnmr = error_versus_reject(failed, quality, [0, 0.2, 0.4, 0.6, 0.8])

    assert fnmr == pytest.approx([2 / 5, 1 / 4, 1 / 3, 0, 0])
    assert error_versus_reject(failed, -quality, [0.4]) == pytest.approx([2 / 3])
    # Halfway between two pairs, half of one: 2 - 0.5 failures of 4.5 pairs.
    assert error_versus_reject(failed, quality, [0.1]) == pytest.approx([1.5 / 4.5])


def test_ties_are_rejected_in_proportion_in_any_order():
    failed = np.array([True, True, False, False])
    for order in ([0, 1, 2, 3], [3, 2, 1, 0]):
        assert error_versus_reject(failed[order], np.zeros(4), [0, 0.5]) == pytest.approx(
            [0.5, 0.5]
        )


def test_pairs_of_one_person_and_of_two():
    data = table(["Ann", "Ann", "Bob"])

    one, both = pairs(data, both=False), pairs(data, both=True)

    assert sorted(map(tuple, one.genuine.tolist())) == [
        (1, 4), (2, 4), (3, 4), (5, 0), (6, 0), (7, 0),
    ]  # fmt: skip
    assert sorted(map(tuple, both.genuine.tolist())) == [(1, 5), (2, 6), (3, 7)]
    for chosen in (one, both):
        first, second = chosen.impostors.T
        assert (data.person[first] != data.person[second]).all()
        assert (data.kinds[first] == "blur").all()
        assert len(np.unique(chosen.impostors, axis=0)) == 4 * 3
    assert (data.kinds[one.impostors[:, 1]] == "").all()
    assert (both.impostors[:, 0] % 4 == both.impostors[:, 1] % 4).all()


def test_fewer_pairs_have_a_degraded_photo():
    data = table([f"P{index // 2}" for index in range(200)])

    every, some, none = (pairs(data, False, share) for share in (1.0, 0.25, 0.0))

    for chosen, share in ((every, 1.0), (some, 0.25), (none, 0.0)):
        for rows in (chosen.genuine, chosen.impostors):
            degraded = data.kinds[rows[:, 0]] != ""
            assert degraded.mean() == pytest.approx(share, abs=0.08)
            assert (data.kinds[rows[:, 1]] == "").all()
    assert (some.genuine // 4 == every.genuine // 4).all()


def test_mixtures_by_severity_and_from_a_list():
    data = table(["Ann", "Ann", "Ann", "Bob"])
    # Severities are 0, 1/4, 2/4, 3/4 by version.
    official = {frozenset(("Ann/Ann_0000.jpg", "Ann/Ann_0002.jpg"))}

    found = dict(evaluate.mixtures(data, official))

    milder = found["the milder half of the severities"]
    assert set(milder.genuine[:, 0] % 4) == set(milder.impostors[:, 0] % 4) == {1}
    stronger = found["the stronger half of the severities"]
    assert set(stronger.genuine[:, 0] % 4) == {2, 3}
    listed = found["LFW's own pairs, 100% of them with a degraded photo"]
    assert sorted(map(tuple, listed.genuine.tolist())) == [
        (1, 8), (2, 8), (3, 8), (9, 0), (10, 0), (11, 0),
    ]  # fmt: skip


def test_the_centre_is_the_mean_of_photos_unlike_their_own_person():
    data = table([f"P{index // 2}" for index in range(100)])
    data.embeddings[:] = 0
    data.embeddings[np.arange(400), 2 + np.arange(400) // 4] = 1  # like itself
    bad = np.arange(400) % 4 == 3
    data.embeddings[bad] = np.eye(512, dtype=np.float32)[0]
    data.found[3] = False
    data.embeddings[3] = 0

    middle = model.centre(data)
    column = model.recognized(data, middle).parts[:, PARTS.index("recognizability")]

    assert middle.astype(float) == pytest.approx(np.eye(512)[0])
    assert column[bad & data.found] == pytest.approx(0)
    assert column[~bad] == pytest.approx(1)
    assert column[3] == 0


def test_predictions_for_a_person_come_from_other_people():
    random = np.random.default_rng(0)
    data = table([f"P{index // 2}" for index in range(60)])
    data.embeddings[:] = random.normal(size=data.embeddings.shape)
    data.embeddings[:] /= np.linalg.norm(data.embeddings, axis=1, keepdims=True)
    data.parts[:] = random.random(data.parts.shape)
    before = data.parts.copy()

    found = model.cross_validated(data, (), seed=0)
    own = data.person == "P0"
    data.parts[own] = 0

    # P0's photos affect no one else's total in the fold that leaves P0 out.
    again = model.cross_validated(data, (), seed=0)
    _, person = np.unique(data.person, return_inverse=True)
    fold = np.random.default_rng(0).integers(model.FOLDS, size=30)[person]
    same = (fold == fold[own][0]) & ~own
    assert same.any()
    assert (found[same] == again[same]).all()
    assert (found != again).any()
    assert (before[~own] == data.parts[~own]).all()


def test_pairs_without_a_face_are_left_out_and_counted():
    found = np.ones(12, bool)
    found[5] = False

    chosen = pairs(table(["Ann", "Ann", "Bob"], found), both=True)

    assert sorted(map(tuple, chosen.genuine.tolist())) == [(2, 6), (3, 7)]
    assert chosen.missed == pytest.approx(1 / 3)
    assert 5 not in chosen.impostors


def test_the_threshold_is_that_of_all_impostors():
    embeddings = np.zeros((12, 512), np.float32)
    embeddings[:, 0] = 1
    embeddings[8:] = 0
    embeddings[8:, 0], embeddings[8:, 1] = 0.8, 0.6  # Bob: 0.8 with either photo of Ann
    embeddings[1, :2] = 0.6, 0.8  # Ann's first photo, degraded, is 0.6 like her second
    data = table(["Ann", "Ann", "Bob"], embeddings=embeddings)
    chosen = pairs(data, both=False)

    failed, threshold = failures(data, chosen, far=0.0)

    # Degraded Ann and Bob: 0.6 * 0.8 + 0.8 * 0.6 = 0.96 is the impostors' highest.
    assert threshold == pytest.approx(0.96, abs=1e-6)
    assert chosen.genuine[failed].tolist() == [[1, 4]]


def test_halves_share_nobody_and_are_deterministic():
    photos = [f"P{i:03d}/P{i:03d}_000{k}.jpg" for i in range(101) for k in (1, 2)]

    fitted, judged = lfw.halves(photos)

    assert sorted(fitted + judged) == photos
    assert not {name[:4] for name in fitted} & {name[:4] for name in judged}
    assert len(fitted) == 100
    assert lfw.halves(photos[::-1])[0] == fitted[::-1]


def test_samples_are_deterministic(folder):
    first = [samples.sample(folder, NAMES[0], version) for version in range(samples.VERSIONS)]
    again = [samples.sample(folder, NAMES[0], version) for version in range(samples.VERSIONS)]

    assert [item.image for item in first] == [item.image for item in again]
    assert first[0].image == (folder / NAMES[0]).read_bytes()
    assert first[0].kinds == ()
    assert len({item.image for item in first}) == samples.VERSIONS
    assert all(item.kinds for item in first[1:])


@pytest.mark.parametrize("kind", degrade.KINDS)
def test_every_degradation_grows_with_its_severity(kind):
    random = np.random.default_rng(1)
    coarse = random.integers(60, 200, (16, 16, 3)).astype(np.uint8)
    photo = cv2.resize(coarse, (250, 250), interpolation=cv2.INTER_CUBIC)
    shade = kind in ("flat", "occlude")  # random in colour: compare contrast or area

    changes = []
    for severity in (0.0, 0.5, 1.0):
        degraded, moved = degrade.KINDS[kind](photo, severity, np.random.default_rng(3))
        assert degraded.dtype == np.uint8
        seen = cv2.warpAffine(degraded, cv2.invertAffineTransform(moved), (250, 250))
        difference = np.abs(seen.astype(float) - photo)
        if kind == "flat":
            changes.append(-float(degraded.std()))
        else:
            changes.append(float((difference > 0).mean() if shade else difference.mean()))

    assert changes[0] < changes[1] < changes[2]


@pytest.mark.parametrize("kind", ["small", "rotate", "cut"])
def test_a_shifted_plane_is_measured(kind):
    """A blob is where the matrix says."""
    rows, columns = np.indices((250, 250))
    blob = 200 * np.exp(-((columns - 131) ** 2 + (rows - 122) ** 2) / 50)
    photo = np.repeat(np.rint(blob).astype(np.uint8)[..., None], 3, axis=2)
    for seed in range(4):
        degraded, moved = degrade.KINDS[kind](photo, 0.5, np.random.default_rng(seed))
        weights = degraded[..., 0].astype(float)
        rows, columns = np.indices(weights.shape)
        centre = (columns * weights).sum() / weights.sum(), (rows * weights).sum() / weights.sum()
        assert centre == pytest.approx(moved @ (131, 122, 1), abs=0.5)


def test_measuring_resumes_where_it_stopped(folder, tmp_path):
    asked = []

    def source(image):
        asked.append(image)
        middle = np.array([[95, 97, 60, 60], [0, 0, 10, 10]], np.float32)
        parts = np.arange(2 * len(PARTS), dtype=np.float32).reshape(2, -1)
        vectors = np.eye(2, 512, dtype=np.float32)[::-1]
        return Measured(middle[::-1], parts[::-1], vectors, np.array([0.25, 0.75], np.float32))

    first = measure(folder, NAMES, source, tmp_path / "cache")
    count = len(asked)
    again = measure(folder, NAMES, source, tmp_path / "cache")

    assert len(asked) == count == len(NAMES) * samples.VERSIONS
    for one, other in zip(first, again, strict=True):
        assert (one == other).all()
    assert first.person[::4].tolist() == ["Ann", "Ann", "Bob", "Cid"]
    assert first.found[0]
    assert first.parts[0].tolist() == list(range(len(PARTS)))  # of the face in the middle
    assert first.quality[0] == 0.75


def test_a_face_off_the_centre_is_not_the_persons(folder, tmp_path):
    def source(_):
        return Measured(
            np.array([[-90, -90, 10, 10]], np.float32),
            np.ones((1, len(PARTS)), np.float32),
            np.ones((1, 512), np.float32),
            np.ones(1, np.float32),
        )

    found = measure(folder, NAMES[:1], source, tmp_path)

    assert not found.found.any()
    assert not found.parts.any()


def test_the_regression_minimizes_its_loss():
    random = np.random.default_rng(0)
    x = random.normal(size=(400, 3))
    y = random.random(400) < 1 / (1 + np.exp(-(x @ (1.5, -1, 0) + 0.5)))
    importance = random.uniform(0.5, 1.5, 400)

    beta = model.logistic(x, y, importance, penalty=3.0)

    def loss(b):
        z = x @ b[:3] + b[3]
        return importance @ (np.logaddexp(0, z) - y * z) + 3.0 * (b[:3] ** 2).sum() / 2

    assert np.abs(approx_fprime(beta, loss, 1e-6)).max() < 0.05
    # Shrunk by the penalty, and off the truth by chance.
    assert beta == pytest.approx([1.5, -1, 0, 0.5], abs=0.5)


def test_a_model_finds_the_part_that_matters():
    random = np.random.default_rng(0)
    data = table([f"P{index // 2}" for index in range(200)])
    data.parts[:] = random.normal(0, 1, data.parts.shape)
    degraded = np.flatnonzero(data.kinds == "blur")
    data.embeddings[:] = 0
    data.embeddings[np.arange(800), 1 + np.arange(800) // 8] = 1  # a separate axis for every person
    bad = degraded[::3]
    data.embeddings[bad] = np.eye(512, dtype=np.float32)[0]  # all alike, and like nobody else
    symmetry = PARTS.index("symmetry")
    data.parts[:, symmetry] = 2
    data.parts[bad, symmetry] = -2

    found = model.fit(data, len(PARTS))

    assert int(np.argmax(np.abs(found.weights[: len(PARTS)]))) == symmetry
    assert found.weights[symmetry] > 0.5


def test_the_mean_face_is_symmetric_and_normalized_in_light():
    crop = np.zeros((112, 112, 3), np.uint8)
    crop[60:70, 40:50] = 200

    face = mean_face.mean_face([crop])

    assert face.shape == (24, 24)
    assert (face == face[:, ::-1]).all()
    assert (mean_face.mean_face([crop // 2]) == face).all()


def test_fitted_weights_are_saved_unchanged(tmp_path):
    save(FITTED, tmp_path / "kept.json")

    assert (tmp_path / "kept.json").read_bytes() == FILE.read_bytes()


def test_the_report_contains_the_counts(tmp_path):
    random = np.random.default_rng(0)
    data = table([f"P{index // 2}" for index in range(40)])
    data.embeddings[:] = random.normal(size=data.embeddings.shape)
    data.embeddings[:] /= np.linalg.norm(data.embeddings, axis=1, keepdims=True)
    data.parts[:] = random.random(data.parts.shape)

    official = {frozenset(("P0/P0_0000.jpg", "P0/P0_0001.jpg"))}
    text = evaluate.report(data, "somebody@0", tmp_path, official)

    assert "20 people, 160 samples, somebody@0." in text
    assert "| detection score |" in text
    assert "two of them" not in text  # there is none
    lines = (tmp_path / "curves.csv").read_text().splitlines()
    assert len(lines) == 1 + 2 * 6
    assert "| LFW's own pairs, 100% of them with a degraded photo | 6 |" in text
    assert "| 50% of the pairs with a degraded photo | 120 |" in text
    assert lines[0].startswith("setup,measure,0.00,0.01,")
    assert (tmp_path / "curves.png").stat().st_size > 1000


def test_the_report_lists_parts_by_severity():
    data = table(["Ann", "Bob"])
    data.parts[:, PARTS.index("recognizability")] = [0.9, 0.8, 0.6, 0.4, 0.7, 0.6, 0.4, 0.2]

    lines = evaluate.severities(data)

    assert lines[0].endswith("untouched photos 0.800:")
    assert lines[-2] == "| blur |  | 0.700 | 0.500 | 0.300 |"


def test_a_ratio_by_hand():
    failed = np.array([True] * 2 + [False] * 8)
    assert evaluate.ratio(failed, np.arange(10.0)) == pytest.approx((1 / 9) / (2 / 10))
    assert evaluate.ratio(failed, -np.arange(10.0)) == pytest.approx((2 / 9) / (2 / 10))
    assert evaluate.ratio(np.zeros(10, bool), np.arange(10.0)) == 1


def test_a_measure_is_not_better_than_itself():
    random = np.random.default_rng(0)
    data = table([f"P{index // 2}" for index in range(40)])
    data.embeddings[:] = random.normal(size=data.embeddings.shape)
    values = random.random(len(data.person)).astype(np.float32)

    chosen = pairs(data, both=False)
    failed, _ = failures(data, chosen)

    own, against = evaluate.intervals(data, chosen, failed, values, values)

    assert own[0] <= own[1]
    assert against == [0, 0]


def test_halves_are_compared_in_both_directions():
    random = np.random.default_rng(0)
    data = table([f"P{index // 2}" for index in range(40)])
    data.embeddings[:] = random.normal(size=data.embeddings.shape)
    data.parts[:] = random.random(data.parts.shape)

    lines = cross.compare({"half A": data, "half B": data}).splitlines()

    assert lines[0].endswith("| fitted on half A | fitted on half B |")
    cells = [line.split("|")[2:] for line in lines[2:]]
    assert cells[0] == cells[1]
    assert cells[0][-3] == cells[0][-2]
