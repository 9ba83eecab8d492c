"""Downloads, tested by pulling models."""

import hashlib
import socket
import threading
from dataclasses import replace

import pytest
from http_server import CONTENT, HALF, NAME, at, files, has_file, model_of

from aurum.models import pull as module
from aurum.models.download import Timeouts
from aurum.models.pull import PullError, pull

SHORT = Timeouts(connect=0.3, read=0.3, answer=0.3)


@pytest.fixture
def black_hole():
    """An address that accepts connections but never answers."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"


def write_part(settings, content):
    settings.model_cache.mkdir()
    (settings.model_cache / f"{NAME}.part").write_bytes(content)


# --- answers ---


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
def test_cut_download_is_resumed(settings, site, size):
    model = at(site, "cut", bytes=size)
    with pytest.raises(PullError, match="the next pull continues it"):
        pull(model, settings)
    assert files(settings) == [f"{NAME}.part"]
    assert (settings.model_cache / f"{NAME}.part").read_bytes() == CONTENT[:HALF]
    pull(model, settings)
    assert has_file(settings)
    assert [asked for _, asked in site.asked] == [None, f"bytes={HALF}-"]


def test_cut_download_is_resumed_at_the_next_address(settings, site):
    pull(at(site, "cut", "ranges"), settings)
    assert has_file(settings)
    assert site.asked[1] == (f"/ranges/{NAME}", f"bytes={HALF}-")


def test_stalled_download_is_resumed(settings, site):
    with pytest.raises(PullError, match=r"broke off \(ReadTimeout"):
        pull(at(site, "stalled"), settings, timeouts=replace(SHORT, answer=10))
    pull(at(site, "ranges"), settings)
    assert has_file(settings)
    assert site.asked[1] == (f"/ranges/{NAME}", f"bytes={HALF}-")


@pytest.mark.parametrize("behaviour", ["plain", "unsatisfiable", "strange"])
def test_part_that_cannot_be_resumed_is_restarted(settings, site, behaviour):
    write_part(settings, CONTENT[:HALF])
    seen = []
    pull(at(site, behaviour), settings, lambda *report: seen.append(report))
    assert has_file(settings)
    assert seen[0][1] < HALF  # nothing was appended to the part
    assert site.asked[0][1] == f"bytes={HALF}-"


def test_wrong_part_is_restarted(settings, site):
    write_part(settings, bytes(HALF))
    pull(at(site, "ranges"), settings)
    assert has_file(settings)
    assert [asked for _, asked in site.asked] == [f"bytes={HALF}-", None]


def test_wrong_content_is_discarded(settings, site):
    wrong = hashlib.sha256(bytes(len(CONTENT))).hexdigest()
    model = at(site, "wrong")
    with pytest.raises(PullError, match=f"has sha256 {wrong}, expected {model.sha256}"):
        pull(model, settings)
    assert files(settings) == []


def test_wrong_announced_size_is_refused_unread(settings, site):
    with pytest.raises(PullError, match=f"has {len(CONTENT) + 1} bytes, expected {len(CONTENT)}"):
        pull(at(site, "large"), settings)
    assert files(settings) == []


@pytest.mark.parametrize("size", [len(CONTENT), None])
def test_endless_body_is_refused(settings, site, size, monkeypatch):
    monkeypatch.setattr(module, "MOST_BYTES", len(CONTENT))
    with pytest.raises(PullError, match=f"has more than {len(CONTENT)} bytes"):
        pull(at(site, "endless", bytes=size), settings)
    assert files(settings) == []


# --- hosts that don't answer ---


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
    pull(at(site, "plain"), settings)  # the redirecting host itself still works
    assert has_file(settings)


def test_dead_hosts_share_the_time_limit(settings, site, black_hole):
    timeouts = Timeouts(connect=5, read=5, answer=0.3)
    model = model_of(f"{black_hole}/x/{NAME}", f"{site.base}/plain/{NAME}")
    with pytest.raises(PullError, match=r"(?s)no answer within 0.3 s.*not tried: 0.3 s were spent"):
        pull(model, settings, timeouts=timeouts)
    assert site.asked == []


def test_name_lookup_that_hangs_times_out(settings, monkeypatch):
    over = threading.Event()

    def hang(*_, **__):
        over.wait()
        raise socket.gaierror(socket.EAI_AGAIN, "over")

    monkeypatch.setattr(socket, "getaddrinfo", hang)
    with pytest.raises(PullError, match=r"no answer within 0.3 s"):
        pull(model_of(f"http://models.invalid/{NAME}"), settings, timeouts=SHORT)
    over.set()


def test_failed_name_lookup_is_reported(settings, monkeypatch):
    def fail(*_, **__):
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", fail)
    with pytest.raises(PullError, match="Name or service not known"):
        pull(model_of(f"http://models.invalid/{NAME}"), settings)


def test_refused_connection_is_reported(settings):
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    with pytest.raises(PullError, match="Connection refused"):
        pull(model_of(f"http://127.0.0.1:{port}/{NAME}"), settings)


def test_wrong_proxy_is_reported(settings, monkeypatch):
    monkeypatch.setenv("ALL_PROXY", "nonsense://127.0.0.1:1")
    with pytest.raises(PullError, match="proxy"):
        pull(model_of(f"http://models.invalid/{NAME}"), settings)
