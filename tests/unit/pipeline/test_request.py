import re

import pytest

from aurum.pipeline.request import (
    MAX_SHOWN,
    Options,
    RequestError,
    parse_options,
    shortened,
)
from aurum.settings import Settings

SETTINGS = Settings(min_confidence=0.55, detection_size=416, max_detection_size=1280)


def shown(value):
    return shortened(repr(value))


def parse(**parameters):
    return parse_options(parameters, SETTINGS)


def message(**parameters):
    with pytest.raises(RequestError) as caught:
        parse(**parameters)
    assert caught.value.code == "invalid_parameter"
    return str(caught.value)


def test_without_parameters_the_settings_apply():
    options = parse()

    assert options == Options(
        min_confidence=0.55,
        max_faces=0,
        detection_size=416,
        aligned=False,
        orientation="auto",
        refine=True,
        tiles=0,
        min_quality=0,
    )


def test_the_settings_give_the_defaults_for_looking():
    options = parse_options({}, Settings(orientation="exif", refine=False))

    assert (options.orientation, options.refine) == ("exif", False)


EVERY = {
    "min_confidence": 0.25,
    "max_faces": 3,
    "detection_size": 640,
    "aligned": True,
    "orientation": "exif",
    "refine": False,
    "tiles": 9,
    "min_quality": 0.75,
}


def test_every_parameter_is_read():
    assert parse(**EVERY) == Options(**EVERY)


def test_numbers_and_booleans_are_accepted_as_text():
    options = parse(**{name: str(value) for name, value in EVERY.items()})

    assert options == Options(**EVERY)
    assert type(options.max_faces) is type(options.detection_size) is int


def test_whole_numbers_are_accepted_as_floats():
    options = parse(max_faces=3.0, detection_size="640.0", min_confidence=1)

    assert (options.max_faces, options.detection_size, options.min_confidence) == (3, 640, 1.0)
    assert type(options.max_faces) is type(options.detection_size) is int


@pytest.mark.parametrize("value", [0, 1, "0", "1", 0.0, "1e-3"])
def test_the_bounds_of_min_confidence_are_allowed(value):
    assert parse(min_confidence=value).min_confidence == float(value)


@pytest.mark.parametrize("size", [32, 1280])
def test_the_bounds_of_detection_size_are_allowed(size):
    assert parse(detection_size=size).detection_size == size


def test_a_huge_max_faces_means_all_faces():
    assert [1, 2, 3][slice(parse(max_faces="1e300").max_faces)] == [1, 2, 3]


NO_NUMBERS = [
    True, False, None, [], {}, "", "many", "true", float("nan"), float("inf"), float("-inf"),
    "nan", "inf", "-Infinity", "1e999", 10**400, -(10**400),
]  # fmt: skip


@pytest.mark.parametrize("value", [*NO_NUMBERS, -0.01, 1.01, "-1", 60])
def test_a_bad_min_confidence_is_refused(value):
    assert message(min_confidence=value) == (
        f"[invalid_parameter] min_confidence={shown(value)}: must be a number from 0 to 1"
    )


@pytest.mark.parametrize("value", [*NO_NUMBERS, -1, 1.5, "2.5", "-3"])
def test_a_bad_max_faces_is_refused(value):
    assert message(max_faces=value) == (
        f"[invalid_parameter] max_faces={shown(value)}: must be a whole number, 0 "
        "(all faces) or more"
    )


@pytest.mark.parametrize("value", [*NO_NUMBERS, 0, -32, 31, 33, 100, 320.5, 1312, "1e300"])
def test_a_bad_detection_size_is_refused(value):
    assert message(detection_size=value) == (
        f"[invalid_parameter] detection_size={shown(value)}: must be a multiple of 32 "
        "from 32 to 1280 "
        "(AURUM_MAX_DETECTION_SIZE)"
    )


@pytest.mark.parametrize("value", [0, 1, "1", "yes", "", None, [True], 1.0])
def test_a_bad_aligned_is_refused(value):
    assert message(aligned=value) == (
        f"[invalid_parameter] aligned={shown(value)}: must be true or false"
    )


@pytest.mark.parametrize("value", [*NO_NUMBERS, -1, 17, 1.5, "2.5"])
def test_a_bad_number_of_tiles_is_refused(value):
    assert message(tiles=value) == (
        f"[invalid_parameter] tiles={shown(value)}: must be a whole number from 0 to 16"
    )


@pytest.mark.parametrize("value", ["", "Auto", "90", 90, None, True, ["auto"]])
def test_a_bad_orientation_is_refused(value):
    assert message(orientation=value) == (
        f"[invalid_parameter] orientation={shown(value)}: must be one of auto, exif"
    )


@pytest.mark.parametrize("value", [0, "no", None])
def test_a_bad_refine_is_refused(value):
    assert (
        message(refine=value) == f"[invalid_parameter] refine={shown(value)}: must be true or false"
    )


@pytest.mark.parametrize("value", [False, "false", "FALSE"])
def test_aligned_may_be_false(value):
    assert parse(aligned=value).aligned is False


@pytest.mark.parametrize("name", ["min_confidenc", "MIN_CONFIDENCE", "maxfaces", "", "triton", "x"])
def test_an_unknown_name_is_an_error_that_lists_the_known_ones(name):
    assert message(**{name: 1}) == (
        f"[invalid_parameter] unknown parameter {name!r}; known: min_confidence, max_faces, "
        "detection_size, aligned, orientation, refine, tiles, min_quality"
    )


@pytest.mark.parametrize(
    "name", ["triton_enable_empty_final_response", "X-Request-Id", "x-forwarded-for", "Triton_x"]
)
def test_parameters_added_by_triton_or_a_proxy_are_ignored(name):
    assert parse(**{name: "anything", "max_faces": 2}).max_faces == 2


def test_the_error_has_its_code():
    error = RequestError("no_face", "nobody")

    assert error.code == "no_face"
    assert str(error) == "[no_face] nobody"
    assert isinstance(error, ValueError)


def test_a_pipeline_without_quality_takes_no_min_quality():
    with pytest.raises(RequestError, match="detect_faces returns no quality") as caught:
        parse_options({"min_quality": 0}, SETTINGS, with_quality=False)

    assert caught.value.code == "invalid_parameter"


@pytest.mark.parametrize("value", [-0.1, 1.5, "best", True, None])
def test_min_quality_is_between_0_and_1(value):
    assert "must be a number from 0 to 1" in message(min_quality=value)


@pytest.mark.parametrize("length", [200, 200_000])
def test_of_a_wrong_value_or_name_80_characters_are_repeated(length):
    """Not a photo that was sent as a parameter: messages are logged."""
    photo = "A" * length
    for parameters in ({"tiles": photo}, {"orientation": photo}, {photo: 1}):
        with pytest.raises(RequestError) as caught:
            parse(**parameters)
        assert re.findall("'A+", str(caught.value)) == ["'" + "A" * (MAX_SHOWN - 4)]
        assert "A..." in str(caught.value)
