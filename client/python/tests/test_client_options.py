"""The options of the calls and their conversion to request parameters."""

from __future__ import annotations

from typing import Unpack

import numpy as np
import pytest
from aurum_client import AnalyzeOptions, DetectOptions, EmbedOptions
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
    for wrong in (
        {"max_faces": 2.5},
        {"tiles": 2.5},
        {"tiles": "4"},
        {"refine": 1},
        {"refine": "no"},
        {"orientation": 90},
    ):
        with pytest.raises(TypeError):
            options_of(**wrong)


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
