"""`aurum bulk run` when servers refuse, fail or go away: a proxy before the real one does so."""

import itertools
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import httpx
import pytest
from in_thread import in_thread
from pyarrow import dataset
from typer.testing import CliRunner

from aurum.bulk.endpoints import HOPELESS
from aurum.cli.app import app
from aurum.paths import PHOTO

COUNT = 80  # photos
START = 2  # requests by which a run asks for the models and checks its options


@contextmanager
def proxy(url, refuses, status=503, later=None, **headers):
    """Pass requests on to `url`, except those whose number, from 0, `refuses`, or to `later`."""
    numbers = itertools.count()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self):
            body = self.rfile.read(int(self.headers["Content-Length"]))
            refused = refuses(next(numbers))
            if refused and not later:
                return self.answer(status, b'{"error": "not now"}', headers)
            to = later if refused else url
            passed = {key: value for key, value in self.headers.items() if key != "Host"}
            answer = httpx.post(to + self.path, content=body, headers=passed, timeout=60)
            kept = ("content-type", "inference-header-content-length")
            named = {key: answer.headers[key] for key in kept if key in answer.headers}
            self.answer(answer.status_code, answer.content, named)

        def answer(self, status, body, headers):
            self.send_response(status)
            for name, value in {**headers, "Content-Length": str(len(body))}.items():
                self.send_header(name.replace("_", "-"), value)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *args):
            """Keep requests out of the tests' output."""

    class Server(ThreadingHTTPServer):
        def handle_error(self, request, client_address):
            """A run that gives up leaves its requests, which says nothing of interest."""

    with in_thread(Server(("127.0.0.1", 0), Handler)) as server:
        yield f"http://127.0.0.1:{server.server_port}"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Copies of one photo."""
    folder = tmp_path_factory.mktemp("photos")
    for number in range(COUNT):
        (folder / f"{number:02d}.jpg").symlink_to(PHOTO)
    return folder


def run(*arguments):
    return CliRunner().invoke(app, ["bulk", "run", *map(str, arguments)])


def photos(out):
    return dataset.dataset(out / "photos").to_table().to_pylist()


def assert_all_answered(out):
    found = photos(out)
    assert len({row["id"] for row in found}) == len(found) == COUNT
    assert {row["faces"] for row in found} == {1}
    assert {row["code"] for row in found} == {None}


def test_refused_photos_are_sent_again(simulated, folder, tmp_path):
    def refuses(number):
        return number >= START and number % 10 == 5

    with proxy(simulated.urls[0], refuses, Retry_After="0") as url:
        shown = run(folder, "--out", tmp_path, "--url", url)
    assert shown.exit_code == 0, shown.output
    assert_all_answered(tmp_path)


def test_another_server_takes_the_photos_of_one_that_goes_away(simulated, folder, tmp_path):
    with proxy(simulated.urls[0], lambda number: number > START + 5) as url:
        shown = run(folder, "--out", tmp_path, "--url", url, "--url", simulated.urls[1])
    assert shown.exit_code == 0, shown.output
    assert_all_answered(tmp_path)


def test_a_service_that_stays_away_ends_the_run_which_continues_later(simulated, folder, tmp_path):
    begun = ("--out", tmp_path, "--part", "5", "--patience", "0.2")
    with proxy(simulated.urls[0], lambda number: number > START + 20) as url:
        shown = run(folder, *begun, "--url", url)
    assert shown.exit_code == 3
    assert f"no answer for 0.2 s; {url}: not now" in shown.output
    assert "Traceback" not in shown.output
    assert 0 < len(photos(tmp_path)) < COUNT
    assert run(folder, *begun, "--url", simulated.urls[0]).exit_code == 0
    assert_all_answered(tmp_path)


def test_a_photo_that_one_server_fails_on_is_sent_again(simulated, folder, tmp_path):
    with proxy(simulated.urls[0], lambda number: number in (10, 20), status=500) as url:
        assert run(folder, "--out", tmp_path, "--url", url).exit_code == 0
    assert_all_answered(tmp_path)


def test_a_broken_server_does_not_make_a_million_failures(simulated, folder, tmp_path):
    with proxy(simulated.urls[0], lambda number: number >= START, status=500) as url:
        shown = run(folder, "--out", tmp_path, "--url", url)
    assert shown.exit_code == 3
    assert f"{HOPELESS} photos in a row failed: not now" in shown.output


def test_a_change_of_models_ends_the_run(simulated, real, folder, tmp_path):
    with proxy(simulated.urls[0], lambda number: number > START + 20, later=real.urls[0]) as url:
        shown = run(folder, "--out", tmp_path, "--url", url)
    assert shown.exit_code == 1
    assert "the service changed its model from simulated_detector@" in shown.output
    assert 0 < len(photos(tmp_path)) < COUNT
    models = dataset.dataset(tmp_path / "faces").to_table(columns=["embedder"])
    assert set(models[0].to_pylist()) == {simulated.prepared.ids["face_embedding"]}


def test_a_server_that_is_down_at_the_start_is_named(folder, tmp_path):
    shown = run(folder, "--out", tmp_path / "out", "--url", "http://127.0.0.1:9")
    assert shown.exit_code == 3
    assert "cannot use the face service" in shown.output
    assert "127.0.0.1:9" in shown.output
    assert not (tmp_path / "out").exists()
