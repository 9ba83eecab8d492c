"""Thresholds between and beyond the rates that were measured."""

import pytest
from aurum_client import Calibration

from aurum.members.decision import threshold
from aurum.members.errors import ArgumentError

CALIBRATION = Calibration.from_row([0.2, 0.3, 0.38, 20, -8, 0.5])


@pytest.mark.parametrize(
    ("far", "wanted"),
    [
        (1e-2, 0.2),
        (1e-3, 0.3),
        (1e-4, 0.38),
        (10**-2.5, 0.25),
        (1e-5, 0.46),  # the last line, prolonged
        (1e-6, 0.54),
        (0.01 / 10_000, 0.54),
        (0.5, 0.2),  # stricter than asked
    ],
)
def test_a_threshold_at_any_rate_that_the_data_can_show(far, wanted):
    assert threshold(CALIBRATION, far) == pytest.approx(wanted)


def test_no_threshold_below_what_the_data_can_show():
    assert threshold(CALIBRATION, 9e-7) is None


def test_a_threshold_is_a_cosine():
    assert threshold(Calibration.from_row([0.2, 0.5, 0.9, 20, -8, 0.5]), 1e-6) == 1


@pytest.mark.parametrize("far", [0, -1, 2, float("nan"), float("inf")])
def test_a_rate_that_is_none(far):
    with pytest.raises(ArgumentError, match="must be above 0 and at most 1"):
        threshold(CALIBRATION, far)
