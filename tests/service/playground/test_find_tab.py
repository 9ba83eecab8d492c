"""The tab Find: who of the enrolled members is on a photo."""

import re

import cv2
import members_table
import numpy as np
import pytest
from aurum_client import FaceClient
from axe_playwright_python.sync_playwright import Axe
from browser import DESK, PHONE, SLOW, serve, upload, wait_for_error, wait_for_status
from playwright.sync_api import expect

from aurum import members
from aurum.paths import PHOTO

HOPPER = PHOTO.with_name("hopper.jpg")
ODD = "<img src=x onerror=alert(1)> & <b>ann</b>"
NONE = "\N{EN DASH}"


@pytest.fixture(scope="module")
def table(best, tmp_path_factory):
    """The folder of a table with two members, one of whom has an odd id."""
    db = members_table.build(best, tmp_path_factory.mktemp("members"), {ODD: PHOTO})
    with FaceClient(best.urls[0], timeout=60) as client:
        members.open(db).add("bob", client.embed(HOPPER), photo="1 & <b>2</b>.jpg")
    return db


@pytest.fixture(scope="module")
def found(best, table):
    """The address of a playground that searches the table."""
    with serve(best, faces_db=str(table)) as playground:
        yield playground.url


@pytest.fixture
def open_find(open_page, found):
    return lambda **options: open_page("find", url=found, **options)


def decision(page):
    return page.locator("#find .verdict .decision")


def rows(page):
    """The rows of the table as lists of texts, once there are some."""
    body = page.locator("#find .members tbody tr")
    expect(body.first).to_be_visible(timeout=SLOW)
    return [row.locator("th, td").all_text_contents() for row in body.all()]


def search(page, photo):
    upload(page, photo, where="#find")
    expect(decision(page)).to_be_visible(timeout=SLOW)


def test_a_member_is_found_with_what_python_finds(open_find, real, client, table, astronaut):
    page = open_find()
    expect(page.get_by_role("tab")).to_have_text(["Analyze", "Compare", "Find", "Live"])
    expect(page.locator("#find")).to_contain_text("Searches 2 enrolled faces", timeout=SLOW)
    search(page, astronaut)
    expect(decision(page)).to_have_text(f"Match: {ODD}")
    ours = members.open(table).search(client.embed(astronaut))
    shown = rows(page)
    assert [one.member for one in ours.candidates] == [ODD, "bob"]
    assert [row[0] for row in shown] == [ODD, "bob1 & <b>2</b>.jpg"]
    assert [float(row[1]) for row in shown] == pytest.approx(
        [one.similarity for one in ours.candidates], abs=1e-4
    )
    assert [row[2] for row in shown] == [
        "more than 99.99 %",
        f"{100 * ours.candidates[1].probability:.2f} %",
    ]
    assert [row[3] for row in shown] == ["match", "no match"]
    facts = page.locator("#find .verdict dl")
    expect(facts).to_contain_text("threshold at one false accept in 10,000 comparisons")
    expect(facts.locator("dd")).to_have_text([f"{ours.threshold:.4f}", "2", "0.0002"])
    expect(page.locator("#find .crops canvas")).to_have_count(1)


def test_ids_and_photos_are_text(open_find, astronaut):
    page = open_find()
    search(page, astronaut)
    assert {row[0] for row in rows(page)} == {ODD, "bob1 & <b>2</b>.jpg"}
    assert page.locator("#find .members img, #find b").count() == 0


def test_a_stranger_matches_nobody(open_page, real, tmp_path, astronaut):
    db = members_table.build(real, tmp_path, {"bob": HOPPER})
    with serve(real, faces_db=str(db)) as playground:
        page = open_page("find", url=playground.url)
        search(page, astronaut)
        expect(decision(page)).to_have_text("No match")
        assert [(row[0], row[3]) for row in rows(page)] == [("bob", "no match")]


def test_the_largest_face_is_searched_until_another_is_chosen(open_find, real, client, couple):
    one, other = client.analyze(couple).embeddings @ client.embed(PHOTO).vector
    page = open_find()
    search(page, couple)
    wait_for_status(page, "2 faces in 800 x 400 pixels; choose one.", "#find")
    astronaut, hopper = ODD, "bob"
    first, second = (astronaut, hopper) if one > other else (hopper, astronaut)
    expect(decision(page)).to_have_text(f"Match: {first}")
    page.locator("#find").get_by_role("button", name="Face 2").click()
    expect(decision(page)).to_have_text(f"Match: {second}", timeout=SLOW)
    page.locator("#find .target").first.click()
    expect(decision(page)).to_have_text(f"Match: {first}", timeout=SLOW)


def test_a_photo_without_a_face_is_not_searched(open_find, astronaut):
    page = open_find()
    search(page, astronaut)
    blank = cv2.imencode(".png", np.full((90, 120), 99, np.uint8))[1].tobytes()
    upload(page, blank, where="#find")
    wait_for_status(page, "No face found", "#find .side")
    expect(page.locator("#find .verdict")).to_have_text("Choose a photo, and a face in it.")
    expect(page.locator("#find .members")).to_be_hidden()


def test_a_face_that_is_not_recognizable_is_ranked_without_a_decision(open_find, real, blurred):
    page = open_find()
    search(page, blurred)
    expect(decision(page)).to_have_text("No decision")
    expect(page.locator("#find .verdict")).to_contain_text(
        "The face is not recognizable: sharpness."
    )
    assert [row[2:] for row in rows(page)] == [[NONE, NONE]] * 2


