"""The search among members over HTTP: answers, refusals, and that it leaves nothing behind."""

import json
import signal
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict

import bulk_output
import httpx
import members_table
import psutil
import pytest
from aurum_client import FaceClient
from browser import serve
from waiting import eventually

from aurum import members
from aurum.paths import PHOTO
from aurum.playground import find, forward

HOPPER = PHOTO.with_name("hopper.jpg")
SEARCH, TABLE = "/faces/search", "/faces/table"


@pytest.fixture(scope="module")
def table(best, tmp_path_factory):
    photos = {"eileen": PHOTO, "grace": HOPPER}
    return members_table.build(best, tmp_path_factory.mktemp("members"), photos)


@pytest.fixture(scope="module")
def page(best, table):
    with serve(best, faces_db=str(table)) as playground:
        yield playground


@pytest.fixture
def ask(page):
    with httpx.Client(base_url=page.url, timeout=60, trust_env=False) as client:
        yield client


@pytest.fixture(scope="module")
def query(best):
    with FaceClient(best.urls[0], timeout=60) as client:
        return client.embed(PHOTO)


@pytest.fixture
def given(query):
    """The JSON of a search for Eileen Collins."""
    return {"embedding": query.vector.tolist(), "embedder": query.models.embedder}


def test_a_search_answers_as_python_does(ask, table, query, given):
    for options in ({}, {"top": 1}, {"far": 1e-6}, {"false_matches": 0.01, "top": 1000}):
        answer = ask.post(SEARCH, json=given | options)
        assert answer.status_code == 200
        assert answer.headers["cache-control"] == "no-store"
        assert answer.json() == asdict(members.open(table).search(query, **options))
    assert answer.json()["candidates"][0]["member"] == "eileen"


def test_the_table_is_described(ask, given):
    answer = ask.get(TABLE)
    assert answer.json() == {"faces": 2, "embedder": given["embedder"]}
    assert answer.headers["cache-control"] == "no-store"


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"top": 0}, "top=0: must be 1 to 1000"),
        ({"top": 1001}, "top=1001: must be 1 to 1000"),
        ({"top": 2.5}, "top=2.5: must be a whole number"),
        ({"far": 0}, "far=0: must be above 0 and at most 0.01"),
        ({"far": 0.1}, "far=0.1: must be above 0 and at most 0.01"),
        ({"far": float("nan")}, "far=nan: must be above 0 and at most 0.01"),
        ({"false_matches": 0}, "false_matches=0: must be a number above 0"),
        ({"far": 0.01, "false_matches": 1}, "far and false_matches exclude each other: give one"),
        ({"by": "mean"}, "'by' is unknown: a search may have"),
        ({"embedding": [1, 2]}, "embedding: must be a list of 512 numbers"),
    ],
)
def test_what_is_not_allowed_is_refused_with_what_is(ask, given, options, said):
    answer = ask.post(SEARCH, content=json.dumps(given | options))
    assert answer.status_code == 400
    assert answer.json()["error"].startswith(f"[invalid_parameter] {said}")


@pytest.mark.parametrize("body", [b"", b"\n", b"no JSON", b"[]"])
def test_what_is_no_json_object_is_refused(ask, body):
    answer = ask.post(SEARCH, content=body)
    assert answer.status_code == 400
    assert answer.json()["error"].startswith("[invalid_parameter] a search must be")


def test_a_large_or_compressed_search_is_refused(ask, given):
    assert ask.post(SEARCH, content=b"x" * (find.LIMIT + 1)).status_code == 413
    packed = ask.post(SEARCH, content=b"x", headers={"content-encoding": "gzip"})
    assert packed.status_code == 415
    assert ask.post(SEARCH, json=given).status_code == 200


@pytest.mark.parametrize(
    "header", [{"host": "evil.example"}, {"origin": "https://evil.example"}, {"origin": "null"}]
)
def test_other_sites_can_neither_search_nor_ask_for_the_table(ask, given, header):
    assert ask.post(SEARCH, json=given, headers=header).status_code == 403
    assert ask.get(TABLE, headers=header).status_code == 403


def test_other_methods_and_paths_are_refused(ask):
    for answer, status in (
        (ask.get(SEARCH), 405),
        (ask.post(TABLE), 405),
        (ask.get("/faces/x"), 404),
    ):
        assert answer.status_code == status
        assert answer.json()["error"].endswith(find.OFFERED)


def test_the_query_must_be_of_the_tables_embedder(ask, given):
    answer = ask.post(SEARCH, json=given | {"embedder": "other@0123456789ab"})
    assert answer.status_code == 409
    assert answer.json()["error"].startswith(
        "the query was embedded by other@0123456789ab, but the table's faces by "
    )


def test_nothing_of_a_query_is_stored_or_logged(ask, table, given, query, capfd, caplog):
    def files():
        return {path: path.stat().st_mtime_ns for path in table.parent.rglob("*")}

    before = files()
    stranger = bulk_output.like(query.vector, 0.9)
    for options in ({}, {"top": 0}, {"embedder": "other"}):
        ask.post(SEARCH, json=given | {"embedding": stranger.tolist()} | options)
    assert files() == before
    assert not bulk_output.files_with(table.parent, stranger.tobytes())
    assert capfd.readouterr() == ("", "")
    assert not [one for one in caplog.records if not one.name.startswith(("httpx", "httpcore"))]


def test_without_the_setting_there_is_no_search(best, given):
    with (
        serve(best) as playground,
        httpx.Client(base_url=playground.url, timeout=60, trust_env=False) as client,
    ):
        for answer, status in ((client.get(TABLE), 404), (client.post(SEARCH, json=given), 405)):
            assert answer.status_code == status
            assert find.OFFERED not in answer.json()["error"]


