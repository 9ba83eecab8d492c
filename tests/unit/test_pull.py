import errno
import hashlib
import logging
import multiprocessing
import os
import random
import socket
import threading
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from aurum.models import pull as module
from aurum.models.manifest import Manifest, ManifestError, Model, Profile
from aurum.models.pull import PullError, Timeouts, choose_profile, pull, pull_profile, verify
from aurum.settings import Settings

CONTENT = random.Random(1).randbytes(300_000)
HALF = len(CONTENT) // 2
SHORT = Timeouts(connect=0.3, read=0.3, answer=0.3)
NAME = "face.onnx"


class Handler(BaseHTTPRequestHandler):
    """Answers by the first part of the path, `/<behaviour>/<file>`."""

    def do_GET(self):
        self.server.asked.append((self.path, self.headers.get("Range")))
        getattr(self, self.path.split("/")[1])()

    def answer(self, status, body=b"", length=None, **headers):
        self.send_response(status)
        if length is not None:
            self.send_header("Content-Length", str(length))
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        self.send(body)

    def send(self, body):
        try:
            self.wfile.write(body)
            self.server.sent += len(body)
        except OSError:
            return False  # the client has had enough
        return True

    def offset(self):
        text = self.headers.get("Range")
        return int(text.removeprefix("bytes=").removesuffix("-")) if text else 0

    def plain(self):
        self.answer(200, CONTENT, len(CONTENT))

    def ranges(self, body=CONTENT):
        start = self.offset()
        if not start:
            return self.answer(200, body, len(CONTENT))
        extent = f"bytes {start}-{len(CONTENT) - 1}/{len(CONTENT)}"
        self.answer(206, CONTENT[start:], len(CONTENT) - start, Content_Range=extent)

    def cut(self):
        self.ranges(CONTENT[:HALF])  # of the announced length, unless a range is asked for

    def unsatisfiable(self):
        self.answer(416) if self.offset() else self.plain()

    def strange(self):
        if not self.offset():
            return self.plain()
        self.answer(206, CONTENT, len(CONTENT), Content_Range=f"bytes 0-9/{len(CONTENT)}")

    def wrong(self):
        self.answer(200, bytes(len(CONTENT)), len(CONTENT))

    def large(self):
        self.answer(200, b"", len(CONTENT) + 1)

    def endless(self):
        self.answer(200)
        while self.send(bytes(65536)):
            pass

    def stalled(self):
        self.answer(200, CONTENT[:HALF], len(CONTENT))
        self.server.over.wait()

    def moved(self):
        self.answer(302, Location=self.path.replace("/moved/", "/plain/"))

    def hole(self):
        self.answer(302, Location=f"{self.server.hole}/hole/{NAME}")

    def slow(self):
        self.answer(200, CONTENT[:HALF], len(CONTENT))
        self.server.over.wait(0.5)  # time for the other process to come
        self.send(CONTENT[HALF:])

    def log_message(self, *_):
        pass


@pytest.fixture
def site():
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.asked, server.sent, server.over = [], 0, threading.Event()
        server.base = f"http://127.0.0.1:{server.server_port}"
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield server
        server.over.set()
        server.shutdown()
        thread.join()


