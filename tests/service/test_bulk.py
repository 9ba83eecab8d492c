"""`aurum bulk` against real servers: killed and continued, in shards, and what it refuses."""

import signal
import subprocess

import cv2
import numpy as np
import pyarrow as pa
import pytest
from pyarrow import dataset, parquet
from typer.testing import CliRunner
from up_process import AURUM
from waiting import eventually

from aurum.cli.app import app
from aurum.paths import PHOTO

COUNT = 240  # photos, so many that a run can be killed in the middle


def run(*arguments):
    return CliRunner().invoke(app, ["bulk", "run", *map(str, arguments)])


def rows(folder, table="faces"):
    return dataset.dataset(folder / table).to_table().to_pylist()


def by_face(folder):
    found = {(row["id"], row["face"]): row for row in rows(folder)}
    assert len(found) == len(rows(folder)), "a face is there twice"
    return found


def assert_same(one, other):
    """The same faces in the sense of the issue: boxes to 0.1 px, embeddings to 1e-3."""
    first, second = by_face(one), by_face(other)
    assert first.keys() == second.keys()
    for key, row in first.items():
        assert row["box"] == pytest.approx(second[key]["box"], abs=0.1)
        assert row["embedding"] == pytest.approx(second[key]["embedding"], abs=1e-3)
    photos = [sorted(row["id"] for row in rows(folder, "photos")) for folder in (one, other)]
    assert photos[0] == photos[1]
    assert len(set(photos[0])) == len(photos[0])


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Photos of one face each, all different, and one file that is none."""
    folder = tmp_path_factory.mktemp("photos")
    photo = cv2.resize(cv2.imread(str(PHOTO)), (192, 192))
    for number in range(COUNT):
        path = folder / f"{number % 7}" / f"{number:03d}.jpg"
        path.parent.mkdir(exist_ok=True)
        cv2.imwrite(str(path), np.roll(photo, number % 40 - 20, axis=1))
    (folder / "0" / "broken.jpg").write_bytes(b"no photo")
    return folder


@pytest.fixture(scope="module")
def whole(folder, best, tmp_path_factory):
    """The output of one run that nothing interrupted."""
    out = tmp_path_factory.mktemp("whole")
    shown = run(folder, "--out", out, "--url", best.urls[0])
    assert shown.exit_code == 0, shown.output
    return out


def test_a_run_writes_faces_failures_and_photos(whole, best):
    assert len(rows(whole, "photos")) == COUNT + 1
    [failure] = rows(whole, "failures")
    assert failure["id"] == "0/broken.jpg"
    assert failure["source"].endswith("/0/broken.jpg")
    assert failure["code"] == "invalid_image"
    faces = rows(whole)
    assert len({row["id"] for row in faces}) == COUNT
    for row in faces:
        assert np.linalg.norm(row["embedding"]) == pytest.approx(1, abs=1e-3)
        assert row["embedder"] == best.prepared.ids["face_embedding"]
        assert row["detector"] == best.prepared.ids["face_detection"]


def test_a_killed_run_continues_and_nothing_is_twice_or_missing(folder, best, whole, tmp_path):
    out = tmp_path / "out"
    command = [AURUM, "bulk", "run", folder, "--out", out]
    process = subprocess.Popen([*command, "--url", best.urls[0], "--part", "5"])
    try:
        eventually(lambda: len(list((out / "photos").glob("*.parquet"))) >= 3)
    finally:
        process.kill()
        assert process.wait() == -signal.SIGKILL
    # As if it had been killed between two files of a part, and while it wrote one.
    finished = sorted((out / "photos").glob("*.parquet"))
    lost = finished[-1].name.rpartition("-")[0] + "-999999.parquet"
    (out / "faces" / lost).write_bytes((out / "faces" / finished[-1].name).read_bytes())
    (out / "faces" / ".0-of-1-000009.parquet.1").write_bytes(b"half")
    assert 0 < len(rows(out, "photos")) < COUNT

    shown = run(folder, "--out", out, "--url", best.urls[0])

    assert shown.exit_code == 0, shown.output
    assert "were done before" in shown.output
    assert_same(out, whole)
    assert not list(out.glob("*/.*"))
    again = run(folder, "--out", out, "--url", best.urls[0])
    assert "0 photos with 0 faces, 0 failed; 241 were done before" in again.output


def test_a_terminated_run_writes_what_is_done(folder, best, tmp_path):
    out = tmp_path / "out"
    command = [AURUM, "bulk", "run", folder, "--out", out]
    process = subprocess.Popen(
        [*command, "--url", best.urls[0], "--part", "20"], stderr=subprocess.PIPE, text=True
    )
    eventually(lambda: (out / "photos").is_dir() and any((out / "photos").iterdir()))
    process.send_signal(signal.SIGTERM)
    _, told = process.communicate()
    assert process.returncode == 1
    assert "the same command continues" in told
    assert 20 <= len(rows(out, "photos")) < COUNT


def test_two_shards_over_two_servers_equal_one_run(folder, best, whole, tmp_path):
    urls = [word for url in best.urls for word in ("--url", url)]
    for index in range(2):
        shown = run(folder, "--out", tmp_path, *urls, "--shard", f"{index}/2")
        assert shown.exit_code == 0, shown.output
    assert_same(tmp_path, whole)
    counts = [len(list((tmp_path / "photos").glob(f"{index}-of-2-*"))) for index in range(2)]
    assert min(counts) > 0


def test_a_table_of_bytes_gives_the_faces_of_its_files(folder, best, whole, tmp_path):
    paths = sorted(folder.rglob("*.jpg"))
    table = {
        "name": [str(path.relative_to(folder)) for path in paths],
        "photo": [path.read_bytes() for path in paths],
    }
    parquet.write_table(pa.table(table), tmp_path / "photos.parquet", row_group_size=50)
    columns = ("--id-column", "name", "--image-column", "photo")
    out = tmp_path / "out"
    shown = run(tmp_path / "photos.parquet", "--out", out, "--url", best.urls[1], *columns)
    assert shown.exit_code == 0, shown.output
    assert_same(out, whole)


def test_a_path_that_is_not_text_is_a_failure_like_others(best, tmp_path):
    (tmp_path / "list.txt").write_bytes(b"caf\xe9.jpg\nmemory://none.jpg\n" + bytes(PHOTO))
    shown = run(tmp_path / "list.txt", "--out", tmp_path / "out", "--url", best.urls[0])
    assert shown.exit_code == 0, shown.output
    failed = {row["id"]: row for row in rows(tmp_path / "out", "failures")}
    assert {name: row["code"] for name, row in failed.items()} == {
        r"caf\xe9.jpg": "invalid_image",
        "memory://none.jpg": "unreadable",
    }
    assert "No such file" in failed[r"caf\xe9.jpg"]["reason"]
    assert [row["id"] for row in rows(tmp_path / "out")] == [str(PHOTO)]


def test_models_are_not_mixed(folder, simulated, real, whole):
    shown = run(folder, "--out", whole, "--url", simulated.urls[0])
    assert shown.exit_code == 1
    assert f"begun with detector {real.prepared.ids['face_detection']}" in shown.output
    both = run(folder, "--out", whole, "--url", simulated.urls[0], "--url", real.urls[0])
    assert both.exit_code == 1
    assert "the servers differ" in both.output


def test_options_are_not_mixed_and_are_checked_before_the_first_photo(
    folder, best, whole, tmp_path
):
    other = run(folder, "--out", whole, "--url", best.urls[0], "--max-faces", "1")
    assert other.exit_code == 1
    assert 'options {}, this run has {"max_faces": 1}' in other.output
    wrong = run(folder, "--out", tmp_path / "out", "--url", best.urls[0], "--detection-size", "33")
    assert wrong.exit_code == 2
    assert "detection_size" in wrong.output
    assert not (tmp_path / "out").exists()


def test_status_counts_what_is_done(whole):
    shown = CliRunner().invoke(app, ["bulk", "status", str(whole)])
    assert shown.exit_code == 0
    assert f"photos:   {COUNT + 1}" in shown.output
    assert "failures: invalid_image: 1" in shown.output
