import errno
import logging
import multiprocessing
import os
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace

import pytest
from http_server import CONTENT, NAME, at, files, has_file, model_of

from aurum.models.manifest import Manifest, Profile
from aurum.models.pull import LicenceError, PullError, choose_profile, pull, pull_profile, verify
from aurum.models.toml_table import ManifestError

# --- the cache, the mirror and the upstream addresses ---


def test_a_good_cache_needs_nothing_else(settings):
    settings.model_cache.mkdir()
    path = settings.model_cache / NAME
    path.write_bytes(CONTENT)
    assert pull(model_of(), settings) == path
    assert list(settings.model_cache.iterdir()) == [path]  # no lock: it may be read-only


def test_mirror_folder_comes_first(settings, site, tmp_path):
    (tmp_path / "mirror").mkdir()
    (tmp_path / "mirror" / NAME).write_bytes(CONTENT)
    settings = replace(settings, model_mirror=str(tmp_path / "mirror"))
    seen = []
    assert pull(at(site, "plain"), settings, lambda *report: seen.append(report)).is_file()
    assert has_file(settings)
    assert seen[-1] == (NAME, len(CONTENT), len(CONTENT))
    assert site.asked == []


def test_mirror_address(settings, site):
    settings = replace(settings, model_mirror=f"{site.base}/plain/sub/", offline=True)
    pull(model_of(), settings)
    assert has_file(settings)
    assert site.asked == [(f"/plain/sub/{NAME}", None)]


@pytest.mark.parametrize("content", [CONTENT[:-1] + b"x", CONTENT[:-1], CONTENT + b"x"])
def test_bad_mirror_is_skipped(settings, site, tmp_path, content):
    (tmp_path / NAME).write_bytes(content)
    settings = replace(settings, model_mirror=str(tmp_path))
    pull(at(site, "plain"), settings)
    assert has_file(settings)
    with pytest.raises(PullError, match=f"{tmp_path}/{NAME}: has .*, expected "):
        pull(model_of(), replace(settings, model_cache=tmp_path / "other"))
    assert files(replace(settings, model_cache=tmp_path / "other")) == []


def test_password_of_the_mirror_is_not_shown(settings, site):
    mirror = site.base.replace("://", "://user:secret@") + "/gone"
    with pytest.raises(PullError, match="HTTP 404") as raised:
        pull(model_of(), replace(settings, model_mirror=mirror))
    assert "secret" not in str(raised.value)


def test_verify(settings):
    model = model_of()
    assert verify(model, settings) == "missing"
    settings.model_cache.mkdir()
    (settings.model_cache / NAME).write_bytes(CONTENT)
    assert verify(model, settings) == "ok"
    (settings.model_cache / NAME).write_bytes(CONTENT[1:])
    assert verify(model, settings) == "corrupt"
    assert verify(model_of(file=None, sha256=None), settings) == "ok"


def test_corrupt_cache_is_reported_and_replaced(settings, site, caplog):
    settings.model_cache.mkdir()
    (settings.model_cache / NAME).write_bytes(CONTENT[1:])
    with caplog.at_level(logging.WARNING):
        pull(at(site, "plain"), settings)
    assert has_file(settings)
    assert f"{NAME} is corrupt" in caplog.text


def test_corrupt_cache_is_named_if_nothing_replaces_it(settings):
    settings.model_cache.mkdir()
    (settings.model_cache / NAME).write_bytes(b"x")
    with pytest.raises(PullError, match=rf"cache .*{NAME}: corrupt"):
        pull(model_of(), settings)
    assert files(settings) == []


def test_simulated_model_has_no_file(settings):
    with pytest.raises(ValueError, match="simulated"):
        pull(model_of(file=None, sha256=None), settings)


def test_next_address_after_a_failure(settings, site):
    pull(at(site, "gone", "wrong", "plain"), settings)
    assert has_file(settings)


def test_two_processes_pull_once(settings, site):
    model = at(site, "slow")
    spawn = multiprocessing.get_context("spawn")  # threads of this process must not be forked
    with ProcessPoolExecutor(2, mp_context=spawn) as pool:
        pulls = [pool.submit(pull, model, settings) for _ in range(2)]
        paths = {p.result() for p in pulls}
    assert paths == {settings.model_cache / NAME}
    assert has_file(settings)
    assert len(site.asked) == 1


# --- failures ---


