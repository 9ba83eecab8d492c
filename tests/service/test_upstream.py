"""What a stranger gets who has the open internet and no mirror: real addresses, played here.

The publishers' hosts are played by a local HTTPS proxy. It can't have the files that could not be
downloaded here, so small embedders with their file names stand for them.
"""

from __future__ import annotations

from dataclasses import replace

import httpx
import internet
import numpy as np
import pytest
from aurum_client import FaceClient
from graphs import weights
from small_models import small_embedder

from aurum.cli.prepare import notes
from aurum.models import build, download, manifest
from aurum.models.manifest import Manifest
from aurum.models.pull import PullError, choose_profile
from aurum.server.ephemeral import copy_repositories, on_free_ports, running
from aurum.settings import Settings

REAL = manifest.load()
DETECTOR = REAL.models["yunet_s_dynamic"]
GAMMA, AURAFACE = "edgeface_xs_gamma_06", "auraface-v1"


class Upstream:
    """The played hosts, and the stand-ins that they publish."""

    def __init__(self, hosts, folder):
        self.hosts = hosts
        self.models = {}
        self.content = {DETECTOR.name: weights(DETECTOR.file).read_bytes()}
        for name in (GAMMA, AURAFACE):
            path, self.models[name] = small_embedder(folder, name)
            self.content[name] = path.read_bytes()

    @property
    def manifest(self):
        profiles = {
            name: replace(
                profile, embedder=self.models.get(profile.embedder.name, profile.embedder)
            )
            for name, profile in REAL.profiles.items()
        }
        return Manifest({**REAL.models, **self.models}, profiles, REAL.auto)

    def publish(self, name, *behaviours):
        """Serve the model at its addresses, one behaviour for each."""
        urls = REAL.models[name].urls
        for url, behaviour in zip(urls, behaviours or ["ranges"] * len(urls), strict=True):
            self.hosts.publish(url, self.content[name], behaviour)

    def asked(self, name):
        """The ranges that were requested of each address of a model's file."""
        urls = [*REAL.models[name].urls]
        files = [self.hosts.plays.get(url, ("", ""))[1] for url in urls]
        return [
            (place % len(urls), extent)
            for url, extent in self.hosts.asked
            for place, known in enumerate([*urls, *files])
            if url == known and self.hosts.plays.get(url, ("gone", ""))[0] != "redirect"
        ]


@pytest.fixture
def hosts(tmp_path, monkeypatch):
    with internet.playing(REAL.models.values(), tmp_path) as server:
        for name, value in server.environment.items():
            monkeypatch.setenv(name, value)
        download._unreachable.clear()
        yield server


@pytest.fixture
def upstream(hosts, tmp_path, monkeypatch):
    (tmp_path / "published").mkdir()
    upstream = Upstream(hosts, tmp_path / "published")
    monkeypatch.setattr(manifest, "load", lambda: upstream.manifest)
    return upstream


@pytest.fixture
def stranger(tmp_path):
    """The default settings of a machine without a mirror, and with nothing cached."""
    return replace(
        Settings.from_env(),
        profile="auto",
        model_mirror="",
        model_cache=tmp_path / "cache",
        home=tmp_path / "home",
    )


def test_the_default_is_the_edgeface_that_is_published(upstream, stranger, tmp_path, astronaut):
    upstream.publish(DETECTOR.name)
    upstream.publish(GAMMA)

    with running(stranger, tmp_path / "served") as service:
        assert service.prepared.profile.name == "edgeface-xs-gamma"
        assert "it publishes no such file" in service.prepared.failures["edgeface-xs"]
        with FaceClient(service.urls[0], timeout=60) as client:
            answer = client.embed(astronaut)
            assert answer.models.embedder == upstream.models[GAMMA].id
            assert np.linalg.norm(answer.vector) == pytest.approx(1, abs=1e-5)
            assert client.compare(astronaut, astronaut).decision == "uncalibrated"
    assert dict(notes(service.prepared.profile)).keys() == {"commercial use", "calibration"}


