"""Calibration against hand-computed cases."""

import math
import tomllib

import numpy as np
import pytest

from aurum.evaluation import ValidationError, calibration
from aurum.evaluation.calibration import Logistic, Pairs


def test_all_pairs_and_their_weights():
    vectors = np.array([[1, 0], [0.6, 0.8], [0, 1], [0, -1]], np.float32)
    pairs = calibration.all_pairs(vectors, np.array([0, 0, 0, 1]))
    assert sorted(pairs.genuine.tolist()) == pytest.approx([0, 0.6, 0.8])
    assert pairs.weights.tolist() == pytest.approx([1 / 3] * 3)  # one person, three pairs
    assert sorted(pairs.impostors.tolist()) == pytest.approx([-1, -0.8, 0])


def test_people_have_equal_weight_regardless_of_their_number_of_photos():
    people = np.array([0, 0, 1, 1, 1, 1, 2])
    vectors = np.eye(7, dtype=np.float32)
    pairs = calibration.all_pairs(vectors, people)
    assert len(pairs.genuine) == 1 + 6
    assert pairs.weights.sum() == pytest.approx(2)
    assert len(pairs.impostors) == 7 * 6 // 2 - 7


def test_the_probability_by_hand_and_with_another_prior():
    logistic = Logistic(10, -3)
    assert logistic.probability(0.3) == pytest.approx(0.5)
    assert logistic.probability(0.5) == pytest.approx(1 / (1 + math.exp(-2)))
    # Odds of 1 at a prior of 1/2 are odds of 1/99 at a prior of 1/100.
    assert logistic.probability(0.3, prior=0.01) == pytest.approx(0.01)
    assert logistic.probability(-100) == 0
    assert logistic.probability(100) == 1


def test_the_fit_by_hand():
    """With only two similarities the logistic can give exactly the mean of Platt's targets."""
    genuine = np.array([1, 1, 1, 0], np.float32)
    impostors = np.array([0, 0, 0, 0, 0, 0, 0, 1], np.float32)
    found = calibration.fit(Pairs(genuine, np.ones(4), impostors))
    high, low = (4 + 1) / (4 + 2), 1 / (8 + 2)  # the targets of one person and of two
    # Both classes weigh 1/2: at 1 are 3/8 and 1/16 of the weight, at 0 are 1/8 and 7/16.
    at_1 = (3 / 8 * high + 1 / 16 * low) / (7 / 16)
    at_0 = (1 / 8 * high + 7 / 16 * low) / (9 / 16)
    assert found.probability(1) == pytest.approx(at_1, abs=1e-6)
    assert found.probability(0) == pytest.approx(at_0, abs=1e-6)


def test_the_fit_recovers_the_logistic_that_made_the_pairs():
    random = np.random.default_rng(0)
    # Two normals of variance v around +-m: the log-odds at equal priors are 2 m x / v.
    genuine, impostors = (random.normal(mean, 0.5, 40_000) for mean in (0.5, -0.5))
    found = calibration.fit(Pairs(genuine, np.ones(len(genuine)), impostors))
    assert found.slope == pytest.approx(4, rel=0.03)
    assert found.intercept == pytest.approx(0, abs=0.05)


def test_separable_pairs_have_a_finite_slope():
    found = calibration.fit(Pairs(np.full(50, 0.8), np.ones(50), np.full(50, 0.1)))
    assert 0 < found.slope < 100
    assert found.probability(0.8) > 0.95
    assert found.probability(0.1) < 0.05


@pytest.mark.parametrize("empty", ["genuine", "impostors"])
def test_the_fit_needs_both_kinds_of_pairs(empty):
    pairs = Pairs(np.array([0.8]), np.ones(1), np.array([0.1]))._replace(**{empty: np.empty(0)})
    with pytest.raises(ValidationError, match="needs pairs"):
        calibration.fit(pairs)


def test_the_table_is_toml_and_respects_the_fars():
    impostors = np.linspace(0, 10, 20_000, dtype=np.float32)
    weights = np.array([0.75, 0.25])
    genuine = np.array([11, 2], np.float32)
    found = calibration.calibrate(Pairs(genuine, weights, impostors), photos=4, people=2)
    text = calibration.table(found, "net@0123456789ab", "LFW", "2026-01-02", 'aurum "x"')
    table = tomllib.loads(text)["models"]["calibration"]
    for name, far in (("1e-2", 1e-2), ("1e-3", 1e-3), ("1e-4", 1e-4)):
        threshold = table["thresholds"][name]
        assert far / 2 < np.mean(impostors >= threshold) <= far
    assert table["impostor_pairs"] == 20_000
    assert table["genuine_pairs"] == 2
    assert table["model"] == "net@0123456789ab"
    assert table["dataset"] == "LFW: 4 photos of 2 people"
    assert table["command"] == 'aurum "x"'
    assert table["probability"]["prior"] == 0.5
    assert [item.tar for item in found.thresholds] == [0.75] * 3


def people_of(*photos: int):
    """The person of each photo, for the numbers of photos of each person."""
    return np.repeat(np.arange(len(photos)), photos)


@pytest.mark.parametrize(
    ("photos", "said"),
    [
        ([5] * 99, "495 of 99 people, 99 of them with two or more, give 121275 pairs"),
        ([2] * 29 + [1] * 400, "458 of 429 people, 29 of them"),
        ([3] * 140, "420 of 140 people, 140 of them with two or more, give 87570 pairs"),
        ([], "0 of 0 people"),
    ],
)
def test_too_few_photos_are_refused_with_what_is_needed(photos, said):
    with pytest.raises(ValidationError, match=said) as raised:
        calibration.check_enough(people_of(*photos))
    assert "at least 100 people, 30 of them with two photos or more, and 100000" in str(
        raised.value
    )


def test_enough_photos_are_accepted():
    calibration.check_enough(people_of(*[3] * 150))
    calibration.check_enough(people_of(*[2] * 30, *[1] * 400))


def test_the_most_alike_pairs_of_two_people_are_found():
    vectors = np.array([[1, 0], [1, 0], [0.8, 0.6], [0.6, 0.8], [-1, 0]], np.float32)
    people = np.array([0, 0, 1, 2, 3])
    assert calibration.most_alike(vectors, people, 2) == [
        (2, 3, pytest.approx(0.96)),
        (1, 2, pytest.approx(0.8)),
    ]
