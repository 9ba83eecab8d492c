"""A crowd on the page: labels and dots that leave the faces visible, and a verdict that stays."""

import pytest
from browser import DESK, PHONE, SLOW, upload, wait_for_status
from crowd import crowd
from playwright.sync_api import expect

# Rectangles on screen; the text's is that of its letters, without their outline.
RECTANGLES = """selector => [...document.querySelectorAll(selector)].map(e => {
  const { x, y, width, height } = e.getBoundingClientRect();
  return { x, y, width, height };
})"""


def overlap(one, other, tolerance=2):
    return all(
        one[start] + tolerance < other[start] + other[length]
        and other[start] + tolerance < one[start] + one[length]
        for start, length in (("x", "width"), ("y", "height"))
    )


@pytest.mark.parametrize("size", [DESK, PHONE], ids=["desk", "phone"])
@pytest.mark.parametrize(("columns", "rows", "side"), [(8, 5, 160), (16, 10, 80)])
def test_labels_cover_no_other_face_and_no_other_label(open_page, real, size, columns, rows, side):
    page = open_page(viewport=size)
    upload(page, crowd(columns, rows, side), "crowd.png")
    wait_for_status(page, f"{columns * rows} faces in")
    boxes = page.evaluate(RECTANGLES, "#analyze .overlay .target")
    texts = page.evaluate(RECTANGLES, "#analyze .overlay text")
    assert len(boxes) == columns * rows
    assert texts
    for i, text in enumerate(texts):
        # A label may lie in the corner of its own box, but not on any other.
        assert sum(overlap(text, box) for box in boxes) <= 1
        assert not any(overlap(text, other) for other in texts[:i])


def test_a_hidden_label_appears_for_the_face_in_question(open_page, real):
    page = open_page(viewport=PHONE)
    upload(page, crowd(20, 12, 64), "crowd.png")
    wait_for_status(page, "faces in")
    texts = page.locator("#analyze .overlay text")
    shown = texts.count()
    assert shown < page.locator("#analyze .faces li").count()  # no room for all
    page.locator("#analyze .overlay .target").last.hover()
    expect(texts.first).to_contain_text("quality")


def test_marks_shrink_with_the_faces(open_page, real):
    page = open_page()
    seen = []
    for columns, rows, side in ((1, 1, 600), (8, 5, 160), (20, 12, 64)):
        upload(page, crowd(columns, rows, side), f"crowd-{columns}.png")
        wait_for_status(page, f"in {columns * side} x {rows * side}")
        (width, dot, line) = page.evaluate(
            """() => {
              const of = (selector) => document.querySelector(`#analyze .overlay ${selector}`);
              const scale = document.querySelector("#analyze img").clientWidth
                / of(".target").ownerSVGElement.viewBox.baseVal.width;
              const width = of(".target").getBoundingClientRect().width;
              return [width, 2 * scale * of(".landmark").getAttribute("r"),
                scale * of(".box").getAttribute("stroke-width")];
            }"""
        )
        assert dot < width / 10
        assert line < width / 10
        seen.append(dot)
    assert seen == sorted(seen, reverse=True)
    assert seen[0] > seen[-1]


@pytest.mark.parametrize("size", [DESK, PHONE], ids=["desk", "phone"])
def test_the_verdict_stays_in_view_while_a_face_is_chosen(open_page, real, astronaut, size):
    page = open_page("compare", viewport=size)
    upload(page, astronaut, where="#compare", side=0)
    upload(page, crowd(8, 5, 160), "crowd.png", "#compare", 1)
    expect(page.locator("#compare .crops canvas")).to_have_count(2, timeout=SLOW)
    second = page.locator("#compare .side").nth(1)
    decisions = set()
    for index in (39, 0):
        second.locator(".target").nth(index).click()
        card = second.locator(".faces button").nth(index)
        expect(card).to_have_attribute("aria-pressed", "true")
        decision = page.locator("#compare .decision")
        expect(decision).to_be_in_viewport(ratio=1)
        expect(second.locator(".stage")).to_be_in_viewport()  # the page did not jump to the list
        decisions.add(decision.text_content())
    assert decisions == {"Same person", "Not the same person"}
    page.mouse.wheel(0, 5000)
    expect(decision).to_be_in_viewport(ratio=1)
