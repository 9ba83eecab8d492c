import hashlib
import re
from pathlib import Path

import pytest

from aurum.models.manifest import load
from aurum.models.toml_table import ManifestError
from aurum.paths import CHECKOUT

SHARED = CHECKOUT.parent / "shared" / "models"
GOOD = f"""
auto = ["real"]
[profiles.real]
description = "a profile"
detector = "det"
embedder = "emb"
[profiles.research]
description = "a profile"
detector = "det"
embedder = "strict"
[profiles.simulated]
description = "a profile"
detector = "sim"
embedder = "emb"
[[models]]
name = "det"
role = "detector"
family = "yunet"
description = "a detector"
licence = "MIT"
commercial_use = "yes"
upstream = "https://example.org/det"
file = "det.onnx"
sha256 = "{"0123456789abcdef" * 4}"
sha256_source = "a test"
bytes = 12
urls = ["https://example.org/det.onnx"]
tested = true
[models.input]
color = "BGR"
mean = 0
std = 1
layout = "NCHW"
multiple_of = 32
source = "made up"
[[models]]
name = "emb"
role = "embedder"
family = "arcface"
description = "an embedder"
licence = "unknown"
commercial_use = "unclear"
upstream = "https://example.org/emb"
file = "emb.onnx"
sha256 = "{"a" * 64}"
sha256_source = "a test"
urls = []
tested = false
[models.input]
color = "RGB"
mean = 127.5
std = 127.5
layout = "NCHW"
size = [112, 112]
source = "made up"
[[models]]
name = "strict"
role = "embedder"
family = "arcface"
description = "an embedder"
licence = "research only"
commercial_use = "no"
upstream = "https://example.org/strict"
file = "strict.onnx"
sha256 = "{"b" * 64}"
sha256_source = "a test"
urls = []
tested = false
[models.input]
color = "RGB"
mean = 127.5
std = 127.5
layout = "NCHW"
size = [112, 112]
source = "made up"
[[models]]
name = "sim"
role = "detector"
family = "simulated"
description = "a stand-in"
licence = "Apache-2.0"
commercial_use = "yes"
tested = true
"""


CALIBRATION = """
[models.calibration]
thresholds = { "1e-2" = 0.2, "1e-3" = 0.3, "1e-4" = 0.4 }
probability = { slope = 20, intercept = -5.5, prior = 0.5 }
model = "emb@aaaaaaaaaaaa"
dataset = "some photos"
impostor_pairs = 10
genuine_pairs = 5
date = 2026-11-24
command = "a command"
"""
CALIBRATED = GOOD.replace(
    'source = "made up"\n[[models]]\nname = "strict"',
    f'source = "made up"\n{CALIBRATION}[[models]]\nname = "strict"',
)


def load_text(folder: Path, text: str):
    path = folder / "models.toml"
    path.write_text(text)
    return load(path)


def test_a_good_manifest_is_read(tmp_path):
    manifest = load_text(tmp_path, GOOD)
    assert manifest.auto == ("real",)
    detector = manifest.models["det"]
    assert detector.id == "det@0123456789ab"
    assert detector.bytes == 12
    assert detector.urls == ("https://example.org/det.onnx",)
    assert (detector.input.mean, detector.input.std) == (0.0, 1.0)
    assert (detector.input.size, detector.input.multiple_of) == (None, 32)
    embedder = manifest.models["emb"]
    assert embedder.bytes is None
    assert (embedder.input.size, embedder.input.multiple_of) == ((112, 112), None)
    simulated = manifest.models["sim"]
    assert (simulated.id, simulated.file, simulated.input) == (None, None, None)
    assert manifest.profile("real").models == (detector, embedder)


def test_the_liveness_models_are_two_checkpoints():
    near, wide = load().liveness
    assert (near.file, wide.file) == (
        "2.7_80x80_MiniFASNetV2.pth",
        "4_0_0_80x80_MiniFASNetV1SE.pth",
    )
    assert {near.commercial_use, wide.commercial_use} == {"yes"}


def test_a_manifest_without_liveness_models_is_good(tmp_path):
    assert load_text(tmp_path, GOOD).liveness == ()


def test_a_profiles_commercial_use_is_the_stricter_of_its_models(tmp_path):
    profiles = load_text(tmp_path, GOOD).profiles
    assert profiles["real"].commercial_use == "unclear"
    assert profiles["research"].commercial_use == "no"


