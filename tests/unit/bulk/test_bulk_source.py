"""Where photos come from: folders, lists, tables, and what none of them is."""

import os

import fsspec
import pyarrow as pa
import pytest
from pyarrow import feather, parquet

from aurum.bulk import UsageError
from aurum.bulk.photo import fetch
from aurum.bulk.rows import Rows
from aurum.bulk.source import Folder, Listed, open_source

NOT_TEXT = os.fsdecode(b"caf\xe9.jpg")


def table(path, **columns):
    parquet.write_table(pa.table(columns), path)
    return str(path)


def listed(source):
    photos = list(source.photos())
    assert len(photos) == source.count()
    return photos


def test_a_folder_gives_its_photos_by_their_relative_paths(tmp_path):
    for name in ("b.jpg", "a/c.PNG", ".hidden.jpg", ".thumbs/d.jpg", "notes.txt", NOT_TEXT):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    photos = listed(open_source(str(tmp_path), None, None))
    assert [photo.id for photo in photos] == ["a/c.PNG", "b.jpg", r"caf\xe9.jpg"]
    assert [photo.image for photo in photos] == [
        tmp_path / name for name in ("a/c.PNG", "b.jpg", NOT_TEXT)
    ]


def test_a_folder_that_links_to_itself_ends(tmp_path):
    (tmp_path / "photo.jpg").touch()
    (tmp_path / "again").symlink_to(tmp_path)
    assert len(listed(Folder(tmp_path))) == 1


def test_a_list_gives_its_lines_from_its_folder(tmp_path):
    lines = [b"a.jpg", b"", b"/else/b.jpg\r", b"caf\xe9.jpg", b"s3://bucket/c.jpg"]
    (tmp_path / "list.txt").write_bytes(b"\n".join(lines))
    photos = listed(open_source(str(tmp_path / "list.txt"), None, None))
    assert isinstance(open_source(str(tmp_path / "list.txt"), None, None), Listed)
    assert [photo.id for photo in photos] == [
        *("a.jpg", "/else/b.jpg", r"caf\xe9.jpg", "s3://bucket/c.jpg")
    ]
    assert os.fspath(photos[0].image) == str(tmp_path / "a.jpg")
    assert os.fspath(photos[1].image) == "/else/b.jpg"
    assert os.fspath(photos[2].image) == str(tmp_path / NOT_TEXT)
    assert photos[3].image == "s3://bucket/c.jpg"


def test_a_table_may_have_bytes_paths_or_both(tmp_path):
    for name, images in {
        "bytes": pa.array([b"1", b"2", None]),
        "paths": pa.array(["x.jpg", "/y.jpg", "memory://z.jpg"]),
        "hugging": pa.array([{"bytes": b"1", "path": "x"}, {"bytes": None, "path": "y.jpg"}, None]),
    }.items():
        source = open_source(
            table(tmp_path / f"{name}.parquet", id=[7, 8, 9], image=images), None, None
        )
        assert [photo.id for photo in listed(source)] == ["7", "8", "9"]
        found = [photo.image for photo in source.photos()]
        assert (
            found
            == {
                "bytes": [b"1", b"2", b""],
                "paths": [tmp_path / "x.jpg", tmp_path.parent / "/y.jpg", "memory://z.jpg"],
                "hugging": [b"1", tmp_path / "y.jpg", b""],
            }[name]
        )


def test_a_folder_of_tables_and_arrow_files_work_too(tmp_path):
    (tmp_path / "deep").mkdir()
    table(tmp_path / "a.parquet", name=["a"], photo=[b"1"])
    table(tmp_path / "deep" / "b.parquet", name=["b", None], photo=[b"2", b"3"])
    source = open_source(str(tmp_path), "name", "photo")
    assert [photo.id if photo else None for photo in listed(source)] == ["a", "b", None]
    feather.write_feather(pa.table({"id": ["a"], "image": [b"1"]}), str(tmp_path / "c.arrow"))
    assert [photo.id for photo in listed(open_source(str(tmp_path / "c.arrow"), None, None))] == [
        "a"
    ]


def test_tables_and_photos_can_be_in_an_object_store():
    store = fsspec.filesystem("memory")
    with store.open("/bucket/photos.parquet", "wb") as file:
        parquet.write_table(pa.table({"id": ["a"], "image": ["memory://bucket/a.jpg"]}), file)
    store.pipe("/bucket/a.jpg", b"photo")
    [photo] = listed(open_source("memory://bucket/photos.parquet", None, None))
    assert fetch(photo.image) == b"photo"


def test_few_rows_of_a_table_are_in_memory(tmp_path):
    """The row group has 200 MB; the scan keeps some photos of it."""
    rows = 200
    parquet.write_table(
        pa.table({"id": list(range(rows)), "image": [os.urandom(1_000_000) for _ in range(rows)]}),
        tmp_path / "photos.parquet",
        row_group_size=rows,
        write_batch_size=8,  # else all photos are in one page, which can only be read whole
    )
    before, most = pa.total_allocated_bytes(), 0
    for _ in Rows(str(tmp_path / "photos.parquet"), None, None).photos():
        most = max(most, pa.total_allocated_bytes() - before)
    assert most < 100_000_000


@pytest.mark.parametrize(
    ("name", "columns", "message"),
    [
        ("missing", (None, None), "there is no missing"),
        ("photo.jpg", (None, None), "photo.jpg is a photo: give a folder"),
        ("list.bin", (None, None), "is no list of paths: it is not text"),
        ("bad.parquet", (None, None), "bad.parquet: "),
        ("good.parquet", ("name", None), "no column 'name' (--id-column); it has: id, "),
        ("good.parquet", ("score", None), "--id-column score: is double, not text or "),
        ("good.parquet", (None, "score"), "--image-column score: is double, not bytes or paths"),
        ("empty", ("id", None), "has neither Parquet nor Arrow files"),
        ("nostore://x", (None, None), "nostore"),
        ("s3://bucket/x.parquet", (None, None), "s3fs"),
    ],
)  # fmt: skip
def test_what_is_no_source_is_named(tmp_path, monkeypatch, name, columns, message):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "photo.jpg").touch()
    (tmp_path / "empty").mkdir()
    (tmp_path / "list.bin").write_bytes(b"\0\1\2")
    (tmp_path / "bad.parquet").write_bytes(b"no table")
    table(tmp_path / "good.parquet", id=["a"], image=[b"1"], score=[0.5])
    with pytest.raises(UsageError) as caught:
        open_source(name, *columns).count()
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)
