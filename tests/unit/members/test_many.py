"""Tables with an index, and people who are there twice."""

import numpy as np
import pytest
from bulk_output import face, like, row, vectors

from aurum.members import MembersError, duplicates, table
from aurum.members.errors import ArgumentError


@pytest.fixture
def few_are_many(monkeypatch):
    """An index from 1,000 faces on."""
    monkeypatch.setattr(table, "EXACT", 1000)


@pytest.mark.usefixtures("few_are_many")
def test_an_index_finds_what_exact_search_finds(crowd):
    found, v = crowd(4000)
    assert found.indexed
    assert found.stats()["search"] == "index"
    # The parts' centres are random, and random vectors are the hardest to divide: of queries as
    # alike as 0.7, 93 to 100 % are found; of these, all.
    for index in range(0, 4000, 80):
        query = face(like(v[index], 0.85))
        assert found.search(query, top=1).candidates[0].member == f"m{index}"


@pytest.mark.usefixtures("few_are_many")
def test_faces_beside_the_index_are_found(crowd):
    found, _ = crowd(1500)
    (new,) = vectors(1, seed=7)
    found.add("new", face(new), photo="new.jpg")
    assert found.search(face(new), top=1).candidates[0].member == "new"
    found.settle()
    assert found.search(face(new), top=1).candidates[0].member == "new"


@pytest.mark.usefixtures("few_are_many")
def test_the_index_comes_with_the_thousandth_face(crowd):
    found, _ = crowd(999)
    assert not found.indexed
    found.add("new", face(vectors(1, seed=7)[0]), photo="new.jpg")
    found.settle()
    assert found.indexed


PLANTED = [(40, 10), (70, 40), (90, 20)]  # 70 is like 40, 40 like 10; 90 like 20


def doubled(count):
    v = vectors(count)
    for one, other in PLANTED:
        v[one] = like(v[other], 0.8, 100 + one)
    return [(index, vector) for index, vector in enumerate(v)]


@pytest.mark.parametrize("exact", [True, False])
def test_planted_duplicates_are_found(crowd, monkeypatch, exact):
    monkeypatch.setattr(table, "EXACT", 10_000 if exact else 1000)
    monkeypatch.setattr(duplicates, "ROWS", 300)  # several blocks
    found, v = crowd(1200, planted=doubled(1200))
    assert found.indexed is not exact
    answer = duplicates.find(found)
    assert sorted(one.members for one in answer.clusters) == [["m10", "m40", "m70"], ["m20", "m90"]]
    by_member = dict(zip(*vars(answer.clusters[0]).values(), strict=True))
    for member, similarity in by_member.items():
        alike = v @ v[int(member[1:])]
        assert similarity == pytest.approx(np.sort(alike)[-2], abs=1e-3)
    assert answer.threshold == pytest.approx(0.6)  # of 1e-6
    assert answer.pairs == 1200 * 1199 / 2
    assert answer.by_chance == pytest.approx(answer.pairs * 1e-6)


def test_a_members_own_faces_are_no_duplicates(built):
    (vector,) = vectors(1)
    rows = [row(f"ann/{index}.jpg", like(vector, 0.9, 5 + index)) for index in range(3)]
    answer = duplicates.find(built(rows, by_folder=True))
    assert answer.clusters == []
    assert answer.pairs == 0


def test_a_threshold_of_ones_own_needs_no_calibration(built):
    (vector,) = vectors(1)
    found = built([row("ann", vector), row("bob", like(vector, 0.96))], calibration=None)
    with pytest.raises(MembersError, match="not calibrated"):
        duplicates.find(found)
    assert len(duplicates.find(found, at_least=0.95).clusters) == 1
    assert duplicates.find(found, at_least=0.97).clusters == []


def test_a_rate_that_the_data_cannot_show(crowd):
    found, _ = crowd(3)
    with pytest.raises(ArgumentError, match="must be at least 1e-06"):
        duplicates.find(found, far=1e-8)