def test_only_commercial_use_is_auraface(upstream, stranger, tmp_path, astronaut):
    upstream.publish(DETECTOR.name)
    upstream.publish(GAMMA)
    upstream.publish(AURAFACE)

    strict = replace(stranger, require_commercial=True)
    with running(strict, tmp_path / "served") as service:
        assert service.prepared.profile.name == "auraface"
        assert set(service.prepared.failures) == {"edgeface-xs", "edgeface-xs-gamma"}
        with FaceClient(service.urls[1], timeout=60) as client:
            (face,) = client.analyze(astronaut)
            assert face.recognizable is None
            assert client.compare(astronaut, astronaut).decision == "uncalibrated"
    assert upstream.asked(GAMMA) == []


@pytest.mark.parametrize(
    ("first", "ranges"),
    [
        ("gone", [None]),
        ("wrong", [None]),
        ("large", [None]),
        ("endless", [None]),
        ("cut", ["bytes="]),
        ("stalled", ["bytes="]),
    ],
)
def test_a_bad_first_address_leads_to_the_second(upstream, stranger, first, ranges):
    """Also through redirects; what a broken download got is kept, and continued elsewhere."""
    upstream.publish(DETECTOR.name)
    upstream.publish(GAMMA, first, "ranges")
    patient = replace(download.TIMEOUTS, read=0.5)

    choice = choose_profile(upstream.manifest, stranger, timeouts=patient)

    assert choice.profile.name == "edgeface-xs-gamma"
    assert choice.paths[GAMMA].read_bytes() == upstream.content[GAMMA]
    (place, extent), (other, rest) = upstream.asked(GAMMA)
    assert (place, extent, other) == (0, None, 1)
    half = len(upstream.content[GAMMA]) // 2
    assert rest == (f"{ranges[0]}{half}-" if ranges[0] else None)


def test_a_blocked_host_leaves_what_other_hosts_have(upstream, stranger):
    """Where EdgeFace's publishers have nothing, AuraFace is left."""
    upstream.publish(DETECTOR.name)
    upstream.publish(AURAFACE)

    choice = choose_profile(upstream.manifest, stranger)

    assert choice.profile.name == "auraface"
    assert "HTTP 404" in choice.failures["edgeface-xs-gamma"]


def test_a_named_profile_that_is_not_published_says_where_it_was_looked_for(upstream, stranger):
    upstream.publish(DETECTOR.name)
    with pytest.raises(PullError) as raised:
        build.prepare(replace(stranger, profile="edgeface-xs-gamma"))
    for url in REAL.models[GAMMA].urls:
        assert f"{url}: HTTP 404" in str(raised.value)


def test_a_certificate_that_is_not_trusted_is_not_used(upstream, stranger, monkeypatch):
    upstream.publish(DETECTOR.name)
    monkeypatch.delenv("SSL_CERT_FILE")
    choice = choose_profile(upstream.manifest, stranger)
    assert choice.profile is None
    assert "CERTIFICATE_VERIFY_FAILED" in choice.failures["edgeface-xs"]


def test_with_nothing_published_the_server_says_that_it_is_simulated(hosts, up, stranger, tmp_path):
    """The whole `aurum up`, with the real manifest."""
    settings = replace(stranger, repositories=copy_repositories(tmp_path / "repositories"))
    running = up(on_free_ports(settings), **hosts.environment)
    running.wait_for("Ctrl-C")
    text = " ".join(running.text.split())
    assert "SIMULATED MODELS: EVERY FACE AND EMBEDDING BELOW IS MADE UP." in text
    for name in REAL.auto:
        assert f"{name}: " in text
    assert "HTTP 404" in text
    assert "TO GET THE REAL MODELS: SET AURUM_MODEL_MIRROR" in text
    assert httpx.URL(DETECTOR.urls[0]).host in {httpx.URL(url).host for url, _ in hosts.asked}