def test_error_lists_every_address_and_a_fix(settings, site, tmp_path):
    with pytest.raises(PullError) as raised:
        pull(at(site, "gone", "large"), replace(settings, model_mirror=str(tmp_path / "none")))
    text = str(raised.value)
    assert f"cache {settings.model_cache / NAME}: missing" in text
    assert f"{tmp_path / 'none' / NAME}: No such file or directory" in text
    assert f"{site.base}/gone/{NAME}: HTTP 404 Not Found" in text
    assert f"{site.base}/large/{NAME}: has " in text
    assert "To fix: set AURUM_MODEL_MIRROR" in text


def test_error_without_any_address(settings):
    with pytest.raises(PullError, match=r"(?s)mirror: none is set.*it publishes no such file"):
        pull(model_of(), settings)


def test_offline_contacts_no_upstream(settings, site):
    with pytest.raises(PullError, match="not tried, because of AURUM_OFFLINE=1"):
        pull(at(site, "plain"), replace(settings, offline=True))
    assert site.asked == []


def test_full_disk(settings, site, monkeypatch):
    def full(_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(PullError, match=r"(?s)No space left.*AURUM_MODEL_CACHE"):
        pull(at(site, "plain", "ranges"), settings)
    assert files(settings) == []
    assert len(site.asked) == 1  # no other address would help


def test_cache_that_is_not_a_folder(settings, tmp_path):
    settings.model_cache.write_text("a file")
    with pytest.raises(PullError, match="cannot be kept in"):
        pull(model_of(), settings)


# --- profiles ---


def manifest_of(first, second):
    simulated = model_of(name="sim", family="simulated", file=None, sha256=None)
    profiles = {
        "first": Profile("first", "made up", simulated, first),
        "second": Profile("second", "made up", simulated, second),
        "simulated": Profile("simulated", "made up", simulated, simulated),
    }
    return Manifest({}, profiles, ("first", "second"))


def test_auto_takes_the_first_available_profile(settings, site):
    manifest = manifest_of(model_of(name="a", file="a.onnx"), at(site, "plain"))
    choice = choose_profile(manifest, settings)
    assert choice.profile is manifest.profiles["second"]
    assert choice.paths == {"face": settings.model_cache / NAME}
    assert list(choice.failures) == ["first"]
    assert "a.onnx is unavailable" in choice.failures["first"]


def test_auto_stops_at_the_first_available_profile(settings, site):
    manifest = manifest_of(at(site, "plain"), model_of(name="a", file="a.onnx"))
    choice = choose_profile(manifest, settings)
    assert (choice.profile, choice.failures) == (manifest.profiles["first"], {})


def test_auto_with_nothing_available(settings):
    choice = choose_profile(manifest_of(model_of(), model_of()), settings)
    assert (choice.profile, choice.paths) == (None, {})
    assert list(choice.failures) == ["first", "second"]


def test_named_profile_has_no_fallback(settings, site):
    manifest = manifest_of(model_of(name="a", file="a.onnx"), at(site, "plain"))
    with pytest.raises(PullError, match=r"a\.onnx is unavailable"):
        choose_profile(manifest, replace(settings, profile="first"))
    assert choose_profile(manifest, replace(settings, profile="second")).profile.name == "second"


@pytest.mark.parametrize("use", ["no", "unclear"])
def test_required_commercial_use_is_enforced(settings, site, use):
    doubtful = replace(at(site, "plain"), commercial_use=use, licence="for research")
    manifest = manifest_of(doubtful, at(site, "plain"))
    strict = replace(settings, require_commercial=True)

    choice = choose_profile(manifest, strict)

    assert choice.profile is manifest.profiles["second"]
    assert f"face, commercial use {use}: for research" in choice.failures["first"]
    with pytest.raises(
        LicenceError, match=r"AURUM_REQUIRE_COMMERCIAL=1 does not allow profile first"
    ):
        choose_profile(manifest, replace(strict, profile="first"))
    assert choose_profile(manifest, settings).profile is manifest.profiles["first"]


def test_unknown_profile(settings):
    with pytest.raises(ManifestError, match=r"'big'.*auto, first, second, simulated"):
        choose_profile(manifest_of(model_of(), model_of()), replace(settings, profile="big"))


def test_simulated_profile_needs_no_file(settings):
    manifest = manifest_of(model_of(), model_of())
    choice = choose_profile(manifest, replace(settings, profile="simulated"))
    assert (choice.profile.name, choice.paths) == ("simulated", {})
    assert pull_profile(manifest.profiles["simulated"], settings) == {}
    assert not settings.model_cache.exists()
