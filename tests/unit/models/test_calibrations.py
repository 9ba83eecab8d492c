"""A user's own calibration of an embedder: where it is kept, and that the built graph has it."""

from dataclasses import replace

import numpy as np
import pytest
from graphs import answer, session, textured
from small_models import small_embedder

from aurum.models import build, calibrations, manifest
from aurum.models.toml_table import ManifestError

TEXT = """
[calibration]
thresholds = { "1e-2" = 0.2, "1e-3" = 0.3, "1e-4" = 0.4 }
probability = { slope = 20.0, intercept = -5.5, prior = 0.5 }
model = "MODEL"
dataset = "my staff"
impostor_pairs = 200000
genuine_pairs = 500
date = 2026-11-24
command = "aurum models calibrate staff"
"""


def keep(settings, embedder, text=TEXT):
    path = calibrations.own_file(embedder, settings)
    path.parent.mkdir(parents=True)
    path.write_text(text.replace("MODEL", embedder))
    return path


@pytest.fixture
def mine(settings, tmp_path):
    return replace(settings, home=tmp_path)


def test_there_is_none_at_first(mine):
    assert calibrations.own("some@0123456789ab", mine) is None


def test_a_profile_gets_the_users_own_calibration(mine):
    profile = manifest.load().profile("edgeface-xs")
    keep(mine, profile.embedder.id)

    changed = build.with_own_calibration(profile, mine)

    assert changed.embedder.calibration.row == (0.2, 0.3, 0.4, 20.0, -5.5, 0.5)
    assert changed.detector == profile.detector
    other = manifest.load().profile("edgeface-xxs")
    assert build.with_own_calibration(other, mine) == other


def test_the_built_graph_has_it_in_its_answers(mine, tmp_path):
    path, entry = small_embedder(tmp_path)
    plain, _ = build.build("face_embedding", entry, path, mine, lambda _: None)
    own = calibrations.own_file(entry.id, mine)
    own.parent.mkdir()
    own.write_text(TEXT.replace("MODEL", entry.id))
    known = calibrations.own(entry.id, mine)

    graph, _ = build.build(
        "face_embedding", replace(entry, calibration=known), path, mine, lambda _: None
    )

    crops = textured(2, 112, 112)
    assert np.isnan(answer(session(plain), crops=crops)["calibration"]).all()
    given = answer(session(graph), crops=crops)["calibration"]
    assert np.allclose(given, [[0.2, 0.3, 0.4, 20.0, -5.5, 0.5]] * 2)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('model = "MODEL"', 'model = "other@0"', "field `model`: is 'other@0'; must be one of a@0"),
        ("[calibration]", "[calibrations]", "field `calibration`: is missing"),
        ("[calibration]", "x = 1\n[calibration]", "field `x`: is not known here"),
        ("slope = 20.0", "slope = ", "Invalid value"),
    ],
)
def test_a_damaged_file_is_named(mine, old, new, message):
    assert old in TEXT
    path = keep(mine, "a@0", TEXT.replace(old, new, 1))
    with pytest.raises(ManifestError, match=message) as raised:
        calibrations.own("a@0", mine)
    assert str(path) in str(raised.value)
