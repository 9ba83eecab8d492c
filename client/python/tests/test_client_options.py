"""The options of the calls and their conversion to request parameters."""

from __future__ import annotations

from typing import Unpack

import numpy as np
import pytest
from aurum_client import AnalyzeOptions, DetectOptions, EmbedOptions, InvalidRequestError
from aurum_client.options import build_parameters


def options_of(**options: Unpack[AnalyzeOptions]):
    return build_parameters(AnalyzeOptions, options)


def test_an_omitted_option_is_not_sent():
    assert options_of() == {}
    assert options_of(min_confidence=0, max_faces=0, detection_size=0) == {
        "min_confidence": 0.0,
        "max_faces": 0,
        "detection_size": 0,
    }
    assert options_of(tiles=None, min_quality=None) == {}
    assert options_of(orientation="exif", refine=False, tiles=0) == {
        "orientation": "exif",
        "refine": False,
        "tiles": 0,
    }


def test_parameters_are_converted_to_python_types():
    sent = options_of(
        min_confidence=np.float32(0.5),
        min_quality=np.float64(0.25),
        max_faces=np.int64(3),
        orientation=np.str_("auto"),
        refine=np.True_,
        tiles=np.int64(4),
    )
    assert [type(value) for value in sent.values()] == [float, float, int, str, bool, int]


INTEGERS = ("max_faces", "detection_size", "tiles")


@pytest.mark.parametrize("name", INTEGERS)
@pytest.mark.parametrize("value", [1280.0, np.float32(1280), np.int64(1280), np.array(1280)])
def test_a_whole_number_may_be_a_float_or_numpys(name, value):
    sent = options_of(**{name: value})
    assert sent == {name: 1280}
    assert type(sent[name]) is int


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *((name, value) for name in INTEGERS for value in (True, np.True_, 2.5, "640", [640])),
        *((name, value) for name in INTEGERS for value in (float("nan"), float("inf"), 640j)),
        *(("min_quality", value) for value in (True, "0.5", b"1", [0.5], np.zeros(2), np.False_)),
        *(("refine", 1), ("refine", "no"), ("orientation", 90), ("orientation", b"auto")),
    ],
)
def test_a_value_of_the_wrong_type_is_refused_by_name(name, value):
    with pytest.raises(TypeError, match=f"^{name}=.* must be "):
        options_of(**{name: value})


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *(("min_confidence", float("nan")), ("min_quality", -np.inf), ("orientation", "\udcff")),
        *(("tiles", 2**70), ("max_faces", -(2**63) - 1), ("tiles", 1e30)),
    ],
)
def test_a_value_that_cannot_be_sent_is_refused_by_name(name, value):
    with pytest.raises(InvalidRequestError, match=f"^{name}=.* must "):
        options_of(**{name: value})


def test_an_integer_that_python_refuses_to_write_is_refused_by_name():
    with pytest.raises(InvalidRequestError, match=r"^max_faces=a huge int must fit"):
        options_of(max_faces=10**5000)


def test_an_echoed_value_has_80_characters_at_most():
    for value in ("A" * 200_000, "\0" * 200_000, ["A" * 100] * 2000, "a\nb" * 50):
        with pytest.raises(TypeError) as caught:
            options_of(tiles=value)
        assert len(str(caught.value)) <= len("tiles= must be a whole number") + 80
    with pytest.raises(TypeError) as caught:
        options_of(**{"A" * 200_000: 1})
    assert len(str(caught.value)) < 250


@pytest.mark.parametrize(
    ("kind", "option"),
    [
        (DetectOptions, "min_quality"),
        (EmbedOptions, "max_faces"),
        (AnalyzeOptions, "aligned"),
        (AnalyzeOptions, "max_face"),
    ],
)
def test_an_unknown_option_is_rejected(kind, option):
    with pytest.raises(TypeError, match=f"no option '{option}'; known: .*refine"):
        build_parameters(kind, {option: 1})