def test_a_table_that_is_replaced_or_made_anew_is_searched(best, tmp_path, given):
    db = members_table.build(best, tmp_path / "1", {"ann": PHOTO})
    with serve(best, faces_db=str(db)) as playground:

        def first():
            answer = httpx.post(playground.url + SEARCH, json=given, timeout=60, trust_env=False)
            return answer.json()["candidates"][0]["member"]

        assert first() == "ann"
        members.open(db).remove(["ann"])
        output = bulk_output.of_photos(best, tmp_path / "2", {"bea": PHOTO})
        members_table.enrol(output, db, replace=True)
        assert first() == "bea"


def test_the_server_comes_up_without_a_table_and_stops(up, settings, tmp_path):
    server = up(AURUM_FACES_DB=str(tmp_path / "none"))
    server.wait_for("is ready")
    url = f"http://127.0.0.1:{settings.playground_port}{TABLE}"
    answer = httpx.get(url, timeout=60, trust_env=False)
    assert answer.status_code == 503
    assert answer.json()["error"].endswith("there are no members; `aurum faces build` makes them")
    server.process.send_signal(signal.SIGINT)
    assert server.end() == 0
    assert "Traceback" not in server.text


def test_a_damaged_table_is_one_line(best, tmp_path, given):
    db = members_table.build(best, tmp_path, {"ann": PHOTO})
    for path in db.rglob("*.lance"):
        if path.is_file():
            path.write_bytes(path.read_bytes()[:100])
    with serve(best, faces_db=str(db)) as playground:
        answer = httpx.post(playground.url + SEARCH, json=given, timeout=60, trust_env=False)
    assert answer.status_code == 503
    error = answer.json()["error"]
    assert error.startswith(f"the members' table can't be used: {db}: ")
    assert ".rs:" not in error
    assert "\n" not in error


def test_without_the_extra_the_answer_names_it(monkeypatch, best, given, tmp_path):
    (tmp_path / "lancedb.py").write_text("raise ModuleNotFoundError(name='lancedb')")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    with serve(best, faces_db=str(tmp_path)) as playground:
        for answer in (
            httpx.post(playground.url + SEARCH, json=given, timeout=60, trust_env=False),
            httpx.get(playground.url + TABLE, timeout=60, trust_env=False),
        ):
            assert answer.status_code == 503
            assert answer.json()["error"].startswith(
                "AURUM_FACES_DB needs lancedb, which is not installed: run pip install "
                "'aurum-face-serving[backfill]'"
            )


def searchers():
    """The processes that search, as children of this one."""
    children = psutil.Process().children(recursive=True)
    return [one for one in children if "aurum.playground.searcher" in one.cmdline()]


def test_the_database_is_loaded_in_a_process_of_its_own_at_the_first_use(best, table, given):
    known = searchers()
    with serve(best, faces_db=str(table)) as playground:
        httpx.get(playground.url, trust_env=False)
        assert searchers() == known
        asked = [
            httpx.post(playground.url + SEARCH, json=given, timeout=60, trust_env=False)
            for _ in range(3)
        ]
        assert [answer.status_code for answer in asked] == [200] * 3
        (made,) = set(searchers()) - set(known)
    assert searchers() == known
    assert not made.is_running()


def test_a_search_whose_process_died_is_answered_by_another(best, table, given):
    known = searchers()
    with serve(best, faces_db=str(table)) as playground:

        def ask():
            return httpx.post(playground.url + SEARCH, json=given, timeout=60, trust_env=False)

        first = ask().json()
        (made,) = set(searchers()) - set(known)
        made.kill()
        psutil.wait_procs([made])
        assert ask().json() == first


def test_a_process_that_dies_in_a_search_is_one_line(monkeypatch, best, given, tmp_path):
    (tmp_path / "lancedb.py").write_text("import os; os._exit(1)")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    with serve(best, faces_db=str(tmp_path)) as playground:
        answer = httpx.post(playground.url + SEARCH, json=given, timeout=60, trust_env=False)
    assert answer.status_code == 503
    assert answer.json()["error"] == (
        "[unavailable] the face service can't search the members (the process that searches ended)"
    )


@pytest.fixture
def hanging(monkeypatch, tmp_path):
    """A database that never answers, in place of the real one."""
    (tmp_path / "lancedb.py").write_text("import time; time.sleep(600)")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    return tmp_path


def test_a_search_that_takes_too_long_is_ended(monkeypatch, best, given, hanging):
    known = searchers()
    monkeypatch.setattr(forward, "TIMEOUT", httpx.Timeout(1))
    with serve(best, faces_db=str(hanging)) as playground:
        answer = httpx.post(playground.url + SEARCH, json=given, timeout=60, trust_env=False)
        assert searchers() == known
    assert answer.status_code == 504
    assert "took too long to search the members" in answer.json()["error"]


def test_a_stop_does_not_wait_for_a_search(best, given, hanging):
    known = searchers()
    with ThreadPoolExecutor() as pool:
        with serve(best, faces_db=str(hanging), drain_timeout=1) as playground:
            url = playground.url + SEARCH
            asked = pool.submit(httpx.post, url, json=given, timeout=60, trust_env=False)
            eventually(lambda: searchers() != known)
        assert asked.result().status_code == 503
    assert "is stopping" in asked.result().json()["error"]
    assert searchers() == known


def test_searches_at_the_same_time_are_all_answered(page, given):
    def ask(top):
        body = given | {"top": top}
        answer = httpx.post(page.url + SEARCH, json=body, timeout=60, trust_env=False)
        return len(answer.json()["candidates"])

    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(ask, [1, 2] * 8)) == [1, 2] * 8
