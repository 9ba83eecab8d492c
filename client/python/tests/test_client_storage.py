"""Results are copied, pickled, and stored as JSON."""

from __future__ import annotations

import copy
import dataclasses
import json
import pickle

import numpy as np
import pytest
from aurum_client import (
    Analysis,
    Calibration,
    Comparison,
    Embedding,
    Faces,
    Health,
    ModelIds,
    RateLimitError,
)
from aurum_client._parse import parse_analysis, parse_embedding, parse_faces


def assert_same(one: object, other: object) -> None:
    """Compare field by field: results with arrays have no == of their own."""
    assert isinstance(other, type(one))  # an AnalyzedFace is stored as a Face
    if dataclasses.is_dataclass(one):
        for field in dataclasses.fields(one):
            assert_same(getattr(one, field.name), getattr(other, field.name))
    elif isinstance(one, np.ndarray):
        assert (one.dtype, one.shape) == (other.dtype, other.shape)
        np.testing.assert_array_equal(one, other)
    else:
        assert one == other


@pytest.fixture(params=["faces", "nobody", "analysis", "empty", "embedding", "old", "comparison"])
def result(request, outputs):
    """A result of each kind."""
    old = outputs(1)
    for name in ("quality", "quality_parts", "gate", "rotations", "complete"):
        del old[name]
    embedding = parse_embedding(outputs(1, gate=[4]), "r-1")
    return {
        "faces": parse_faces(outputs(3, complete=False), "r-1"),
        "nobody": parse_faces(outputs(0, embedder="")),
        "analysis": parse_analysis(outputs(3, gate=[-1, 1, 15]), "r-1"),
        "empty": parse_analysis(outputs(0)),
        "embedding": embedding,
        "old": parse_embedding(old),
        "comparison": Comparison.between(embedding, embedding, far=1e-2),
    }[request.param]


def test_results_can_be_pickled_and_copied(result):
    for protocol in range(2, pickle.HIGHEST_PROTOCOL + 1):
        assert_same(pickle.loads(pickle.dumps(result, protocol)), result)
    assert_same(copy.deepcopy(result), result)
    assert_same(copy.copy(result), result)


def test_results_are_converted_by_asdict(result):
    data = dataclasses.asdict(result)
    assert set(data) == {field.name for field in dataclasses.fields(result)}


def test_results_survive_json(result):
    stored = json.loads(json.dumps(result.to_dict(), allow_nan=False))
    back = type(result).from_dict(stored)
    assert_same(back, result)
    assert json.dumps(back.to_dict()) == json.dumps(result.to_dict())
    for field in dataclasses.fields(back):
        value = getattr(back, field.name)
        assert not (isinstance(value, np.ndarray) and value.flags.writeable)


def test_every_face_survives_json(outputs):
    for found in (parse_faces(outputs(2)), parse_analysis(outputs(2, gate=[-1, 3]))):
        for face in found:
            assert_same(type(face).from_dict(json.loads(json.dumps(face.to_dict()))), face)


def test_a_stored_embedding_is_compared_as_before(outputs):
    embedding = parse_embedding(outputs(1))
    back = Embedding.from_dict(json.loads(json.dumps(embedding.to_dict())))
    assert back.calibration == embedding.calibration
    now, then = (Comparison.between(item, embedding) for item in (embedding, back))
    assert (now.similarity, now.match, now.probability) == (
        *(then.similarity, then.match, then.probability),
    )
    assert then.gated
    assert then.decision == "match"


def test_what_is_stored(outputs):
    stored = parse_embedding(outputs(1, axis=2), "r-1").to_dict()
    assert stored["vector"] == [0.0, 0.0, 1.0] + [0.0] * 509
    assert stored["face"]["embedding"] is None  # not twice
    assert stored["models"] == {
        "detector": "yunet@0123456789ab",
        "embedder": "edgeface@ba9876543210",
    }
    assert stored["calibration"] == {
        "thresholds": {"0.01": 0.25, "0.001": 0.5, "0.0001": 0.75},
        "slope": 20.0,
        "intercept": -10.0,
        "prior": 0.5,
    }
    assert stored["request_id"] == "r-1"


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"vector": [1.0]}, "field 'vector'"),
        ({"vector": None}, "field 'vector'"),
        ({"vector": ["A" * 200_000]}, "field 'vector'"),
        ({"face": None}, "field 'face'"),
        ({"face": {}}, "field 'face': not a stored Face: no field 'bbox'"),
        ({"models": {"detector": 7, "embedder": None}}, "field 'detector': 7 is not of type str"),
        ({"image_size": [1, 2, 3]}, "field 'image_size'"),
        ({"image_size": "ab"}, "field 'image_size'"),
        ({"complete": 1}, "field 'complete': 1 is not of type bool"),
        ({"calibration": {"thresholds": {"low": 1}}}, "field 'calibration'"),
        ({"calibration": {"thresholds": 1}}, "field 'calibration'"),
    ],
)
def test_damaged_data_is_refused_with_the_field(outputs, change, named):
    stored = parse_embedding(outputs(1)).to_dict() | change
    with pytest.raises(ValueError, match=f"^not a stored Embedding: .*{named}") as caught:
        Embedding.from_dict(stored)
    assert len(str(caught.value)) < 300


def test_other_data_is_refused():
    for kind in (Faces, Analysis, Embedding, Calibration, ModelIds):
        for stored in ("A" * 1000, None, [], 7):
            with pytest.raises(ValueError, match=f"not a stored {kind.__name__}") as caught:
                kind.from_dict(stored)
            assert len(str(caught.value)) < 130


def test_unknown_keys_of_a_later_version_are_ignored_and_absent_ones_have_defaults():
    ids = {"detector": "a@1", "embedder": None, "of_a_later_version": 1}
    assert ModelIds.from_dict(ids) == ModelIds("a@1", None)
    with pytest.raises(ValueError, match="no field 'embedder'"):
        ModelIds.from_dict({"detector": "a@1"})


def test_thresholds_stay_read_only():
    calibration = Calibration({1e-4: 0.5}, 1, 0, 0.5)
    assert calibration.thresholds == {1e-4: 0.5}
    assert repr(calibration.thresholds) == "{0.0001: 0.5}"
    with pytest.raises(TypeError):
        calibration.thresholds[1e-4] = 0
    assert copy.deepcopy(calibration) == calibration


def test_a_failed_health_check_can_be_pickled_with_its_error():
    error = RateLimitError("x", code="rate_limited", status="429")
    error.request_id, error.headers = "r", {"retry-after": "3"}
    health = Health(live=True, ready=False, latency=None, models=None, error=error)
    for back in (pickle.loads(pickle.dumps(health)), copy.deepcopy(health)):
        assert (str(back.error), back.error.code, back.error.request_id) == (
            "x",
            "rate_limited",
            "r",
        )
        assert back.error.retry_after == 3