def test_the_rate_and_the_number_of_members_are_chosen(open_find, real, client, table, astronaut):
    page = open_find(expected=["400"])
    search(page, astronaut)
    rate, verdict = page.locator("#find [name=rate]"), page.locator("#find .verdict")
    assert rate.input_value() == "far 1e-4"
    for value, options in (
        ("far 1e-2", {"far": 1e-2}),
        ("far 1e-6", {"far": 1e-6}),
        ("false_matches 0.1", {"false_matches": 0.1}),
    ):
        rate.select_option(value)
        ours = members.open(table).search(client.embed(astronaut), **options)
        expect(verdict.locator("dd").first).to_have_text(f"{ours.threshold:.4f}", timeout=SLOW)
        extrapolated = verdict.get_by_text("The threshold is extrapolated from the rates")
        expect(extrapolated).to_have_count(0 if ours.note is None else 1)
    page.get_by_label("list at most").fill("1")
    page.get_by_label("list at most").blur()
    expect(page.locator("#find .members tbody tr")).to_have_count(1, timeout=SLOW)
    page.get_by_label("list at most").fill("1001")
    page.get_by_label("list at most").blur()
    wait_for_error(
        page, "An option of the request was refused: top=1001: must be 1 to 1000", "#find"
    )
    page.get_by_label("list at most").fill("2")
    page.get_by_label("list at most").blur()
    expect(page.locator("#find .members tbody tr")).to_have_count(2, timeout=SLOW)
    expect(page.locator("#find [role=alert]").first).to_be_hidden()


def test_the_table_of_another_embedder_is_refused(
    open_page, real, simulated, client, tmp_path, astronaut
):
    db = members_table.build(simulated, tmp_path, {"ann": PHOTO})
    with serve(real, faces_db=str(db)) as playground:
        page = open_page("find", url=playground.url, expected=["409"])
        upload(page, astronaut, where="#find")
        embedder = client.embed(astronaut).models.embedder
        wait_for_error(
            page, f"The query was embedded by {embedder}, but the table's faces", "#find"
        )
        wait_for_error(page, "build a new table", "#find")
        expect(page.locator("#find .members")).to_be_hidden()


def test_without_a_table_the_tab_says_so_until_there_is_one(open_page, best, tmp_path, astronaut):
    with serve(best, faces_db=str(tmp_path / "db")) as playground:
        page = open_page("find", url=playground.url, expected=["503"])
        wait_for_error(page, "db: there are no members; `aurum faces build` makes them", "#find")
        upload(page, astronaut, where="#find")
        expect(page.locator("#find .verdict")).to_have_text("No answer.", timeout=SLOW)
        members_table.build(best, tmp_path, {"ann": PHOTO})
        page.get_by_role("tab", name="Analyze").click()
        page.get_by_role("tab", name="Find").click()
        expect(page.locator("#find")).to_contain_text("1 enrolled face", timeout=SLOW)
        expect(decision(page)).to_be_visible(timeout=SLOW)
        expect(page.locator("#find [role=alert]").first).to_be_hidden()


def test_an_uncalibrated_embedder_ranks_without_a_decision(
    open_page, simulated, tmp_path, astronaut
):
    db = members_table.build(simulated, tmp_path, {"ann": PHOTO})
    with serve(simulated, faces_db=str(db)) as playground:
        page = open_page("find", url=playground.url)
        search(page, astronaut)
        expect(decision(page)).to_have_text("No decision")
        expect(page.locator("#find .verdict")).to_contain_text("was not calibrated")
        assert [row[1:] for row in rows(page)] == [["1.0000", NONE, NONE]]


def test_without_the_setting_there_is_no_tab(open_page, address):
    page = open_page("find")
    expect(page.get_by_role("tab")).to_have_text(["Analyze", "Compare", "Live"])
    expect(page.get_by_role("tab", name="Analyze")).to_have_attribute("aria-selected", "true")
    expect(page.locator("#find")).to_be_hidden()


@pytest.mark.parametrize("size", [DESK, PHONE], ids=["desk", "phone"])
def test_axe_finds_no_violation_and_nothing_is_wider_than_the_window(open_find, astronaut, size):
    page = open_find(viewport=size, bypass_csp=True)
    expect(page.locator("#find")).to_contain_text("enrolled faces", timeout=SLOW)
    found = Axe().run(page).response["violations"]
    search(page, astronaut)
    found += Axe().run(page).response["violations"]
    assert [(one["id"], [node["html"] for node in one["nodes"]]) for one in found] == []
    assert page.evaluate("document.documentElement.scrollWidth") <= size["width"]


def test_the_tab_works_by_keyboard_alone(open_find, astronaut):
    page = open_find()
    file = {"buffer": astronaut, "name": "a.jpg", "mimeType": "image/jpeg"}
    page.on("filechooser", lambda chooser: chooser.set_files(file))
    page.get_by_role("tab", name="Compare").focus()
    page.keyboard.press("ArrowRight")
    expect(page.get_by_role("tab", name="Find")).to_be_focused()
    for field in ("select", "input[type=number]", "input[type=file]"):
        page.keyboard.press("Tab")
        expect(page.locator(f"#find {field}").first).to_be_focused()
    page.keyboard.press("Enter")
    expect(decision(page)).to_be_visible(timeout=SLOW)
    assert re.match("Match|No", decision(page).text_content())
