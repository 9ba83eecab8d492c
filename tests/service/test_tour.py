"""The tutorials run as pasted, print the shown output and write their pictures."""

import re

import doc_blocks
import pytest
import tour

TIME = re.compile(r"\d{4}-\d\d-\d\dT[\d:.]+(?:\+00:00|Z)?")
NUMBER = re.compile(r"-?\d+\.\d+")


@pytest.mark.parametrize("tutorial", [tour.TOUR, tour.MEMBERS], ids=lambda tutorial: tutorial.name)
def test_a_tutorial_prints_what_the_docs_show(real, tutorial):
    with tutorial.scratch() as folder:
        printed = tutorial.run(real)
        written = {picture.name for picture in folder.glob("*.jpg")}
    shown = [block.shown for block in doc_blocks.blocks(tutorial.page)]
    assert len(printed) == len(shown) > 8
    for pair in zip(printed, shown, strict=True):
        if pair[1] is None:
            continue
        text, expected = (TIME.sub("T", item) for item in pair)
        assert NUMBER.sub("N", text) == NUMBER.sub("N", expected)
        # Another CPU rounds differently: with VNNI, our kernels multiply 16-bit integers.
        numbers = [[float(n) for n in NUMBER.findall(item)] for item in (text, expected)]
        assert numbers[0] == pytest.approx(numbers[1], abs=0.1)
    assert written == {picture.name for picture in tutorial.pictures.glob("*.jpg")}
    for name in written:
        assert f"({tutorial.name}/{name})" in tutorial.file.read_text(encoding="utf-8")
