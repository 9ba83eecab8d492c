"""The benchmarks of `aurum faces`, small."""

import sys

import numpy as np
import pytest
from bulk_output import ROW, like, row, vectors, write

from aurum.members import MembersError
from benchmarks.members import command, identify, people, rates


@pytest.fixture
def lfw(tmp_path):
    """A bulk run of people with one to three photos; cat's last one is more like ann."""
    v = vectors(4)
    photos = {
        "ann/1.jpg": v[0],
        "ann/2.jpg": like(v[0], 0.7, 11),
        "bob/1.jpg": v[1],
        "cat/1.jpg": v[2],
        "cat/2.jpg": like(v[2], 0.9, 12),
        "cat/3.jpg": like(v[0], 0.8, 13),
    }
    rows = [row(name, vector, quality=0.1) for name, vector in photos.items()]
    return write(tmp_path / "lfw", rows, parts=2)


def run(monkeypatch, module, *arguments):
    monkeypatch.setattr(sys, "argv", ["members", *map(str, arguments)])
    assert module.main() == 0


def test_recall_of_exact_search_is_complete(monkeypatch, tmp_path, lfw, capsys):
    sizes = ("--sizes", 500, 700, "--queries", 10, "--out", tmp_path / "out")
    run(monkeypatch, command, *sizes, "--people", lfw)
    lines = (tmp_path / "out" / "report.md").read_text().splitlines()
    assert "Members are made up: 6 embeddings by edgeface@bbbbbbbbbbbb" in lines[2]
    cells = [[cell.strip() for cell in line.split("|")[1:6]] for line in lines[-2:]]
    assert [(row[0], row[1], row[3], row[4]) for row in cells] == [
        ("500", "exact", "1.0000", "1.0000"),
        ("700", "exact", "1.0000", "1.0000"),
    ]
    assert not (tmp_path / "out" / "table").exists()
    run(monkeypatch, command, *sizes)
    assert "Members are noise alone" in capsys.readouterr().out


def test_the_exact_search_beside_is_the_plain_one(monkeypatch):
    monkeypatch.setattr(people, "ROWS", 40)
    monkeypatch.setattr(command, "ROWS", 40)
    everybody = np.concatenate([people.made_up(None, 100, start) for start in (0, 40, 80)])
    queries = vectors(3, seed=5)
    wanted = np.argsort(-(queries @ everybody.T), axis=1)[:, : command.TOP]
    assert command.exact(None, 100, queries) == [[f"m{at}" for at in some] for some in wanted]
    places = np.array([3, 50, 99])
    np.testing.assert_array_equal(command.chosen(None, 100, places), everybody[places])


def test_identification_counts_who_comes_first(monkeypatch, lfw, capsys):
    run(monkeypatch, identify, lfw)
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == ("4 faces of 3 members enrolled, 2 queries, 1 of members with several faces")
    assert [cell.strip() for cell in lines[4].split("|")[1:-1]] == [
        *("best", "0.0001", "50.00%", "0.00%", "50.00%", "0.00%", "0.500")
    ]


def test_the_last_photo_is_the_query():
    parts = identify.split(np.array(["a", "b", "b", "c", "c", "c"]))
    assert parts.enrolled.tolist() == [0, 1, 3, 4]
    assert parts.queries.tolist() == [2, 5]
    assert parts.several.tolist() == [False, True]


def pairs_of(similarities):
    """Return rows of as many pairs of people, p0 and q0 and so on; all other pairs are at 0."""
    axes = np.eye(512, dtype=np.float32)
    rows = []
    for number, similarity in enumerate(similarities):
        one, other = axes[2 * number], axes[2 * number + 1]
        rows.append(row(f"p{number}/1.jpg", one))
        mixed = similarity * one + np.sqrt(1 - similarity**2) * other
        rows.append(row(f"q{number}/1.jpg", mixed.astype(np.float32)))
    return rows


def test_rates_count_the_pairs_of_strangers_above_each_threshold(monkeypatch, tmp_path, capsys):
    rows = pairs_of([0.25, 0.35, 0.45, 0.55, 0.65])
    again = row("p0/2.jpg", rows[0]["embedding"])  # at 1 to p0/1.jpg, which is no stranger's
    run(monkeypatch, rates, write(tmp_path / "out", [*rows, again]))
    first, _, _, _, *table = capsys.readouterr().out.splitlines()
    assert first.startswith("54 pairs of strangers: 11 photos of 10 people, embedded by edgeface@")
    assert [[cell.strip() for cell in line.split("|")[1:-1]] for line in table] == [
        ["1e-02", "0.2000", "calibrated", "6", "1.1e-01"],
        ["1e-03", "0.3000", "calibrated", "4", "7.4e-02"],
        ["1e-04", "0.4000", "calibrated", "3", "5.6e-02"],
        ["1e-05", "0.5000", "extrapolated", "2", "3.7e-02"],
        ["1e-06", "0.6000", "extrapolated", "1", "1.9e-02"],
    ]


@pytest.mark.parametrize(
    ("rows", "calibration", "message"),
    [
        (pairs_of([0.5]), None, "edgeface@bbbbbbbbbbbb was not calibrated"),
        (pairs_of([0.5])[:1], ROW, "all photos are of one person"),
    ],
)
def test_rates_need_a_calibration_and_two_people(monkeypatch, tmp_path, rows, calibration, message):
    output = write(tmp_path / "out", rows, calibration=calibration)
    with pytest.raises(MembersError, match=message):
        run(monkeypatch, rates, output)
