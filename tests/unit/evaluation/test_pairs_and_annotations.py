"""Pairs files and annotations: reading them, and errors that name the line."""

import json

import numpy as np
import pytest

from aurum.evaluation import ValidationError, annotations, lfw

PAIRS = "2\t1\nAnn\t1\t2\nAnn\t1\tBob\t3\nBob\t3\t4\nBob\t10\tCid\t1\n"


def written(folder, name, text):
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


def test_pairs_of_two_sets_are_read(tmp_path):
    assert lfw.read_pairs(written(tmp_path, "pairs.txt", PAIRS)) == [
        (0, True, "Ann/Ann_0001.jpg", "Ann/Ann_0002.jpg"),
        (0, False, "Ann/Ann_0001.jpg", "Bob/Bob_0003.jpg"),
        (1, True, "Bob/Bob_0003.jpg", "Bob/Bob_0004.jpg"),
        (1, False, "Bob/Bob_0010.jpg", "Cid/Cid_0001.jpg"),
    ]


def test_a_development_file_is_one_set(tmp_path):
    text = "1\nAnn\t1\t2\nAnn\t1\tBob\t3\n"
    assert [pair.fold for pair in lfw.read_pairs(written(tmp_path, "p.txt", text))] == [0, 0]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "first line"),
        ("Ann\t1\t2\n", "first line"),
        ("1\t1\nAnn\t1\t2\n", "1 pairs, but the header says 1 sets of 1 and 1"),
        ("1\t1\nAnn\t1\t2\nAnn\t1\t2\n", "line 3: expected `name1 n1 name2 n2`"),
        ("1\t1\nAnn\t1\tBob\t3\nAnn\t1\tBob\t3\n", "line 2: expected `name n1 n2`"),
        ("1\t1\nAnn\tx\t2\nAnn\t1\tBob\t3\n", "line 2"),
    ],
)
def test_bad_pairs_are_refused(tmp_path, text, said):
    with pytest.raises(ValidationError, match=said):
        lfw.read_pairs(written(tmp_path, "pairs.txt", text))


def test_images_and_people_are_listed(tmp_path):
    for name in ("Bob/Bob_0001.jpg", "Ann/Ann_0001.jpg", "Ann/notes.txt"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    assert lfw.images(tmp_path) == ["Ann/Ann_0001.jpg", "Bob/Bob_0001.jpg"]
    assert lfw.person("Ann/Ann_0001.jpg") == "Ann"
    with pytest.raises(ValidationError, match="no photos"):
        lfw.images(tmp_path / "Ann")


def test_csv_is_read(tmp_path):
    points = ",".join(f"x{i},y{i}" for i in range(1, 6))
    text = (
        f"file,x,y,width,height,{points},ignore\n"
        "a.jpg,1,2,3,4,10,11,12,13,14,15,16,17,18,19,\n"
        "a.jpg,5,6,7,8,,,,,,,,,,,1\n"
        "b.jpg,,,,,,,,,,,,,,,\n"
    )
    found = annotations.read(written(tmp_path, "faces.csv", text))
    assert found["a.jpg"].boxes.tolist() == [[1, 2, 3, 4], [5, 6, 7, 8]]
    assert found["a.jpg"].landmarks[0].tolist() == [
        [10, 11],
        [12, 13],
        [14, 15],
        [16, 17],
        [18, 19],
    ]
    assert np.isnan(found["a.jpg"].landmarks[1]).all()
    assert found["a.jpg"].ignore.tolist() == [False, True]
    assert found["b.jpg"].boxes.shape == (0, 4)
    assert found["b.jpg"].landmarks.shape == (0, 5, 2)


def test_json_lines_are_read_as_they_are_written(tmp_path):
    points = np.arange(10.0).reshape(5, 2)
    marked = {
        "a.jpg": annotations.Marked.of([([1, 2, 3, 4], points, False), ([5, 6, 7, 8], None, True)]),
        "b.jpg": annotations.Marked.of([]),
    }
    annotations.write(tmp_path / "faces.jsonl", marked)
    found = annotations.read(tmp_path / "faces.jsonl")
    assert found.keys() == marked.keys()
    for name, faces in marked.items():
        for got, want in zip(found[name], faces, strict=True):
            np.testing.assert_array_equal(got, want)


def test_wider_face_is_read(tmp_path):
    text = (
        "0--Parade/a.jpg\n2\n449 330 122 149 0 0 0 0 0 0\n10 20 30 40 2 0 0 1 2 0\n"
        "0--Parade/none.jpg\n0\n0 0 0 0 0 0 0 0 0 0\n"
        "1--Handshaking/b.jpg\n1\n1 2 0 4 0 0 0 0 0 0\n"
    )
    found = annotations.read(written(tmp_path, "wider_face_val_bbx_gt.txt", text))
    assert found["0--Parade/a.jpg"].boxes.tolist() == [[449, 330, 122, 149], [10, 20, 30, 40]]
    assert found["0--Parade/a.jpg"].ignore.tolist() == [False, True]  # the second is "invalid"
    assert len(found["0--Parade/none.jpg"].boxes) == 0
    assert found["1--Handshaking/b.jpg"].ignore.tolist() == [True]  # no width


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("a.csv", "file,x,y\na.jpg,1,2\n", "line 2"),
        ("a.csv", "file,x,y,width,height\na.jpg,1,2,three,4\n", "line 2"),
        ("a.jsonl", json.dumps({"file": "a.jpg"}) + "\n", "line 1"),
        ("a.jsonl", "{\n", "line 1"),
        ("a.txt", "a.jpg\n2\n1 2 3 4 0 0 0 0 0 0\n", "a.jpg has fewer than 2 lines"),
        ("a.txt", "a.jpg\nmany\n", "near line 1"),
        ("a.xml", "", r"\.csv, \.jsonl, \.txt"),
    ],
)
def test_bad_annotations_are_refused(tmp_path, name, text, said):
    with pytest.raises(ValidationError, match=said):
        annotations.read(written(tmp_path, name, text))
