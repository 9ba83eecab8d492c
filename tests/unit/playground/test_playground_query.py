"""A search among members, as JSON: what is allowed, and that anything else is refused in words."""

import json
from contextlib import suppress

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from aurum.contract import QUALITY_PARTS
from aurum.playground.query import QueryError, parse

VECTOR = np.eye(512)[3].tolist()
GOOD = {"embedding": VECTOR, "embedder": "e@0123456789ab"}


def body(**changed):
    return json.dumps(GOOD | changed).encode()


def test_a_face_and_the_given_options_are_parsed():
    query, options = parse(body(top=3, far=1e-3, false_matches=None))
    assert query.vector.dtype == np.float32
    assert query.vector.tolist() == VECTOR
    assert query.models.embedder == "e@0123456789ab"
    assert (query.recognizable, query.defect) == (None, None)
    assert options == {"top": 3, "far": 1e-3}
    assert parse(body(false_matches=1))[1] == {"false_matches": 1.0}
    assert parse(body())[1] == {}


@pytest.mark.parametrize(
    ("gate", "recognizable", "defect"),
    [
        (None, None, None),
        (-1, True, None),
        *((n, False, part) for n, part in enumerate(QUALITY_PARTS)),
    ],
)
def test_the_gate_is_that_of_the_services_answer(gate, recognizable, defect):
    query, _ = parse(body(gate=gate))
    assert (query.recognizable, query.defect) == (recognizable, defect)


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"embedding": None}, "embedding: must be a list of 512 numbers"),
        ({"embedding": VECTOR[1:]}, "embedding: must be a list of 512 numbers"),
        ({"embedding": [*VECTOR[1:], "1"]}, "embedding: must have numbers from -1 to 1"),
        ({"embedding": [*VECTOR[1:], True]}, "embedding: must have numbers from -1 to 1"),
        ({"embedding": [*VECTOR[1:], 10**400]}, "embedding: must have numbers from -1 to 1"),
        ({"embedding": [*VECTOR[1:], float("nan")]}, "embedding: must have numbers from -1 to 1"),
        ({"embedding": [0.5] * 512}, "embedding: must have length 1"),
        ({"embedding": [0] * 512}, "embedding: must have length 1"),
        ({"embedder": None}, "embedder: must be the embedder's id"),
        ({"embedder": ""}, "embedder: must be the embedder's id"),
        ({"embedder": "a\nb"}, "embedder: must be the embedder's id"),
        ({"embedder": "\ud800"}, "embedder: must be the embedder's id"),
        ({"gate": 16}, "gate=16: must be -1 to 15"),
        ({"gate": -2}, "gate=-2: must be -1 to 15"),
        ({"gate": "sharpness"}, "gate: must be a number"),
        ({"top": 1.5}, "top=1.5: must be a whole number"),
        ({"top": float("inf")}, "top=inf: must be a whole number"),
        ({"top": True}, "top: must be a number"),
        ({"far": "1e-4"}, "far: must be a number"),
        ({"false_matches": [1]}, "false_matches: must be a number"),
        ({"faar": 1}, "'faar' is unknown: a search may have embedding, embedder, gate, top, far"),
        ({"\ud800": 1}, "'\\ud800' is unknown"),
    ],
)
def test_what_is_not_allowed_is_refused_with_what_is(changed, said):
    with pytest.raises(QueryError) as caught:
        parse(body(**changed))
    assert str(caught.value).startswith(said)
    assert len(str(caught.value)) < 200


@pytest.mark.parametrize("text", [b"", b"\xff", b"[" * 60_000, b"[]", b"1", b'"a"', b"null", b"{"])
def test_what_is_no_json_object_is_refused(text):
    with pytest.raises(QueryError, match="a search must be"):
        parse(text)


NUMBERS = st.integers() | st.floats()
VALUES = NUMBERS | st.none() | st.booleans() | st.text(max_size=9) | st.lists(NUMBERS, max_size=9)


@given(st.dictionaries(st.sampled_from([*GOOD, "gate", "top", "far", "false_matches"]), VALUES))
def test_any_values_are_parsed_or_refused(changed):
    with suppress(QueryError):
        parse(body(**changed))
