"""What moved between two runs, on outputs whose differences are known."""

import json

import numpy as np
import pyarrow as pa
import pytest
from aurum_client import Analysis, ModelIds
from aurum_client.calibration import Calibration
from pyarrow import parquet
from typer.testing import CliRunner

from aurum.bulk import neighbors
from aurum.bulk.diff import diff
from aurum.bulk.output import Manifest, Output
from aurum.bulk.shards import Shard
from aurum.bulk.tables import Failure, Result
from aurum.cli.app import app

ROW = [0.2, 0.3, 0.4, 20.0, -10.0, 0.5]
RANDOM = np.random.default_rng(0)


def unit(vectors):
    return (vectors / np.linalg.norm(vectors, axis=-1, keepdims=True)).astype(np.float32)


def analysis(boxes, vectors, embedder):
    count = len(boxes)
    return Analysis(
        np.array(boxes, np.float32).reshape(-1, 4),
        np.zeros((count, 5, 2), np.float32),
        np.full(count, 0.9, np.float32),
        (100, 100),
        ModelIds("detector@1", embedder),
        unit(np.reshape(vectors, (-1, 512))),
        np.full(count, 0.5, np.float32),
        np.zeros((count, 16), np.float32),
        Calibration.from_row(ROW) if count else None,
        gate=np.full(count, -1, np.int32),
    )


def write(folder, photos, embedder="old@1", part=3):
    """Write an output of `photos`: boxes and vectors by id, or None for a failure."""
    results = [
        Result(
            name,
            None,
            Failure("invalid_image", "broken") if found is None else analysis(*found, embedder),
        )
        for name, found in photos.items()
    ]
    output = Output(folder, Shard())
    with output.opened(Manifest("detector@1", embedder, ROW, 1, {})):
        for start in range(0, len(results), part):
            output.write(results[start : start + part])
    return folder


BOX, AWAY = [0, 0, 10, 10], [50, 50, 10, 10]


def single(vector):
    return [BOX], [vector]


def test_lost_and_gained_faces_are_counted_by_photo(tmp_path):
    a, b, c, d = RANDOM.normal(size=(4, 512))
    old = write(tmp_path / "old", {
        "same": single(a), "less": ([BOX, AWAY], [b, c]), "more": single(d), "gone": single(a),
        "moved": single(b), "fails": None, "empty": ([], []),
    })  # fmt: skip
    new = write(tmp_path / "new", {
        "moved": ([AWAY], [b]), "more": ([AWAY, [1, 0, 10, 10]], [a, d]), "less": single(b),
        "same": single(a), "fails": single(a), "empty": ([], []), "new": single(c),
    })  # fmt: skip
    found = diff(old, new, 10)
    assert (found.photos, found.only_old, found.only_new) == (5, 1, 2)
    assert (found.paired, found.lost, found.gained) == (3, 2, 2)
    assert (found.lost_photos, found.gained_photos) == (2, 2)
    changed = {one.id: (one.lost, one.gained) for one in found.changed}
    assert changed == {"less": (1, 0), "more": (0, 1), "moved": (1, 1)}


def test_a_neighbour_that_changed_is_found_and_copies_are_none(tmp_path):
    a, b = RANDOM.normal(size=(2, 512))
    near = {name: single(a + 0.2 * RANDOM.normal(size=512)) for name in ("x", "y")}
    copies = {name: single(b) for name in ("copy1", "copy2", "copy3")}
    old = write(tmp_path / "old", {"a": single(a), **near, **copies})
    swapped = {"x": single(b + 0.01 * a), "y": near["y"]}
    new = write(tmp_path / "new", {"a": single(a), **swapped, **copies}, "new@1")
    found = diff(old, new, 100)
    assert found.sampled == 6
    moved = {one.face[0]: (one.before[0], one.after[0]) for one in found.examples}
    assert moved["x"][0] in ("a", "y")
    assert moved["x"][1].startswith("copy")
    assert not {"copy1", "copy2", "copy3"} & moved.keys()
    assert found.moved == found.moved_matches == len(moved)


def test_the_same_run_has_no_difference_and_is_printed_as_json(tmp_path):
    photos = {str(n): single(vector) for n, vector in enumerate(RANDOM.normal(size=(9, 512)))}
    old, new = (write(tmp_path / name, photos, part=part) for name, part in (("o", 2), ("n", 5)))
    shown = CliRunner().invoke(app, ["bulk", "diff", str(old), str(new), "--json"])
    found = json.loads(shown.stdout)
    assert (found["paired"], found["sampled"], found["moved"]) == (9, 9, 0)
    assert found["changed"] == found["examples"] == []
    text = CliRunner().invoke(app, ["bulk", "diff", str(old), str(new)]).stdout
    assert "0 of 9 faces have another nearest neighbour, 0 of them a match" in text


def test_unfit_faces_are_nobodys_neighbours(tmp_path):
    photos = {str(n): single(vector) for n, vector in enumerate(RANDOM.normal(size=(5, 512)))}
    old, new = write(tmp_path / "old", photos), write(tmp_path / "new", photos)
    part = new / "faces" / "0-of-1-000000.parquet"  # of three photos
    table = parquet.read_table(part)
    gate = pa.array(["sharpness", None, None], pa.string())
    place = table.schema.get_field_index("gate")
    parquet.write_table(table.set_column(place, table.schema.field("gate"), gate), part)
    found = diff(old, new, 100)
    assert (found.paired, found.sampled) == (5, 4)


def test_blocks_give_what_one_product_gives(monkeypatch):
    vectors = unit(RANDOM.normal(size=(100, 512)))
    wanted = RANDOM.permutation(100)[:60]
    queries = RANDOM.permutation(60)[:7]
    monkeypatch.setattr(neighbors, "ROWS", 8)

    def blocks():
        return iter(np.split(vectors, [13, 50, 51]))

    found = neighbors.nearest(blocks, wanted, queries)
    all_pairs = vectors[wanted] @ vectors[wanted].T
    np.fill_diagonal(all_pairs, -2)
    assert found.places.tolist() == all_pairs[queries].argmax(axis=1).tolist()
    assert found.similarities == pytest.approx(all_pairs[queries].max(axis=1), abs=1e-5)
    known = neighbors.similarities(blocks, wanted, queries, found.places)
    assert known == pytest.approx(found.similarities, abs=1e-5)


def test_what_can_not_be_compared_is_refused(tmp_path):
    vector = RANDOM.normal(size=512)
    old = write(tmp_path / "old", {"a": single(vector)})
    new = write(tmp_path / "new", {"b": single(vector)})
    for arguments, code, message in (
        ((old, new), 2, "have no photo in common"),
        ((old, tmp_path), 1, "is no output of `aurum bulk run`: no bulk.json"),
    ):
        shown = CliRunner().invoke(app, ["bulk", "diff", *map(str, arguments)])
        assert shown.exit_code == code
        assert message in shown.output
