"""Members from the output of a bulk run."""

import json
import subprocess
import sys

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from bulk_output import DETECTOR, EMBEDDER, ROW, face, files_with, row, vectors, write

from aurum import members
from aurum.members import MembersError, enrolment
from aurum.paths import CHECKOUT


def names(table):
    return sorted(member for some, _ in table.vectors() for member in some)


def test_the_largest_good_face_of_each_photo_is_enrolled(built):
    v = vectors(5)
    table = built(
        [
            row("ann", v[0]),
            row("ann", v[1], face=1),
            row("bob", v[2], quality=0.89),
            row("cat", v[3], gate="sharpness"),
            row("dan", v[4], quality=0.9),
        ],
        parts=2,
    )
    assert names(table) == ["ann", "dan"]
    enrolled = built.enrolled
    assert (enrolled.enrolled, enrolled.further, enrolled.poor, enrolled.gated) == (2, 1, 1, 1)


def test_the_least_quality_can_be_chosen(built):
    table = built([row("bob", vectors(1)[0], quality=0.3)], min_quality=0.3)
    assert names(table) == ["bob"]


def test_the_advised_quality_is_the_one_of_the_page():
    page = (CHECKOUT / "docs" / "design" / "quality.md").read_text(encoding="utf-8")
    assert f"**{members.ADVISED_QUALITY}**. It rejects one LFW photo in 300" in page


def test_a_folder_can_be_the_member(built):
    v = vectors(3)
    rows = [row(name, one) for name, one in zip(("a/1.jpg", "a/2.jpg", "b/1.jpg"), v, strict=True)]
    table = built(rows, by_folder=True)
    assert names(table) == ["a", "a", "b"]
    found = table.search(face(v[1]), top=1).candidates[0]
    assert (found.member, found.photo) == ("a", "a/2.jpg")


def test_a_photo_in_no_folder_has_no_member(built):
    with pytest.raises(MembersError, match="1jpg: is in no folder"):
        built([row("1jpg", vectors(1)[0])], by_folder=True)


def test_the_table_knows_its_models_and_calibration(built, tmp_path):
    built([row("ann", vectors(1)[0])])
    model = members.open(tmp_path / "db").model
    assert (model.detector, model.embedder) == (DETECTOR, EMBEDDER)
    assert model.record()["calibration"] == ROW


def test_rows_of_another_model_are_refused_and_nothing_is_enrolled(built, tmp_path):
    v = vectors(2)
    with pytest.raises(MembersError, match="a row was embedded by other@1") as refusal:
        built([row("ann", v[0]), row("bob", v[1], embedder="other@1")], parts=2)
    assert "\n" not in str(refusal.value)
    with pytest.raises(MembersError, match="there are no members"):
        members.open(tmp_path / "db")
    assert not files_with(tmp_path / "db", v[0].tobytes())
    assert names(built([row("ann", v[0])])) == ["ann"]  # the folder can still be used


def test_a_failed_replacement_leaves_the_old_members(built, tmp_path):
    v = vectors(3)
    built([row("ann", v[0])])
    rows = [row("bob", v[1]), row("cat", v[2], embedder="other@1")]
    with pytest.raises(MembersError, match="a row was embedded by other@1"):
        built(rows, parts=2, replace=True)
    assert names(members.open(tmp_path / "db")) == ["ann"]
    assert not files_with(tmp_path / "db", v[1].tobytes())


def test_members_are_not_replaced_by_mistake(built, tmp_path):
    v = vectors(2)
    built([row("ann", v[0])])
    with pytest.raises(MembersError, match="has members already"):
        built([row("bob", v[1])])
    assert names(built([row("bob", v[1])], replace=True)) == ["bob"]
    assert not files_with(tmp_path / "db", v[0].tobytes())
    assert files_with(tmp_path / "db", v[1].tobytes())


