"""What `aurum up` says about a profile when it starts."""

from dataclasses import replace

from aurum.cli.prepare import notes
from aurum.models import manifest

PROFILES = manifest.load().profiles


def test_a_large_and_uncalibrated_profile_is_said_to_be_so():
    said = dict(notes(PROFILES["auraface"]))
    assert "no comparison is decided; `aurum models calibrate`" in said["calibration"]
    assert "more than 500 MB" in said["memory"]
    assert "commercial use" not in said


def test_a_users_own_calibration_is_named():
    profile = PROFILES["edgeface-xs"]
    own = replace(profile.embedder.calibration, own=True, dataset="staff: 450 photos", date="today")
    said = dict(notes(replace(profile, embedder=replace(profile.embedder, calibration=own))))
    assert said["calibration"] == "your own of today, staff: 450 photos"


def test_the_default_profile_only_has_an_unclear_licence():
    assert list(dict(notes(PROFILES["edgeface-xs"]))) == ["commercial use"]


def test_nothing_is_said_of_the_simulated_embedders_calibration():
    """Its similarities mean nothing, which is said in capital letters elsewhere."""
    assert notes(PROFILES["simulated"]) == []
    assert list(dict(notes(None))) == ["commercial use"]