@pytest.fixture
def black_hole():
    """An address that accepts connections and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"


@pytest.fixture(autouse=True)
def _fresh():
    module._unreachable.clear()


@pytest.fixture
def settings(tmp_path):
    return Settings(model_cache=tmp_path / "cache", model_mirror="", profile="auto")


def model_of(*urls, **changes):
    values = {
        "name": "face",
        "role": "embedder",
        "family": "arcface",
        "description": "made up",
        "licence": "none",
        "commercial_use": "yes",
        "tested": True,
        "file": NAME,
        "sha256": hashlib.sha256(CONTENT).hexdigest(),
        "bytes": len(CONTENT),
        "urls": urls,
    }
    return Model(**(values | changes))


def at(site, *behaviours, **changes):
    return model_of(*(f"{site.base}/{behaviour}/{NAME}" for behaviour in behaviours), **changes)


def files(settings):
    """Names in the cache, without that of the lock."""
    return sorted(p.name for p in settings.model_cache.iterdir() if p.suffix != ".lock")


def write_part(settings, content):
    settings.model_cache.mkdir()
    (settings.model_cache / f"{NAME}.part").write_bytes(content)


def has_file(settings):
    return files(settings) == [NAME] and (settings.model_cache / NAME).read_bytes() == CONTENT


# --- the cache and the mirror ---


def test_good_cache_needs_nothing_else(settings):
    settings.model_cache.mkdir()
    path = settings.model_cache / NAME
    path.write_bytes(CONTENT)
    assert pull(model_of(), settings) == path
    assert list(settings.model_cache.iterdir()) == [path]  # no lock either: it may be read-only


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
def test_bad_mirror_is_passed_over(settings, site, tmp_path, content):
    (tmp_path / NAME).write_bytes(content)
    settings = replace(settings, model_mirror=str(tmp_path))
    pull(at(site, "plain"), settings)
    assert has_file(settings)
    with pytest.raises(PullError, match=f"{tmp_path}/{NAME}: has .*, expected "):
        pull(model_of(), replace(settings, model_cache=tmp_path / "other"))
    assert files(replace(settings, model_cache=tmp_path / "other")) == []


def test_password_of_the_mirror_is_not_told(settings, site):
    mirror = site.base.replace("://", "://user:secret@") + "/no_such"
    Handler.no_such = lambda self: self.answer(404)
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


def test_corrupt_cache_is_reported_and_pulled_again(settings, site, caplog):
    settings.model_cache.mkdir()
    (settings.model_cache / NAME).write_bytes(CONTENT[1:])
    with caplog.at_level(logging.WARNING):
        pull(at(site, "plain"), settings)
    assert has_file(settings)
    assert f"{NAME} is corrupt" in caplog.text


def test_corrupt_cache_is_named_when_nothing_replaces_it(settings):
    settings.model_cache.mkdir()
    (settings.model_cache / NAME).write_bytes(b"x")
    with pytest.raises(PullError, match=rf"cache .*{NAME}: corrupt"):
        pull(model_of(), settings)
    assert files(settings) == []


def test_simulated_model_has_no_file(settings):
    with pytest.raises(ValueError, match="simulated"):
        pull(model_of(file=None, sha256=None), settings)


# --- downloads ---


@pytest.mark.parametrize("behaviour", ["plain", "ranges", "moved"])
def test_download_then_offline(settings, site, behaviour):
    model = at(site, behaviour)
    seen = []
    pull(model, settings, lambda *report: seen.append(report))
    assert has_file(settings)
    assert seen[-1] == (NAME, len(CONTENT), len(CONTENT))
    before = list(site.asked)
    pull(model, settings)
    assert site.asked == before


def test_download_of_unknown_size(settings, site):
    pull(at(site, "plain", bytes=None), settings)
    assert has_file(settings)


@pytest.mark.parametrize("size", [len(CONTENT), None])
def test_cut_download_is_continued(settings, site, size):
    model = at(site, "cut", bytes=size)
    with pytest.raises(PullError, match="the next pull continues it"):
        pull(model, settings)
    assert files(settings) == [f"{NAME}.part"]
    assert (settings.model_cache / f"{NAME}.part").read_bytes() == CONTENT[:HALF]
    pull(model, settings)
    assert has_file(settings)
    assert [asked for _, asked in site.asked] == [None, f"bytes={HALF}-"]


def test_cut_download_is_continued_at_the_next_address(settings, site):
    pull(at(site, "cut", "ranges"), settings)
    assert has_file(settings)
    assert site.asked[1] == (f"/ranges/{NAME}", f"bytes={HALF}-")


def test_stalled_download_is_continued(settings, site):
    with pytest.raises(PullError, match=r"broke off \(ReadTimeout"):
        pull(at(site, "stalled"), settings, timeouts=replace(SHORT, answer=10))
    pull(at(site, "ranges"), settings)
    assert has_file(settings)
    assert site.asked[1] == (f"/ranges/{NAME}", f"bytes={HALF}-")


@pytest.mark.parametrize("behaviour", ["plain", "unsatisfiable", "strange"])
def test_part_that_cannot_be_continued_is_started_afresh(settings, site, behaviour):
    write_part(settings, CONTENT[:HALF])
    seen = []
    pull(at(site, behaviour), settings, lambda *report: seen.append(report))
    assert has_file(settings)
    assert seen[0][1] < HALF  # nothing was appended to the part
    assert site.asked[0][1] == f"bytes={HALF}-"


def test_wrong_part_is_started_afresh(settings, site):
    write_part(settings, bytes(HALF))
    pull(at(site, "ranges"), settings)
    assert has_file(settings)
    assert [asked for _, asked in site.asked] == [f"bytes={HALF}-", None]


def test_wrong_content_is_not_kept(settings, site):
    wrong = hashlib.sha256(bytes(len(CONTENT))).hexdigest()
    model = at(site, "wrong")
    with pytest.raises(PullError, match=f"has sha256 {wrong}, expected {model.sha256}"):
        pull(model, settings)
    assert files(settings) == []


def test_announced_size_is_refused_unread(settings, site):
    with pytest.raises(PullError, match=f"has {len(CONTENT) + 1} bytes, expected {len(CONTENT)}"):
        pull(at(site, "large"), settings)
    assert files(settings) == []


@pytest.mark.parametrize("size", [len(CONTENT), None])
def test_endless_body_is_refused(settings, site, size, monkeypatch):
    monkeypatch.setattr(module, "MOST_BYTES", len(CONTENT))
    with pytest.raises(PullError, match=f"has more than {len(CONTENT)} bytes"):
        pull(at(site, "endless", bytes=size), settings)
    assert files(settings) == []


def test_next_address_after_a_failure(settings, site):
    Handler.gone = lambda self: self.answer(404)
    pull(at(site, "gone", "wrong", "plain"), settings)
    assert has_file(settings)


def test_two_processes_pull_once(settings, site):
    model = at(site, "slow")
    spawn = multiprocessing.get_context("spawn")  # threads of this one must not be forked
    with ProcessPoolExecutor(2, mp_context=spawn) as pool:
        pulls = [pool.submit(pull, model, settings) for _ in range(2)]
        paths = {p.result() for p in pulls}
    assert paths == {settings.model_cache / NAME}
    assert has_file(settings)
    assert len(site.asked) == 1


# --- failures ---


def test_error_lists_every_place_and_how_to_mend(settings, site, tmp_path):
    Handler.gone = lambda self: self.answer(404)
    with pytest.raises(PullError) as raised:
        pull(at(site, "gone", "large"), replace(settings, model_mirror=str(tmp_path / "none")))
    text = str(raised.value)
    assert f"cache {settings.model_cache / NAME}: missing" in text
    assert f"{tmp_path / 'none' / NAME}: No such file or directory" in text
    assert f"{site.base}/gone/{NAME}: HTTP 404 Not Found" in text
    assert f"{site.base}/large/{NAME}: has " in text
    assert "To mend: set AURUM_MODEL_MIRROR" in text


def test_error_without_any_place(settings):
    with pytest.raises(PullError, match=r"(?s)mirror: none is set.*it publishes no such file"):
        pull(model_of(), settings)


def test_offline_asks_no_upstream(settings, site):
    with pytest.raises(PullError, match="not asked, because of AURUM_OFFLINE=1"):
        pull(at(site, "plain"), replace(settings, offline=True))
    assert site.asked == []


def test_black_hole_is_asked_once(settings, site, black_hole):
    url = f"{black_hole}/x/{NAME}"
    with pytest.raises(PullError, match=r"ReadTimeout|no answer within"):
        pull(model_of(url), settings, timeouts=SHORT)
    with pytest.raises(PullError, match="did not answer before"):
        pull(model_of(url), settings)  # would take 10 s
    pull(model_of(url, f"{site.base}/plain/{NAME}"), settings)
    assert has_file(settings)


def test_black_hole_behind_a_redirect_is_remembered(settings, site, black_hole):
    site.hole = black_hole
    patient = replace(SHORT, answer=10)
    with pytest.raises(PullError, match="ReadTimeout"):
        pull(at(site, "hole"), settings, timeouts=patient)
    with pytest.raises(PullError, match="did not answer before"):
        pull(at(site, "hole"), settings)
    pull(at(site, "plain"), settings)  # the host of the redirect itself is in order
    assert has_file(settings)


def test_dead_hosts_share_the_patience(settings, site, black_hole):
    timeouts = Timeouts(connect=5, read=5, answer=0.3)
    model = model_of(f"{black_hole}/x/{NAME}", f"{site.base}/plain/{NAME}")
    with pytest.raises(PullError, match=r"(?s)no answer within 0.3 s.*not asked: 0.3 s were lost"):
        pull(model, settings, timeouts=timeouts)
    assert site.asked == []


def test_name_lookup_that_hangs_is_given_up(settings, monkeypatch):
    over = threading.Event()

    def hang(*_, **__):
        over.wait()
        raise socket.gaierror(socket.EAI_AGAIN, "over")

    monkeypatch.setattr(socket, "getaddrinfo", hang)
    with pytest.raises(PullError, match=r"no answer within 0.3 s"):
        pull(model_of(f"http://models.invalid/{NAME}"), settings, timeouts=SHORT)
    over.set()


def test_name_lookup_that_fails(settings, monkeypatch):
    def fail(*_, **__):
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", fail)
    with pytest.raises(PullError, match="Name or service not known"):
        pull(model_of(f"http://models.invalid/{NAME}"), settings)


def test_refused_connection(settings):
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    with pytest.raises(PullError, match="Connection refused"):
        pull(model_of(f"http://127.0.0.1:{port}/{NAME}"), settings)


def test_wrong_proxy_is_a_reason_and_no_crash(settings, monkeypatch):
    monkeypatch.setenv("ALL_PROXY", "nonsense://127.0.0.1:1")
    with pytest.raises(PullError, match="proxy"):
        pull(model_of(f"http://models.invalid/{NAME}"), settings)


def test_full_disk(settings, site, monkeypatch):
    def full(_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(PullError, match=r"(?s)No space left.*AURUM_MODEL_CACHE"):
        pull(at(site, "plain", "ranges"), settings)
    assert files(settings) == []
    assert len(site.asked) == 1  # no other place would help


def test_cache_that_is_no_folder(settings, tmp_path):
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


def test_auto_takes_the_first_that_can_be_had(settings, site):
    manifest = manifest_of(model_of(name="a", file="a.onnx"), at(site, "plain"))
    choice = choose_profile(manifest, settings)
    assert choice.profile is manifest.profiles["second"]
    assert choice.paths == {"face": settings.model_cache / NAME}
    assert list(choice.failures) == ["first"]
    assert "a.onnx cannot be had" in choice.failures["first"]


def test_auto_stops_at_the_first(settings, site):
    manifest = manifest_of(at(site, "plain"), model_of(name="a", file="a.onnx"))
    choice = choose_profile(manifest, settings)
    assert (choice.profile, choice.failures) == (manifest.profiles["first"], {})


def test_auto_with_nothing_at_hand(settings):
    choice = choose_profile(manifest_of(model_of(), model_of()), settings)
    assert (choice.profile, choice.paths) == (None, {})
    assert list(choice.failures) == ["first", "second"]


def test_named_profile_falls_back_to_nothing(settings, site):
    manifest = manifest_of(model_of(name="a", file="a.onnx"), at(site, "plain"))
    with pytest.raises(PullError, match=r"a\.onnx cannot be had"):
        choose_profile(manifest, replace(settings, profile="first"))
    assert choose_profile(manifest, replace(settings, profile="second")).profile.name == "second"


def test_unknown_profile(settings):
    with pytest.raises(ManifestError, match=r"'big'.*auto, first, second, simulated"):
        choose_profile(manifest_of(model_of(), model_of()), replace(settings, profile="big"))


def test_simulated_profile_needs_no_file(settings):
    manifest = manifest_of(model_of(), model_of())
    choice = choose_profile(manifest, replace(settings, profile="simulated"))
    assert (choice.profile.name, choice.paths) == ("simulated", {})
    assert pull_profile(manifest.profiles["simulated"], settings) == {}
    assert not settings.model_cache.exists()
