import re
from base64 import encodebytes
from dataclasses import fields, replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from settings_table import table

from aurum import paths
from aurum.paths import CHECKOUT
from aurum.settings import PREFIX, SettingError, Settings

NAMES = [item.name for item in fields(Settings)]


def test_without_variables_the_defaults_apply():
    settings = Settings.from_env({})

    shared = CHECKOUT.parent / "shared" / "models"
    assert settings == replace(Settings(), model_mirror=str(shared) if shared.is_dir() else "")


def test_every_kind_of_value_is_parsed(tmp_path):
    settings = Settings.from_env(
        {
            "AURUM_HOST": "0.0.0.0",
            "AURUM_HTTP_PORT": "9000",
            "AURUM_READY_TIMEOUT": "2.5",
            "AURUM_LOG_LEVEL": "info",
            "AURUM_OFFLINE": "1",
            "AURUM_MODEL_CACHE": f"{tmp_path}/x/../y",
            "AURUM_DETECTION_SIZE": "320",
            "AURUM_MIN_CONFIDENCE": "0",
            "SOMETHING_ELSE": "ignored",
        }
    )

    assert settings.host == "0.0.0.0"
    assert settings.http_port == 9000
    assert settings.ready_timeout == 2.5
    assert settings.log_level == "info"
    assert settings.offline is True
    assert settings.model_cache == tmp_path / "y"
    assert settings.detection_size == 320
    assert settings.min_confidence == 0.0
    assert settings.http_url == "http://0.0.0.0:9000"
    assert settings.grpc_url == "grpc://0.0.0.0:8001"


@pytest.mark.parametrize("name", NAMES)
def test_an_empty_variable_means_the_default(name):
    settings = Settings.from_env({PREFIX + name.upper(): "", "AURUM_MODEL_MIRROR": ""})

    assert settings == Settings()


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("around", ["{}\r", " {}\t", "{} \r\n"])
def test_blanks_and_carriage_returns_around_a_value_are_ignored(name, around, tmp_path):
    """As a file of settings with Windows' line ends leaves them."""
    given = Settings(home=tmp_path, trace_url="http://a", gateway_trusted="10.0.0.0/8").to_env()
    variable = PREFIX + name.upper()
    padded = {**given, variable: around.format(given[variable])}

    assert Settings.from_env(padded) == Settings.from_env(given)


def test_a_folder_of_state_with_a_carriage_return_is_the_same_folder(tmp_path):
    assert paths.home({"AURUM_HOME": f"{tmp_path}\r"}) == tmp_path


def test_an_empty_mirror_means_none():
    assert Settings.from_env({"AURUM_MODEL_MIRROR": ""}).model_mirror == ""
    assert Settings.from_env({"AURUM_MODEL_MIRROR": "http://a/b"}).model_mirror == "http://a/b"


def test_a_members_table_is_a_folder_or_an_address(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for text, parsed in (("s3://bucket/members", "s3://bucket/members"), ("m", f"{tmp_path}/m")):
        assert Settings.from_env({"AURUM_FACES_DB": text}).faces_db == parsed


def test_a_home_folder_is_expanded(monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))

    assert Settings.from_env({"AURUM_MODEL_CACHE": "~/m"}).model_cache == tmp_path / "m"


@pytest.mark.parametrize(
    ("name", "text", "allowed"),
    [
        ("HTTP_PORT", "0", "a whole number from 1 to 65535"),
        ("HTTP_PORT", "65536", "a whole number from 1 to 65535"),
        ("GRPC_PORT", "80.5", "a whole number from 1 to 65535"),
        ("METRICS_PORT", "none", "a whole number from 1 to 65535"),
        ("READY_TIMEOUT", "0.5", "a number from 1 to 3600"),
        ("READY_TIMEOUT", "soon", "a number from 1 to 3600"),
        ("READY_TIMEOUT", "nan", "a number from 1 to 3600"),
        ("READY_TIMEOUT", "inf", "a number from 1 to 3600"),
        ("DRAIN_TIMEOUT", "-1", "a whole number from 0 to 3600"),
        ("LOG_LEVEL", "WARNING", "one of error, warning, info, verbose"),
        ("OFFLINE", "yes", "one of 0, 1"),
        ("MAX_IMAGE_BYTES", "0", "a whole number from 1 to 2147483648"),
        ("MAX_IMAGE_PIXELS", "1e6", "a whole number from 1 to 2147483648"),
        ("DETECTION_SIZE", "100", "a multiple of 32 from 32 to 4096"),
        ("DETECTION_SIZE", "0", "a whole number from 32 to 4096"),
        ("MAX_DETECTION_SIZE", "4128", "a whole number from 32 to 4096"),
        ("MIN_CONFIDENCE", "1.01", "a number from 0 to 1"),
        ("NMS_IOU", "-0.1", "a number from 0 to 1"),
        ("PIPELINE_THREADS", "257", "a whole number from 0 to 256"),
    ],
)
def test_an_error_names_the_variable_its_value_and_what_is_allowed(name, text, allowed):
    with pytest.raises(SettingError) as caught:
        Settings.from_env({PREFIX + name: text})

    assert str(caught.value) == f"{PREFIX}{name}={text!r}: must be {allowed}"


