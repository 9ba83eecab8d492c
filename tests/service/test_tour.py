"""docs/tutorials/tour.md runs as it stands, and prints what it says it prints."""

import re

import pytest
import tour

NUMBER = re.compile(r"-?\d+\.\d+")


def test_the_tour_prints_what_the_docs_show(real, tmp_path):
    printed = tour.run(real, tmp_path)
    shown = [step.shown for step in tour.steps()]
    assert len(printed) == len(shown) > 8
    for text, expected in zip(printed, shown, strict=True):
        if expected is None:
            continue
        assert NUMBER.sub("N", text) == NUMBER.sub("N", expected)
        # Another CPU rounds otherwise, and what follows from it may move a little.
        numbers = [[float(n) for n in NUMBER.findall(item)] for item in (text, expected)]
        assert numbers[0] == pytest.approx(numbers[1], abs=0.03)
    for picture in tour.PICTURES.glob("*.jpg"):
        assert (tmp_path / picture.name).is_file()
        assert f"(tour/{picture.name})" in tour.TOUR.read_text(encoding="utf-8")
