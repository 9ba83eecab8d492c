"""Removed members are in no file any more."""

import re

import numpy as np
import pytest
from bulk_output import face, files_with, row, vectors

from aurum import members
from aurum.members import MembersError, table
from aurum.members.errors import ArgumentError

# A vector that alternates between two numbers also does so in an index of bytes, as no other does.
ALTERNATING = (np.tile([1, -1], 256) / np.sqrt(512)).astype(np.float32)
CODES = re.compile(rb"(?s)(?!(.)\1)(..)\2{200,}")


def files_with_codes(folder):
    return [
        path for path in folder.rglob("*") if path.is_file() and CODES.search(path.read_bytes())
    ]


@pytest.mark.parametrize("parts", [1, 3])
def test_no_file_keeps_the_embedding(crowd, tmp_path, parts):
    found, v = crowd(1000, parts)
    assert files_with(tmp_path / "db", v[3].tobytes())
    assert found.remove(["m3"]) == 1
    assert not files_with(tmp_path / "db", v[3].tobytes())
    assert files_with(tmp_path / "db", v[4].tobytes())
    assert len(found) == 999
    assert "m3" not in {one.member for one in found.search(face(v[3]), top=1000).candidates}
    assert found.search(face(v[4]), top=1).candidates[0].member == "m4"


def test_faces_added_later_go_with_the_member(crowd, tmp_path):
    found, v = crowd(50)
    new = vectors(3, seed=8)
    for index, vector in enumerate(new):
        found.add("m7", face(vector), photo=f"{index}.jpg")
    assert found.remove(["m7", "m8"]) == 5
    for vector in (*new, v[7], v[8]):
        assert not files_with(tmp_path / "db", vector.tobytes())
    assert found.stats()["members"] == 48


def test_no_index_keeps_the_embedding(crowd, tmp_path, monkeypatch):
    monkeypatch.setattr(table, "EXACT", 1000)
    found, v = crowd(2000, planted=[(3, ALTERNATING)])
    assert found.indexed
    assert any("_indices" in path.parts for path in files_with_codes(tmp_path / "db"))
    found.remove(["m3"])
    assert found.indexed
    assert not files_with_codes(tmp_path / "db")
    assert not files_with(tmp_path / "db", ALTERNATING.tobytes())
    assert found.search(face(v[4]), top=1).candidates[0].member == "m4"


@pytest.mark.parametrize("step", ["delete", "optimize"])
def test_what_an_interrupted_removal_left_the_next_one_removes(crowd, tmp_path, monkeypatch, step):
    found, v = crowd(100)

    def killed(*_, **__):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(type(found._table), step, killed)
        with pytest.raises(KeyboardInterrupt):
            found.remove(["m3"])
    again = members.open(tmp_path / "db")
    assert len(again) == (100 if step == "delete" else 99)
    again.remove(["m3"])
    assert not files_with(tmp_path / "db", v[3].tobytes())
    assert len(again) == 99


def test_nobody_is_removed_by_a_strange_id(crowd):
    found, _ = crowd(10)
    for strange in ("m1' OR '1'='1", "%", "", "m1\\"):
        assert found.remove([strange]) == 0
    assert len(found) == 10


@pytest.mark.parametrize("ids", [[], "m1"])
def test_ids_are_a_list(crowd, ids):
    found, _ = crowd(3)
    with pytest.raises(ArgumentError, match="must be a list of ids"):
        found.remove(ids)


def test_all_members_can_go(built, tmp_path):
    (vector,) = vectors(1)
    found = built([row("ann", vector)])
    found.remove(["ann"])
    assert len(found) == 0
    assert not files_with(tmp_path / "db", vector.tobytes())
    with pytest.raises(MembersError):
        built([row("ann", vector)])