def test_an_unknown_profile_error_lists_the_names(tmp_path):
    with pytest.raises(ManifestError, match=r"'big'.*: auto, real, research, simulated"):
        load_text(tmp_path, GOOD).profile("big")


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('licence = "MIT"\n', "", "model 'det', field `licence`: is missing"),
        ('licence = "MIT"\n', 'licence = " "\n', "'det', field `licence`: is ' '"),
        ('licence = "MIT"\n', "licence = 1\n", "'det', field `licence`: is 1; must be a text"),
        ('licence = "MIT"', 'licence = "MIT"\nlicense = "MIT"', "'det', field `license`: is not"),
        ('name = "det"\n', "", "model number 1, field `name`: is missing"),
        ('name = "strict"', 'name = "emb"', "model 'emb', field `name`: two models"),
        ('name = "det"', 'name = "a/b"', "made of letters, digits"),
        ('role = "detector"\nfamily = "yunet"', 'role = "x"\nfamily = "yunet"', "one of detector"),
        ('family = "yunet"', 'family = "yolo"', "one of yunet, scrfd, arcface, simulated"),
        ('family = "yunet"', 'family = "arcface"', "field `role`: is 'detector'; family arcface"),
        ('commercial_use = "no"', "commercial_use = false", "one of yes, unclear, no"),
        ("tested = true", "tested = 1", "field `tested`: is 1; must be true or false"),
        ("bytes = 12", "bytes = 0", "field `bytes`: is 0; must be a whole number from 1"),
        ("bytes = 12", "bytes = true", "field `bytes`: is True; must be a whole number from 1"),
        ('"0123456789', '"012345678X', "'det', field `sha256`.*64 hexadecimal digits"),
        ('"0123456789', '"012345678', "'det', field `sha256`.*64 hexadecimal digits"),
        ('sha256_source = "a test"\n', "", "'det', field `sha256_source`: is missing"),
        ('file = "det.onnx"', 'file = "../det.onnx"', "field `file`.*plain name"),
        ('file = "strict.onnx"', 'file = "emb.onnx"', "already the file of model 'emb'"),
        ("https://example.org/det.onnx", "ftp://example.org/x", "field `urls`: has 'ftp:"),
        ('urls = ["https://example.org/det.onnx"]\n', "", "'det', field `urls`: is missing"),
        ('color = "BGR"', 'color = "GBR"', "model 'det', input, field `color`.*one of RGB, BGR"),
        ("std = 1\n", "std = 0\n", "field `std`: is 0.0; must be a number from"),
        ("std = 1\n", "std = nan\n", "field `std`: is nan"),
        ("multiple_of = 32", "size = [1]", "field `size`: is .1.; must be height and width"),
        ("multiple_of = 32\n", "", "field `size`: either it or `multiple_of`"),
        ('source = "made up"', "sauce = 1", "'det', input, field `source`: is missing"),
        ('source = "made up"', 'source = "x"\nsauce = 1', "input, field `sauce`: is not known"),
        ('detector = "det"', 'detector = "d"', "profile 'real', field `detector`.*of det, sim"),
        ('embedder = "emb"', 'embedder = "det"', "'real', field `embedder`.*one of emb, strict"),
        ("[profiles.real]", "[profiles.real]\nx = 1", "profile 'real', field `x`: is not known"),
        ("[profiles.research]", "[profiles.auto]", "profile 'auto': the name is taken"),
        ('auto = ["real"]', "", "field `auto`: is missing"),
        ('auto = ["real"]', 'auto = ["unreal"]', "has 'unreal'; must be of real, research, sim"),
        ('auto = ["real"]', 'auto = ["real", "real"]', "names a profile twice"),
        ('auto = ["real"]', 'auto = ["research"]', "'research' is for non-commercial use only"),
        ('auto = ["real"]', 'auto = ["real"]\nx = 1', "the manifest, field `x`: is not known"),
        ('auto = ["real"]', 'auto = ["real"]\nliveness = ["det", "det"]', "must be two of none"),
        ('auto = ["real"]', "auto = [", "models.toml: "),
        ("tested = true\n[models.input]", "tested = true\ninput = 1\n[x]", "`input`: is 1; must"),
    ],
)
def test_errors_in_a_manifest_are_named(tmp_path, old, new, message):
    assert old in GOOD
    with pytest.raises(ManifestError, match=message) as raised:
        load_text(tmp_path, GOOD.replace(old, new, 1))
    assert str(tmp_path / "models.toml") in str(raised.value)


