"""How many photos a calibration needs: random parts of a made-up set of people."""

import numpy as np
import pytest

from aurum.evaluation import calibration
from aurum.evaluation.calibration import FARS
from benchmarks.quality import enough


def test_parts_have_that_many_people_and_photos_and_keep_the_rates(monkeypatch):
    random = np.random.default_rng(0)
    people = np.repeat(np.arange(80), 4)
    vectors = random.standard_normal((len(people), 64)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    every = np.sort(calibration.all_pairs(vectors, people).impostors)
    sizes = []
    pairs = calibration.all_pairs
    monkeypatch.setattr(
        calibration,
        "all_pairs",
        lambda *given: sizes.append(np.bincount(given[1])) or pairs(*given),
    )

    rates = enough._rates(vectors, people, every, 60, 3)

    assert rates.shape == (enough.PARTS, len(FARS))
    for counts in sizes:
        assert sorted(counts[counts > 0]) == [3] * 60
    # These people are alike by chance alone, so a part's thresholds fit the whole.
    assert np.median(rates[:, 0]) == pytest.approx(1e-2, rel=0.2)
    assert np.median(rates[:, 1]) == pytest.approx(1e-3, rel=0.5)
