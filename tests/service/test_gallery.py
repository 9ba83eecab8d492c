"""The gallery: its command writes the page in the docs, and its judge recognizes wrong answers."""

import re

import numpy as np
import pytest
from aurum_client import FaceClient

from aurum.paths import CHECKOUT
from benchmarks.gallery.command import main
from benchmarks.gallery.judge import Judge
from benchmarks.gallery.scenes import COLLINS, HOPPER, STRANGER, Picture

ROW = re.compile(r"^\| !\[.*?\]\((gallery/.*?)\) \| (.*?) \| (.*?) \| (.*?) \|$", re.MULTILINE)


@pytest.fixture
def client(real):
    with FaceClient(real.urls[0], timeout=60) as client:
        yield client


def test_the_command_writes_the_page_in_the_docs(real, tmp_path):
    main(["--url", real.urls[0], "--out", str(tmp_path)])
    made = ROW.findall((tmp_path / "gallery.md").read_text(encoding="utf-8"))
    shown = ROW.findall((CHECKOUT / "docs" / "reports" / "gallery.md").read_text(encoding="utf-8"))
    assert [row[:2] for row in made] == [row[:2] for row in shown]
    for path, *_ in shown:
        assert (tmp_path / path).is_file()
        assert (CHECKOUT / "docs" / "reports" / path).is_file()
    # Values at a threshold may fall on its other side on another CPU.
    changed = [row[1] for row, old in zip(made, shown, strict=True) if row[3] != old[3]]
    assert len(changed) <= 3, changed


def test_a_gallery_of_other_photos_goes_to_the_given_folder(
    real, client, tmp_path, astronaut, capsys
):
    photos = tmp_path / "photos"
    photos.mkdir()
    (photos / "a.jpg").write_bytes(astronaut)
    (photos / "b.JPG").write_bytes(astronaut)
    (photos / "c.png").write_bytes(b"damaged")
    (photos / "d.txt").write_text("no photo")
    counts = tmp_path / "counts.csv"
    counts.write_text("file,faces\na.jpg,1\nb.JPG,2\n")
    with pytest.raises(SystemExit):
        main(["--photos", str(photos)])
    assert "--photos needs --out" in capsys.readouterr().err
    out = tmp_path / "out"
    arguments = ["--photos", str(photos), "--counts", str(counts), "--out", str(out)]
    main(["--url", real.urls[0], *arguments])
    text = (out / "gallery.md").read_text(encoding="utf-8")
    said = client.analyze(astronaut).quality[0]
    assert [row[1:] for row in ROW.findall(text)] == [
        ("a.jpg", f"1 face, quality {said:.2f}", "right"),
        ("b.JPG", f"1 face, quality {said:.2f}", "**wrong**: there are 2"),
    ]
    assert re.search(r"\|  \| c.png \| .*not an image.* \|  \|", text)
    assert "d.txt" not in text
    assert "**1 of 2 are right, 1 are wrong.**" in text


def test_the_judge_recognizes_wrong_answers(client, astronaut):
    judge = Judge(client)
    answer = judge.analyze(astronaut)
    box = answer.boxes.astype(float)

    def wrong(people, boxes):
        return judge.judge(Picture("", "", astronaut, people, boxes), answer).wrong

    elsewhere = np.concatenate([box, box + np.array([200, 200, 0, 0])])
    assert wrong((COLLINS,), box) == wrong((COLLINS,), None) == ""
    assert wrong((HOPPER,), box) == f"1 x {HOPPER} taken for {COLLINS}"
    assert wrong((STRANGER,), None) == f"1 x {STRANGER} taken for {COLLINS}"
    assert wrong((COLLINS, HOPPER), elsewhere) == "1 of 2 missed"
    assert wrong((), box[:0]) == "1 found where no face is"
    assert wrong((COLLINS,), elsewhere[1:]) == "1 of 1 missed; 1 found where no face is"
    assert wrong((COLLINS, HOPPER), None) == "1 of 2 missed"
    judge.threshold = 1.1  # too high for anybody to be recognized
    assert wrong((COLLINS,), box) == f"1 x {COLLINS} taken for nobody known"
