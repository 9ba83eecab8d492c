"""`aurum faces`: arguments, output and exit codes; the vectors come from a fake client."""

import sys

import numpy as np
import pytest
from aurum_client import LowQualityError
from bulk_output import files_with, row, write
from cli_fakes import IDS, embedding, records, run

from aurum import members
from aurum.cli import faces

AXES = np.eye(512, dtype=np.float32)


@pytest.fixture
def output(tmp_path):
    """The output of a bulk run, by the fake client's models: ann is on axis 1, bob on axis 2."""
    rows = [row("ann/1.jpg", AXES[1]), row("bob/1.jpg", AXES[2]), row("bob/2.jpg", AXES[3])]
    rows += [row("cat/1.jpg", AXES[4], quality=0.2)]
    return write(tmp_path / "out", rows, models=(IDS.detector, IDS.embedder))


@pytest.fixture
def db(output, tmp_path):
    result = run("faces", "build", output, "--db", tmp_path / "db", "--by-folder")
    assert result.exit_code == 0, result.stderr
    return tmp_path / "db"


def test_build_says_what_it_enrolled(output, tmp_path):
    result = run("faces", "build", output, "--db", tmp_path / "db", "--by-folder")
    assert result.stdout == "3 faces of 2 members enrolled; left out: 1 below quality 0.9\n"
    result = run("faces", "build", output, "--db", tmp_path / "db", "--min-quality", 0, "--replace")
    assert result.stdout == "4 faces of 4 members enrolled\n"


def test_the_least_quality_is_the_advised_one():
    assert faces.ADVISED == members.ADVISED_QUALITY


def test_add_enrols_photos_with_the_least_quality(client, folder, db):
    client.embeddings = {"b": embedding(7), "a": embedding(8)}
    client.errors = {"c": LowQualityError("quality 0.2", code="low_quality")}
    result = run("faces", "add", folder, "--id", "dan", "--db", db)
    assert result.exit_code == 1
    assert result.stdout == "dan: 2 faces enrolled\n"
    assert "c.webp: quality 0.2" in result.stderr
    assert {options["min_quality"] for _, options in client.asked} == {0.9}
    again = run("faces", "add", folder / "b.jpg", "--id", "dan", "--db", db)
    assert again.exit_code == 1
    assert "dan already has a face from this photo" in again.stderr
    assert again.stdout == "dan: 0 faces enrolled\n"


def test_search_prints_the_likest_first(client, folder, db):
    client.embeddings = {"b": embedding(2)}
    result = run("faces", "search", folder / "b.jpg", "--db", db, "--top", 2)
    assert result.exit_code == 0, result.stderr
    head, first, second = result.stdout.splitlines()
    assert head.endswith("b.jpg: 3 faces compared, threshold 0.4000 at FAR 0.0001")
    assert first.split()[:2] == ["1", "1.0000"]
    assert "  match " in first
    assert first.endswith("  bob  bob/1.jpg")
    assert "  no match" in second


def test_search_as_json(client, folder, db):
    client.embeddings = {"b": embedding(2)}
    options = ("--json", "--by", "mean", "--false-matches", 0.003)
    [found] = records(run("faces", "search", folder / "b.jpg", "--db", db, *options))
    assert found["far"] == pytest.approx(1e-3)
    assert found["threshold"] == pytest.approx(0.3)
    assert [one["member"] for one in found["candidates"]] == ["bob", "ann"]
    assert found["candidates"][0]["similarity"] == pytest.approx(0.5**0.5, abs=1e-4)


def test_search_without_a_decision(client, folder, db):
    client.embeddings = {"b": embedding(2)}
    result = run("faces", "search", folder / "b.jpg", "--db", db, "--far", 1e-9)
    assert result.exit_code == 0
    assert "no decision: the calibration's data can't show a false accept rate of 1e-09" in (
        result.stdout
    )
    assert "  1.0000  -  " in result.stdout


