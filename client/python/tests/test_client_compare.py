"""Comparison of two embeddings: similarity, decision, and the reason for no decision."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from aurum_client import Box, Comparison, Embedding, Face, errors
from aurum_client._parse import parse_embedding
from aurum_client.calibration import Calibration


def test_similarity_is_the_cosine(outputs):
    a, b = parse_embedding(outputs(1)), parse_embedding(outputs(1, axis=1))
    assert Comparison.between(a, a).similarity == 1
    assert Comparison.between(a, b).similarity == 0
    assert Comparison.between(a, b).b is b


@pytest.mark.parametrize(("far", "match"), [(1e-2, True), (1e-3, True), (1e-4, False)])
def test_the_decision_uses_the_threshold_of_the_far(outputs, far, match):
    a, b = parse_embedding(outputs(1)), parse_embedding(outputs(1))
    half = replace(b, vector=a.vector * np.float32(0.5))

    found = Comparison.between(a, half, far=far)

    assert (found.similarity, found.far, found.match) == (0.5, far, match)
    assert found.threshold == {1e-2: 0.25, 1e-3: 0.5, 1e-4: 0.75}[far]
    assert found.decision == ("match" if match else "no match")
    assert found.reason is None
    assert found.probability == 0.5  # slope 20 and intercept -10 cancel out


def test_the_probability_depends_on_the_prior(outputs):
    a = parse_embedding(outputs(1))
    half = replace(a, vector=a.vector * np.float32(0.5))
    # The odds are even without a prior, so the probability equals the prior.
    assert Comparison.between(a, half, prior=0.001).probability == pytest.approx(0.001)
    assert Comparison.between(a, a).probability == pytest.approx(1 / (1 + math.exp(-10)))
    far_off = Calibration({}, 1e6, 0, 0.5)
    assert far_off.probability(-1) == 0
    assert far_off.probability(1) == 1


@pytest.mark.parametrize("wrong", [{"far": 0.05}, {"far": 0}, {"prior": 0}, {"prior": 1.5}])
def test_an_invalid_far_or_prior_is_rejected(outputs, wrong):
    a = parse_embedding(outputs(1))
    with pytest.raises(ValueError, match=r"must be (one of 0\.01, 0\.001, 0\.0001|above 0)"):
        Comparison.between(a, a, **wrong)


def test_an_uncalibrated_embedder_gives_no_decision(outputs):
    a = parse_embedding(outputs(1) | {"calibration": np.zeros(0, np.float32)})
    found = Comparison.between(a, a)
    assert found.similarity == 1
    assert found.threshold is found.match is found.probability is None
    assert found.decision == "uncalibrated"


def test_embeddings_from_different_models_are_rejected(outputs):
    a, b = parse_embedding(outputs(1)), parse_embedding(outputs(1, embedder="other@1"))
    with pytest.raises(errors.ModelMismatchError, match=r"edgeface@ba9876543210 and other@1"):
        Comparison.between(a, b)


def test_the_default_far_is_1e_4(outputs):
    a = parse_embedding(outputs(1))
    found = Comparison.between(a, a)
    assert (found.far, found.threshold, found.decision) == (1e-4, 0.75, "match")


@pytest.mark.parametrize(
    ("first", "second", "reason"),
    [
        (1, -1, "first photo: sharpness 0.213"),
        (-1, 0, "second photo: resolution 8"),
        (1, 0, "first photo: sharpness 0.213; second photo: resolution 8"),
    ],
)
def test_an_unrecognizable_face_gives_no_decision(outputs, first, second, reason):
    parts = np.full((1, 16), 8, np.float32)
    parts[0, 1] = 0.2134
    a, b = (
        parse_embedding(outputs(1, gate=[gate]) | {"quality_parts": parts})
        for gate in (first, second)
    )
    found = Comparison.between(a, b)
    assert (found.decision, found.gated, found.reason) == ("not recognizable", True, reason)
    assert found.match is found.probability is None
    assert (found.similarity, found.threshold) == (1, 0.75)  # unchanged
    blind = [replace(item, calibration=None) for item in (a, b)]
    assert (
        Comparison.between(*blind).decision == "not recognizable"
    )  # takes precedence over "uncalibrated"


def stored(vector, calibration, models, **face):
    """An embedding recreated from its stored fields."""
    points = np.zeros((5, 2), np.float32)
    return Embedding(
        vector, Face(Box(0, 0, 1, 1), points, 0.9, vector, **face), (2, 2), models, calibration
    )


def test_a_stored_embedding_without_a_gate_compares_ungated(outputs):
    fresh = parse_embedding(outputs(1))
    old = stored(fresh.vector, fresh.calibration, fresh.models)
    assert Comparison.between(fresh, fresh).gated is True
    for pair in ((fresh, old), (old, fresh), (old, old)):
        found = Comparison.between(*pair)
        assert (found.decision, found.match, found.gated) == ("match", True, False)
        assert found.reason is None


@pytest.mark.parametrize(
    ("face", "reason"),
    [({"defect": "noise"}, "second photo: noise"), ({}, "second photo: reason unknown")],
)
def test_a_stored_unrecognizable_embedding_is_not_matched(outputs, face, reason):
    fresh = parse_embedding(outputs(1, gate=[]))
    bad = stored(fresh.vector, fresh.calibration, fresh.models, recognizable=False, **face)
    found = Comparison.between(fresh, bad)
    assert (found.decision, found.match, found.gated) == ("not recognizable", None, False)
    assert found.reason == reason
