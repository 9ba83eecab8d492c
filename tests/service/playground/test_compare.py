"""Compare: two photos, a face of each, and what their similarity means."""

import itertools
import re

import cv2
import numpy as np
import pytest
from aurum_client import Box, Calibration, Comparison, Embedding, Face, ModelIds
from browser import SLOW, serve, upload, wait_for_error, wait_for_status
from playwright.sync_api import expect


def similarity(page):
    text = page.locator("#compare .verdict dd").first.text_content()
    assert re.fullmatch(r"-?[01]\.\d{4}", text)
    return float(text)


def compare(page, first, second):
    upload(page, first, where="#compare", side=0)
    wait_for_status(page, "in", "#compare .side:nth-child(1)")
    upload(page, second, where="#compare", side=1)
    wait_for_status(page, "in", "#compare .side:nth-child(2)")
    expect(page.locator("#compare .crops canvas")).to_have_count(2, timeout=SLOW)


def test_the_similarity_is_the_clients(open_page, client, astronaut, other):
    page = open_page("compare")
    expect(page.locator("#compare .verdict")).to_contain_text("Choose two photos")
    compare(page, astronaut, other)
    assert similarity(page) == pytest.approx(client.compare(astronaut, other).similarity, abs=1e-4)
    upload(page, astronaut, where="#compare", side=1)
    expect(page.locator("#compare .verdict dd").first).to_have_text("1.0000", timeout=SLOW)


def test_a_face_can_be_chosen_in_the_list_or_in_the_picture(
    open_page, real, client, astronaut, couple
):
    analysis = client.analyze(couple)
    assert len(analysis) == 2
    alike = analysis.embeddings @ client.embed(astronaut).vector
    page = open_page("compare")
    compare(page, astronaut, couple)
    wait_for_status(page, "2 faces in 800 x 400 pixels; choose one.", "#compare")
    second = page.locator("#compare .side").nth(1)
    assert similarity(page) == pytest.approx(alike[0], abs=1e-4)
    second.get_by_role("button", name="Face 2").click()
    assert similarity(page) == pytest.approx(alike[1], abs=1e-4)
    second.locator(".target").first.click()
    assert similarity(page) == pytest.approx(alike[0], abs=1e-4)
    expect(second.get_by_role("button", name="Face 1")).to_have_attribute("aria-pressed", "true")


@pytest.mark.parametrize(("name", "far"), [("1e-2", 1e-2), ("1e-3", 1e-3), ("1e-4", 1e-4)])
def test_the_decision_and_the_probability_are_the_clients(
    open_page, real, client, astronaut, other, name, far
):
    page = open_page("compare")
    page.locator("[name=far]").select_option(name)
    facts = page.locator("#compare .verdict dd")
    for second, words in ((other, "Not the same person"), (astronaut, "Same person")):
        compare(page, astronaut, second)
        expect(page.locator("#compare .decision")).to_have_text(words, timeout=SLOW)
        result = client.compare(astronaut, second, far=far)
        assert float(facts.nth(1).text_content()) == pytest.approx(result.threshold, abs=1e-4)
    upload(page, other, where="#compare", side=1)
    for prior in (None, 0.001, 0.9):
        page.locator("[name=prior]").fill("" if prior is None else str(prior))
        page.locator("[name=prior]").blur()
        result = client.compare(astronaut, other, far=far, prior=prior)
        shown = f"{100 * result.probability:.2f} %" if result.probability > 1e-4 else "less than"
        expect(facts.nth(2)).to_contain_text(shown, timeout=SLOW)
    page.locator("[name=prior]").fill("1")
    page.locator("[name=prior]").blur()
    expect(page.locator("#compare .verdict")).to_contain_text("must be between 0 and 1")


def test_decisions_are_made_at_a_far_of_one_in_ten_thousand(open_page):
    assert open_page("compare").locator("[name=far]").input_value() == "1e-4"


def test_a_face_that_is_not_recognizable_decides_nothing(
    open_page, real, client, astronaut, blurred
):
    page = open_page("compare")
    compare(page, astronaut, blurred)
    verdict = page.locator("#compare .verdict")
    expect(verdict.locator(".decision")).to_have_text("Not recognizable, so there is no decision")
    sharpness = client.embed(blurred).quality_parts.sharpness
    expect(verdict).to_contain_text(f"The second photo: sharpness {sharpness:.2f}.")
    expect(verdict).not_to_contain_text("The first photo")
    expect(verdict.locator("dt")).to_have_text(
        [re.compile("^similarity"), re.compile("^threshold")]
    )
    upload(page, blurred, where="#compare", side=0)
    expect(verdict).to_contain_text("The first photo: sharpness", timeout=SLOW)


def test_the_page_decides_as_the_client_does(open_page):
    """For all combinations of known and unknown facts about the faces and the embedder."""
    page = open_page("compare")
    known_or_not, decisions = [True, False, None], set()
    known = Calibration.from_row([0.25, 0.5, 0.75, 20, -10, 0.5])
    for a, b, calibration, alike in itertools.product(
        known_or_not, known_or_not, [known, None], [0, 1]
    ):
        vectors = np.eye(512, dtype=np.float32)[[0, 1 - alike]]
        ours = [
            Embedding(
                vector,
                Face(Box(0, 0, 1, 1), np.zeros((5, 2)), 1, vector, recognizable=recognizable),
                (1, 1),
                ModelIds(None, "e@1"),
                calibration,
            )
            for vector, recognizable in zip(vectors, (a, b), strict=True)
        ]
        thresholds = {"1e-4": 0.75}
        sides = [
            {
                "models": {"embedder": "e@1"},
                "face": {"embedding": side.vector.tolist(), "recognizable": side.recognizable},
                "calibration": calibration
                and {"thresholds": thresholds, "slope": 20, "intercept": -10, "prior": 0.5},
            }
            for side in ours
        ]
        theirs = page.evaluate(
            "async sides => (await import('./triton.js')).compare(...sides, '1e-4')", sides
        )
        found = Comparison.between(*ours)
        for name in ("decision", "gated", "threshold", "similarity"):
            assert theirs[name] == getattr(found, name)
        assert theirs["probability"] == (found.probability and pytest.approx(found.probability))
        decisions.add(found.decision)
    assert decisions == {"match", "no match", "not recognizable", "uncalibrated"}


def test_without_a_calibration_there_is_no_decision(open_page, simulated, astronaut):
    with serve(simulated) as playground:
        page = open_page("compare", url=playground.url)
        compare(page, astronaut, astronaut)
        wait_for_status(page, "No decision: this embedder is not calibrated.", "#compare")
        assert similarity(page) == 1


def test_a_side_without_a_face_or_with_a_bad_photo_is_reported(open_page, astronaut):
    page = open_page("compare", expected=["400"])
    compare(page, astronaut, astronaut)
    upload(
        page, cv2.imencode(".png", np.full((90, 120), 99, np.uint8))[1].tobytes(), where="#compare"
    )
    wait_for_status(page, "No face found", "#compare")
    expect(page.locator("#compare .verdict")).to_contain_text("Choose two photos")
    upload(page, b"nothing", where="#compare")
    wait_for_error(page, "[invalid_image]", "#compare")
    expect(page.locator("#compare .verdict")).to_contain_text("Choose two photos")