def test_an_open_table_notices_that_its_members_were_replaced(built, tmp_path):
    v = vectors(2)
    built([row("ann", v[0])])
    table = members.open(tmp_path / "db")
    built([row("ann", v[1], embedder="new@1")], replace=True, models=(DETECTOR, "new@1"))
    with pytest.raises(MembersError, match="the table's faces by new@1"):
        table.search(face(v[0]))


KILLED = """
import os, signal, sys
from pathlib import Path
from aurum.members import create, enrolment
enrolled = enrolment.read(Path(sys.argv[1]))
def batches():
    yield from enrolled.batches()
    os.kill(os.getpid(), signal.SIGKILL)
create(sys.argv[2], enrolled.model, batches())
"""


def test_a_killed_build_leaves_nothing_that_the_next_one_does_not_delete(built, tmp_path):
    v = vectors(20_001)  # more than one buffer, so that some are on the disk already
    output = write(tmp_path / "killed", [row(f"m{index}", one) for index, one in enumerate(v)])
    done = subprocess.run([sys.executable, "-c", KILLED, output, tmp_path / "db"], check=False)
    assert done.returncode == -9
    assert files_with(tmp_path / "db", v[0].tobytes())
    with pytest.raises(MembersError, match="there are no members"):
        members.open(tmp_path / "db")
    assert names(built([row("ann", v[-1])])) == ["ann"]
    assert not files_with(tmp_path / "db", v[0].tobytes())


def test_no_face_is_good_enough(built):
    table = built([row("ann", vectors(1)[0], quality=0.1)])
    assert len(table) == 0
    assert table.search(face(vectors(1)[0])).candidates == []
    assert table.stats()["members"] == 0


@pytest.mark.parametrize(
    ("record", "message"),
    [
        (None, "has no bulk.json"),
        ("{", "bulk.json: Expecting"),
        ("[]", "bulk.json: has version None; this Aurum reads 1"),
        ('{"version": 2}', "has version 2"),
        ('{"version": 1}', "bulk.json: 'detector'"),
        (
            json.dumps({"version": 1, "detector": "a", "embedder": "b", "calibration": [1, 2]}),
            "bulk.json: ",
        ),
        (json.dumps({"version": 1, "detector": "a", "embedder": "b", "calibration": {}}), "null"),
    ],
)
def test_what_is_not_the_output_of_a_bulk_run(tmp_path, record, message):
    output = write(tmp_path / "out", [row("ann", vectors(1)[0])])
    if record is None:
        (output / "bulk.json").unlink()
    else:
        (output / "bulk.json").write_text(record)
    with pytest.raises(MembersError, match=message):
        enrolment.read(output)


def test_a_run_without_faces(tmp_path):
    output = write(tmp_path / "out", [], parts=0)
    with pytest.raises(MembersError, match="no faces were found"):
        enrolment.read(output)


@pytest.mark.parametrize("length", [0, 2, float("nan")])
def test_embeddings_that_are_none(built, length):
    with pytest.raises(MembersError, match="length is not 1"):
        built([row("ann", vectors(1)[0] * length)])


@pytest.mark.parametrize("part", [0, 1])
def test_a_damaged_file(tmp_path, part):
    output = write(tmp_path / "out", [row(name, vectors(1)[0]) for name in "ab"], parts=2)
    path = sorted((output / "faces").iterdir())[part]
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(MembersError, match="out/faces: ") as refusal:
        list(enrolment.read(output).batches())
    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize("column", ["embedding", "gate"])
def test_columns_that_are_not_what_was_agreed(tmp_path, column):
    output = write(tmp_path / "out", [row("ann", vectors(1)[0])])
    [path] = (output / "faces").iterdir()
    table = pq.read_table(path)
    index = table.schema.get_field_index(column)
    pq.write_table(table.set_column(index, column, pa.array([b"?"])), path)
    with pytest.raises(MembersError, match=f"the column {column} is binary, not"):
        list(enrolment.read(output).batches())
