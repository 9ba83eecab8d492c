"""Verification metrics against hand-computed cases."""

import math

import numpy as np
import pytest

from aurum.evaluation import roc

# Highest first: one person, one, two, one, two.
SCORES = np.array([0.9, 0.8, 0.7, 0.6, 0.1])
SAME = np.array([True, True, False, True, False])


def test_the_threshold_at_a_far_accepts_no_more_than_allowed():
    impostors = np.arange(1000) / 1000  # 0.000 to 0.999
    for far, accepted in ((1e-2, 10), (1e-3, 1), (1e-4, 0), (0.5, 500)):
        threshold, count = roc.threshold_at_far(impostors, far)
        assert count == accepted == int((impostors >= threshold).sum())
        # The lowest such threshold: the next lower number accepts one more impostor.
        assert (impostors >= np.nextafter(threshold, -1)).sum() == accepted + 1


def test_equal_impostors_are_all_rejected_if_only_some_may_pass():
    assert roc.threshold_at_far(np.array([0.5, 0.5, 0.5, 0.1]), 0.5)[1] == 0
    assert roc.threshold_at_far(np.array([0.5, 0.5, 0.1, 0.1]), 0.5)[1] == 2


def test_a_far_of_1_accepts_everybody():
    assert roc.threshold_at_far(np.array([0.1, 0.2]), 1.0) == (-math.inf, 2)


def test_rounding_does_not_cost_an_impostor():
    assert roc.threshold_at_far(np.arange(3000.0), 1e-3)[1] == 3
    assert roc.threshold_at_far(np.arange(1500, dtype=np.float32), 1e-3)[1] == 1


def test_float32_scores_respect_the_far():
    impostors = np.array([0.1, 0.3, 0.7], np.float32)
    threshold, accepted = roc.threshold_at_far(impostors, 0.34)
    assert accepted == 1
    assert (impostors >= threshold).tolist() == [False, False, True]


def test_tar_at_far_by_hand():
    # Two impostors, 0.7 and 0.1. None may pass: 2 of 3 are above 0.7. One may: all are above 0.1.
    none = roc.tar_at_far(SCORES, SAME, 0.4)
    assert (none.accepted, none.impostors, none.tar) == (0, 2, pytest.approx(2 / 3))
    one = roc.tar_at_far(SCORES, SAME, 0.5)
    assert (one.accepted, one.reached, one.tar) == (1, 0.5, 1.0)


def test_the_roc_curve_by_hand():
    thresholds, far, tar = roc.curve(SCORES, SAME)
    assert thresholds.tolist() == [0.9, 0.8, 0.7, 0.6, 0.1]
    assert far.tolist() == [0, 0, 0.5, 0.5, 1]
    assert tar.tolist() == pytest.approx([1 / 3, 2 / 3, 2 / 3, 1, 1])


def test_equal_scores_are_one_point_of_the_curve():
    thresholds, far, tar = roc.curve(np.array([0.5, 0.5, 0.2]), np.array([True, False, False]))
    assert (thresholds.tolist(), far.tolist(), tar.tolist()) == ([0.5, 0.2], [0.5, 1], [1, 1])


def test_the_area_is_the_share_of_correctly_ordered_pairs():
    # Of 3 x 2 comparisons only 0.6 < 0.7 is wrong.
    assert roc.area(SCORES, SAME) == pytest.approx(5 / 6)
    assert roc.area(SCORES, ~SAME) == pytest.approx(1 / 6)
    assert roc.area(np.array([0.5, 0.5]), np.array([True, False])) == pytest.approx(0.5)


def test_the_equal_error_rate_by_hand():
    # At 0.7: FAR 1/2, FRR 1/3; at 0.6: 1/2 and 0. The former are nearer: mean 5/12.
    assert roc.equal_error(SCORES, SAME) == pytest.approx(5 / 12)
    assert roc.equal_error(np.array([0.9, 0.1]), np.array([True, False])) == 0


def test_the_best_threshold_is_in_the_middle_of_the_gap():
    assert roc.best_threshold(np.array([0.2, 0.8]), np.array([False, True])) == 0.5
    # All of one person: everything is right below the lowest.
    assert roc.best_threshold(np.array([0.2, 0.8]), np.array([True, True])) < 0.2
    assert roc.best_threshold(np.array([0.2, 0.8]), np.array([False, False])) > 0.8


def test_equal_scores_cannot_be_separated():
    scores = np.array([0.5, 0.5, 0.5, 0.9])
    threshold = roc.best_threshold(scores, np.array([True, False, False, True]))
    assert 0.5 < threshold < 0.9


def test_each_fold_uses_the_threshold_of_the_other_folds():
    # Fold 0 separates at 0.5, fold 1 at 2.5: each fails on the other in one of its two pairs.
    scores = np.array([0.0, 1.0, 2.0, 3.0])
    same = np.array([False, True, False, True])
    result = roc.cross_validate(scores, same, np.array([0, 0, 1, 1]))
    assert result.thresholds.tolist() == [2.5, 0.5]
    assert result.accuracies.tolist() == [0.5, 0.5]


def test_mean_and_standard_error_by_hand():
    folds = roc.Folds(np.zeros(4), np.array([1.0, 0.9, 1.0, 0.9]))
    assert folds.mean == pytest.approx(0.95)
    # Deviation with n - 1: sqrt(4 * 0.05**2 / 3); by sqrt(4).
    assert folds.standard_error == pytest.approx(math.sqrt(0.01 / 3) / 2)
    assert math.isnan(roc.Folds(np.zeros(1), np.ones(1)).standard_error)


def test_a_single_fold_uses_its_own_threshold():
    result = roc.cross_validate(SCORES, SAME, np.zeros(5, int))
    assert result.accuracies.tolist() == [0.8]


def test_the_wilson_interval_by_hand():
    # 8 of 10: (0.8 + 0.19208 +- 1.96 * sqrt(0.016 + 0.009604)) / 1.38416
    assert roc.wilson(8, 10) == pytest.approx((0.49016, 0.94331), abs=1e-4)
    assert roc.wilson(0, 10)[0] == 0
    assert roc.wilson(10, 10)[1] == 1
    assert roc.wilson(0, 0) == (0, 1)


def test_the_bootstrap_interval_contains_the_figure_and_is_deterministic():
    random = np.random.default_rng(1)
    scores = np.concatenate([random.normal(1, 1, 500), random.normal(-1, 1, 500)])
    same = np.arange(1000) < 500
    low, high = roc.bootstrap_tar(scores, same, 0.1, rounds=200)
    assert low < roc.tar_at_far(scores, same, 0.1).tar < high
    assert (low, high) == roc.bootstrap_tar(scores, same, 0.1, rounds=200)