def test_remove_erases(db):
    result = run("faces", "remove", "bob", "--db", db)
    assert result.stdout == "bob: 2 faces erased\n"
    assert not files_with(db, AXES[2].tobytes())
    again = run("faces", "remove", "bob", "--db", db)
    assert (again.exit_code, again.stderr) == (1, f"aurum: {db}: has no faces of bob\n")


def test_dedupe_lists_groups(output, tmp_path):
    alike = write(tmp_path / "two", [row("x", AXES[1]), row("y", AXES[1]), row("z", AXES[2])])
    run("faces", "build", alike, "--db", tmp_path / "db")
    result = run("faces", "dedupe", "--db", tmp_path / "db")
    assert result.stdout == "x (1.0000)  y (1.0000)\n"
    assert result.stderr == (
        "1 group at similarity 0.6000 and above, of 3 pairs of faces; about 3e-06 of these pairs "
        "are alike by chance\n"
    )
    [group] = records(run("faces", "dedupe", "--db", tmp_path / "db", "--json"))
    assert group == {"members": ["x", "y"], "similarities": [1.0, 1.0]}


def test_stats(db):
    [found] = records(run("faces", "stats", "--db", db))
    assert (found["faces"], found["members"], found["search"]) == (3, 2, "exact")
    assert found["embedder"] == IDS.embedder
    assert found["first_added"] == found["last_added"]


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (("search", "b.jpg", "--far", 0.5), 2, "far=0.5: must be above 0 and at most 0.01"),
        (("search", "b.jpg", "--far", 1e-4, "--false-matches", 1), 2, "exclude each other"),
        (("search", "b.jpg", "--by", "worst"), 2, "by='worst': must be best or mean"),
        (("search", "b.jpg", "--prior", 1), 2, "prior=1.0: must be above 0 and below 1"),
        (("add", "b.jpg", "--id", "a\tb"), 2, "printable"),
        (("dedupe", "--far", 1e-8), 2, "far=1e-08: must be at least 1e-06"),
    ],
)
def test_wrong_arguments_are_one_line(client, db, arguments, code, message):
    result = run("faces", *arguments, "--db", db)
    assert result.exit_code == code
    assert message in result.stderr
    assert result.stderr.count("\n") == 1


def test_another_models_query_is_one_line(client, folder, tmp_path):
    other = write(
        tmp_path / "other", [row("ann", AXES[1], embedder="old@1")], models=("d", "old@1")
    )
    run("faces", "build", other, "--db", tmp_path / "db")
    for arguments in (("search", folder / "b.jpg"), ("add", folder / "b.jpg", "--id", "ann")):
        result = run("faces", *arguments, "--db", tmp_path / "db")
        assert result.exit_code == 1
        assert "was embedded by edgeface@bbbbbbbbbbbb, but the table's faces by old@1" in (
            result.stderr
        )
        assert result.stderr.count("\n") == 1


def test_a_damaged_table_is_one_line(client, folder, db):
    for path in db.rglob("*.lance"):
        if path.is_file():
            path.write_bytes(path.read_bytes()[:100])
    result = run("faces", "search", folder / "b.jpg", "--db", db)
    assert result.exit_code == 1
    assert result.stderr.startswith("aurum: the members' table can't be used: ")
    assert ".rs:" not in result.stderr
    assert result.stderr.count("\n") == 1


@pytest.mark.parametrize("command", ["build", "add", "remove", "search", "dedupe", "stats"])
def test_without_the_extra_each_command_says_so_in_one_line(monkeypatch, tmp_path, command):
    for name in list(sys.modules):
        if name.startswith(("aurum.members", "lancedb", "pyarrow")):
            monkeypatch.delitem(sys.modules, name)
    for name in ("lancedb", "pyarrow"):
        monkeypatch.setitem(sys.modules, name, None)
    more = {"build": ["out"], "add": ["a.jpg", "--id", "a"], "remove": ["a"], "search": ["a.jpg"]}
    result = run("faces", command, *more.get(command, []), "--db", tmp_path)
    assert result.exit_code == 1
    assert "pip install 'aurum-face-serving[backfill]'" in result.stderr
    assert result.stderr.count("\n") == 1
