"""The folder of a run: what its files hold, and what is refused in one line."""

import json
import sys

import numpy as np
import pyarrow as pa
import pytest
from aurum_client import QualityParts
from pyarrow import dataset
from test_bulk_diff import ROW, analysis, single, write
from typer.testing import CliRunner

from aurum import files
from aurum.bulk import BulkError, tables
from aurum.bulk.output import Manifest, Output, parts
from aurum.bulk.shards import Shard
from aurum.bulk.tables import Result
from aurum.cli.app import app

VECTOR = np.random.default_rng(1).normal(size=512)
MANIFEST = Manifest("detector@1", "old@1", ROW, 1, {})


def shown(*arguments):
    return CliRunner().invoke(app, ["bulk", *map(str, arguments)])


def test_a_face_is_a_row_with_the_types_that_are_promised(tmp_path):
    answer = analysis([[1, 2, 3, 4], [5, 6, 7, 8]], [VECTOR, -VECTOR], "old@1")
    gate = QualityParts._fields.index("sharpness")
    object.__setattr__(answer, "gate", np.array([-1, gate], np.int32))
    first, second = tables.faces([Result("p", None, answer)]).to_pylist()
    assert (first["id"], first["face"], second["face"]) == ("p", 0, 1)
    assert first["box"] == [1, 2, 3, 4]
    assert (first["gate"], second["gate"]) == (None, "sharpness")
    assert first["calibration"] == pytest.approx(ROW)
    assert (first["detector"], first["embedder"]) == ("detector@1", "old@1")
    assert second["embedding"] == pytest.approx(-np.array(first["embedding"]))
    write(tmp_path, {"p": single(VECTOR)})
    schema = dataset.dataset(tmp_path / "faces").schema
    assert schema.field("embedding").type == pa.list_(pa.float32(), 512)
    assert schema.field("parts").type == pa.list_(pa.float32(), 16)
    assert schema.field("landmarks").type == pa.list_(pa.float32(), 10)
    assert json.loads((tmp_path / "bulk.json").read_text()) == {
        "version": 1, "detector": "detector@1", "embedder": "old@1", "calibration": ROW,
        "shards": 1, "options": {},
    }  # fmt: skip


def test_a_face_takes_little_more_than_its_numbers(tmp_path):
    vectors = np.random.default_rng(2).normal(size=(500, 512))
    write(
        tmp_path, {str(number): single(vector) for number, vector in enumerate(vectors)}, part=500
    )
    assert (tmp_path / "faces" / "0-of-1-000000.parquet").stat().st_size < 500 * 2300


def test_a_part_without_its_photos_does_not_count(tmp_path):
    write(tmp_path, {name: single(VECTOR) for name in "abcd"}, part=2)
    (tmp_path / "photos" / "0-of-1-000001.parquet").unlink()
    assert [path.name for path in parts(tmp_path, "faces")] == ["0-of-1-000000.parquet"]
    output = Output(tmp_path, Shard())
    with output.opened(MANIFEST):
        assert len(list((tmp_path / "faces").iterdir())) == 1


def test_a_shard_leaves_the_parts_of_the_others(tmp_path):
    manifest = Manifest("detector@1", "old@1", ROW, 12, {})
    result = Result("p", None, analysis(*single(VECTOR), "old@1"))
    eleven, one = Output(tmp_path, Shard(11, 12)), Output(tmp_path, Shard(1, 12))
    with eleven.opened(manifest):
        eleven.write([result])
        (tmp_path / "photos" / "11-of-12-000000.parquet").unlink()  # as if it was about to come
        with one.opened(manifest):
            assert list((tmp_path / "faces").iterdir())


def test_one_run_writes_a_shard_at_a_time(tmp_path):
    with (
        Output(tmp_path, Shard()).opened(MANIFEST),
        pytest.raises(BulkError, match="another run writes shard 0-of-1"),
        Output(tmp_path, Shard()).opened(MANIFEST),
    ):
        pass


@pytest.mark.parametrize(
    ("other", "message"),
    [
        (Manifest("detector@2", "old@1", ROW, 1, {}), "with detector detector@1, this run has d"),
        (Manifest("detector@1", "new@1", ROW, 1, {}), "embedder old@1, this run has new@1: give"),
        (Manifest("detector@1", "old@1", ROW, 2, {}), "with shards 1, this run has 2"),
        (Manifest("detector@1", "old@1", ROW, 1, {"tiles": 4}), 'options {}, this run has {"tiles'),
    ],
)
def test_another_run_is_refused(tmp_path, other, message):
    write(tmp_path, {"a": single(VECTOR)})
    with pytest.raises(BulkError) as caught, Output(tmp_path, Shard()).opened(other):
        pass
    assert message in str(caught.value)


def test_a_full_disk_is_told_in_one_line(tmp_path, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    output = Output(tmp_path, Shard())
    with output.opened(MANIFEST):
        monkeypatch.setattr(files, "write", full)
        with pytest.raises(BulkError, match="can't be written: No space left on device"):
            output.write([])


def test_damage_is_named(tmp_path):
    write(tmp_path, {"a": single(VECTOR)})
    part = tmp_path / "photos" / "0-of-1-000000.parquet"
    part.write_bytes(b"damaged")
    result = shown("status", tmp_path)
    assert result.exit_code == 1
    assert f"{part} can't be read: " in result.output
    (tmp_path / "bulk.json").write_text("{}")
    assert "bulk.json can't be read" in shown("status", tmp_path).output


def test_status_as_json(tmp_path):
    write(tmp_path, {"a": single(VECTOR), "b": ([], []), "c": None})
    found = json.loads(shown("status", tmp_path, "--json").stdout)
    assert (found["photos"], found["faces"], found["without"]) == (3, 1, 1)
    assert found["failures"] == {"invalid_image": 1}
    assert found["shards"] == {"0": 3}


@pytest.mark.parametrize(
    "command", [("run", ".", "--out", "o"), ("status", "o"), ("diff", "o", "p")]
)
def test_without_the_extra_a_command_says_so(monkeypatch, command):
    for name in [*sys.modules]:
        if name.startswith("aurum.bulk."):
            monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    result = shown(*command)
    assert result.exit_code == 1
    assert "this command needs pyarrow, which is not installed: run pip install" in result.output
    assert "aurum-face-serving[backfill]" in result.output