def test_the_default_size_must_not_exceed_the_largest():
    with pytest.raises(SettingError, match=r"DETECTION_SIZE=640: .* AURUM_MAX_DETECTION_SIZE"):
        Settings.from_env({"AURUM_MAX_DETECTION_SIZE": "320"})


@given(
    min_confidence=st.floats(0, 1),
    ready_timeout=st.floats(1, 3600),
    detection_size=st.integers(1, 40).map(lambda cells: cells * 32),
    grpc_port=st.integers(1, 65535),
    offline=st.booleans(),
    model_mirror=st.sampled_from(["", "/models", "http://mirror"]),
)
def test_settings_round_trip_through_the_environment(**values):
    settings = Settings(
        **values,
        model_cache=Path("/some/where"),
    )

    assert Settings.from_env(settings.to_env()) == settings


def test_the_environment_holds_every_setting():
    assert list(Settings().to_env()) == [PREFIX + name.upper() for name in NAMES]


def test_the_table_lists_every_setting_once():
    rows = table().splitlines()

    assert rows[0] == "| variable | default | meaning |"
    listed = [row.split(" | ")[0].removeprefix("| ").strip("`") for row in rows[2:]]
    assert listed == [PREFIX + name.upper() for name in NAMES]
    assert all(row.count("|") == 4 for row in rows), "a stray | would break the table"
    assert not any(str(CHECKOUT) in row for row in rows), "a default specific to this machine"


def test_the_documentation_contains_the_table():
    page = CHECKOUT / "docs" / "reference" / "configuration.md"
    assert table() in page.read_text(encoding="utf-8")


@pytest.mark.parametrize(("photo", "base64"), [(3_000, 4_000), (3_001, 4_004)])
def test_the_largest_body_fits_the_largest_photo_as_base64(photo, base64):
    assert replace(Settings(), max_image_bytes=photo).max_body_bytes == base64 + 65_536


def test_base64_has_its_own_limit_and_binary_a_larger_one():
    settings = Settings()
    assert settings.max_body_bytes == 25_000_000 + 65_536
    in_lines = len(encodebytes(bytes(settings.max_base64_bytes)).replace(b"\n", b"\\r\\n"))
    assert in_lines + 60_000 < settings.max_json_bytes < settings.max_body_bytes
    narrow = replace(settings, max_image_bytes=3000)
    assert narrow.max_json_bytes == 4000 * 17 // 16 + 65_536


# --- misspelt settings ---


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("AURUM_HTTP_PROT", "did you mean AURUM_HTTP_PORT?"),
        ("AURUM_HTP_PORT", "did you mean AURUM_HTTP_PORT?"),
        ("AURUM_DETECTION_SIZES", "did you mean AURUM_DETECTION_SIZE?"),
        ("AURUM_ZZZ", "all are in docs/reference/configuration.md"),
    ],
)
def test_a_misspelt_setting_is_an_error_with_a_suggestion(name, words):
    with pytest.raises(SettingError, match=re.escape(f"{name} is not a setting; {words}")):
        Settings.from_env({name: "8000"})


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("AURUM_TRITON_URL", "grpc://x"),
        ("AURUM_API_KEY", "x"),
        ("AURUM_BENCH_RATE", "1"),
        ("AURUM_GATEWAY_SERVICE_HOST", "10.0.0.1"),
        ("AURUM_GATEWAY_SERVICE_PORT", "8443"),
        ("AURUM_GATEWAY_SERVICE_PORT_HTTPS", "8443"),
        ("AURUM_TRITON_PORT", "tcp://10.0.0.1:8000"),
        ("AURUM_PORT_8000_TCP_ADDR", "10.0.0.1"),
        ("AURUMX", "no setting's"),
    ],
)
def test_variables_of_other_programs_and_kubernetes_are_ignored(name, value):
    assert Settings.from_env({name: value}) == Settings.from_env({})
