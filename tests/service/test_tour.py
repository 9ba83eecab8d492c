"""docs/tutorials/tour.md runs as pasted, prints the shown output and writes its pictures."""

import re

import doc_blocks
import pytest
import tour

NUMBER = re.compile(r"-?\d+\.\d+")


def test_the_tour_prints_what_the_docs_show(real):
    with tour.scratch() as folder:
        printed = tour.run(real)
        written = {picture.name for picture in folder.glob("*.jpg")}
        assert (folder / "index.npz").is_file()
    shown = [block.shown for block in doc_blocks.blocks(tour.PAGE)]
    assert len(printed) == len(shown) > 8
    for text, expected in zip(printed, shown, strict=True):
        if expected is None:
            continue
        assert NUMBER.sub("N", text) == NUMBER.sub("N", expected)
        # Another CPU rounds differently, and values that follow from it may move a little.
        numbers = [[float(n) for n in NUMBER.findall(item)] for item in (text, expected)]
        assert numbers[0] == pytest.approx(numbers[1], abs=0.03)
    pictures = {picture.name for picture in tour.PICTURES.glob("*.jpg")}
    assert written == pictures
    for name in pictures:
        assert f"(tour/{name})" in tour.TOUR.read_text(encoding="utf-8")
