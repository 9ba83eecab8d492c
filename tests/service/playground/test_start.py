"""The page as it first looks: examples that work at once, and what the numbers mean."""

import pytest
from aurum_client import QualityParts
from browser import DESK, PHONE, SLOW, wait_for_status
from playwright.sync_api import expect

from aurum.paths import PHOTO

EXAMPLES = {"Eileen Collins": "astronaut.jpg", "Grace Hopper": "hopper.jpg"}


@pytest.mark.parametrize("person", EXAMPLES)
@pytest.mark.parametrize("size", [DESK, PHONE], ids=["desk", "phone"])
def test_an_example_is_analyzed_with_one_click(open_page, client, person, size):
    page = open_page(viewport=size)
    button = page.locator("#analyze").get_by_role("button", name=person)
    expect(button).to_be_in_viewport()
    expect(button).to_contain_text("public domain")
    loaded = "image => image.complete && image.naturalWidth > 0"
    assert button.locator("img").evaluate(loaded)
    button.click()
    answer = client.analyze(PHOTO.with_name(EXAMPLES[person]))
    width, height = answer.image_size
    wait_for_status(page, f"1 face in {width} x {height} pixels.")
    expect(page.locator("#analyze .faces li")).to_contain_text(f"score {answer.scores[0]:.3f}")


def test_the_examples_are_compared_with_one_click(open_page, client):
    page = open_page("compare")
    page.get_by_role("button", name="Compare the examples").click()
    expect(page.locator("#compare .crops canvas")).to_have_count(2, timeout=SLOW)
    ours = client.compare(*(PHOTO.with_name(name) for name in EXAMPLES.values()))
    shown = page.locator("#compare .verdict dd").first.text_content()
    assert float(shown) == pytest.approx(ours.similarity, abs=1e-4)


def test_the_start_page_says_what_each_number_means(open_page):
    page = open_page()
    meanings = page.locator("#analyze .meanings")
    rows = dict(
        meanings.locator("dt").evaluate_all(
            "all => all.map(dt => [dt.textContent, dt.nextElementSibling.textContent])"
        )
    )
    parts = [name.replace("_", " ") for name in QualityParts._fields]
    assert list(rows)[-len(parts) :] == parts
    assert {"score", "quality", "recognizable", "turned", "liveness"} <= set(rows)
    assert all(len(meaning) > 10 for meaning in rows.values())
    expect(meanings.get_by_text("how sure the detector is")).to_be_visible()
    page.locator("#analyze").get_by_role("button", name="Eileen Collins").click()
    wait_for_status(page, "1 face in")
    expect(meanings.get_by_text("how sure the detector is")).to_be_hidden()
    meanings.locator("summary").click()
    expect(meanings.get_by_text("how sure the detector is")).to_be_visible()