def test_a_calibration_has_six_numbers(tmp_path):
    models = load_text(tmp_path, CALIBRATED).models
    assert models["emb"].calibration.row == (0.2, 0.3, 0.4, 20.0, -5.5, 0.5)
    assert models["emb"].calibration.date.isoformat() == "2026-11-24"
    assert models["strict"].calibration is None


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (
            '"1e-3" = 0.3',
            '"1e-5" = 0.3',
            "'emb', calibration, thresholds, field `1e-3`: is missing",
        ),
        ('"1e-4" = 0.4', '"1e-4" = 1.4', "field `1e-4`: is 1.4; must be a number from -1 to 1"),
        ('"1e-4" = 0.4', '"1e-4" = 0.1', "must not decrease as the FAR decreases"),
        ("slope = 20", "slope = 0", "probability, field `slope`: is 0.0; must be a number from"),
        ("slope = 20", "slope = inf", "field `slope`: is inf"),
        ("prior = 0.5", "prior = 1.0", "field `prior`: is 1.0"),
        (
            '"emb@aaaa',
            '"emb@bbbb',
            "`model`: is 'emb@bbbbaaaaaaaa'; must be one of emb@aaaaaaaaaaaa",
        ),
        ("impostor_pairs = 10\n", "", "field `impostor_pairs`: is missing"),
        ("genuine_pairs = 5", "genuine_pairs = 0", "field `genuine_pairs`: is 0"),
        ("date = 2026-11-24", 'date = "today"', "field `date`: is 'today'; must be a date"),
        ("date = 2026-11-24", "date = 2026-11-24\nx = 1", "calibration, field `x`: is not known"),
    ],
)
def test_errors_in_a_calibration_are_named(tmp_path, old, new, message):
    assert old in CALIBRATED
    with pytest.raises(ManifestError, match=re.escape(message)):
        load_text(tmp_path, CALIBRATED.replace(old, new, 1))


def test_a_detector_has_no_calibration(tmp_path):
    with pytest.raises(ManifestError, match="'det', field `calibration`: is not known"):
        load_text(
            tmp_path,
            GOOD.replace('[[models]]\nname = "emb"', CALIBRATION + '[[models]]\nname = "emb"'),
        )


def test_a_simulated_model_has_no_file(tmp_path):
    with pytest.raises(ManifestError, match="'sim', field `file`: is not known"):
        load_text(tmp_path, GOOD + 'file = "sim.onnx"\n')


def test_a_missing_manifest_is_named(tmp_path):
    with pytest.raises(ManifestError, match="No such file"):
        load(tmp_path / "models.toml")


def test_the_projects_manifest_is_valid():
    manifest = load()
    assert manifest.auto == ("edgeface-xs", "edgeface-xs-gamma", "auraface")
    assert {name for name, p in manifest.profiles.items() if p.commercial_use == "no"} == {
        "scrfd",
        "insightface-mbf",
        "insightface-r50",
    }
    assert [m.file for m in manifest.profile("simulated").models] == [None, None]
    assert manifest.models["edgeface_xs_q"].id == "edgeface_xs_q@f078bab9d777"
    # The later choices of `auto` must be available without a mirror.
    for name in manifest.auto[1:]:
        assert all(model.urls for model in manifest.profile(name).models)
    assert {name for name, p in manifest.profiles.items() if p.commercial_use == "yes"} == {
        "auraface",
        "simulated",
    }
    assert {name for name, profile in manifest.profiles.items() if profile.large} == {
        "auraface",
        "arcface-r100",
        "insightface-r50",
    }


def test_what_auto_downloads_has_two_publishers():
    """One may go, or be blocked; the ONNX Model Zoo's address went."""
    manifest = load()
    models = {model.name: model for n in manifest.auto for model in manifest.profiles[n].models}
    models |= {model.name: model for model in manifest.models.values() if model.role == "embedder"}
    for model in models.values():
        assert len({tuple(url.split("/")[2:5]) for url in model.urls}) != 1, model.name
    for model in manifest.models.values():
        assert len(set(model.urls)) == len(model.urls), model.name


@pytest.mark.skipif(not SHARED.is_dir(), reason="no ../shared/models")
def test_tested_models_match_the_local_files():
    tested = [m for m in load().models.values() if m.tested and m.file]
    assert len(tested) == 7
    for model in tested:
        content = (SHARED / model.file).read_bytes()
        assert (hashlib.sha256(content).hexdigest(), len(content)) == (model.sha256, model.bytes)
