"""What Analyze shows of a face's quality, and whether it is recognizable."""

import json
import re

import numpy as np
import pytest
from browser import DESK, PHONE, SLOW, serve, upload, wait_for_status
from playwright.sync_api import expect


def test_quality_and_its_parts_are_listed_and_drawn(open_page, client, astronaut):
    page = open_page()
    upload(page, astronaut)
    wait_for_status(page, "face")
    face = client.analyze(astronaut)[0]
    card = page.locator("#analyze .faces li").first
    expect(card).to_contain_text(f"quality {face.quality:.2f}")
    card.get_by_text("Quality parts", exact=True).click()
    rows = card.locator("tr").all()
    values = [float(re.match(r"-?[\d.]+", row.locator("td").text_content())[0]) for row in rows]
    names = [row.locator("th").text_content().replace(" ", "_") for row in rows]
    assert tuple(names) == face.quality_parts._fields
    assert values == pytest.approx(list(face.quality_parts), abs=0.51)
    page.get_by_label("quality parts").check()
    for size in (DESK, PHONE):
        page.set_viewport_size(size)
        panel = page.locator("#analyze .overlay .panel")
        expect(panel.locator("text")).to_have_count(2 * len(names))
        picture, box = (
            page.locator(f"#analyze .stage {item}").bounding_box() for item in ("img", ".panel")
        )
        for start, length in (("x", "width"), ("y", "height")):
            assert box[start] >= picture[start] - 1
            assert box[start] + box[length] <= picture[start] + picture[length] + 1


def test_a_face_shows_whether_it_is_recognizable_and_why_not(
    open_page, real, client, astronaut, blurred
):
    page = open_page()
    card = page.locator("#analyze .faces li").first
    upload(page, astronaut)
    wait_for_status(page, "1 face in")
    expect(card.get_by_text("recognizable", exact=True)).to_be_visible()
    face = client.analyze(blurred)[0]
    assert face.defect == "sharpness"
    expect(page.locator("#analyze .overlay .unfit")).to_have_count(0)
    upload(page, blurred)
    expect(page.locator("#analyze .overlay .unfit")).to_have_count(1, timeout=SLOW)
    expect(page.locator("#analyze .overlay text")).to_contain_text("not recognizable")
    expect(card).to_contain_text(
        f"not recognizable: sharpness {face.quality_parts.sharpness:.2f}", timeout=SLOW
    )
    expect(page.locator("#analyze").get_by_text("only an order")).to_be_hidden()


def test_a_quality_that_only_orders_faces_says_so(simulated, open_page, astronaut):
    with serve(simulated) as playground:
        page = open_page(url=playground.url)
        upload(page, astronaut)
        wait_for_status(page, "in 512 x 512 pixels")
        expect(page.locator("#analyze").get_by_text("only an order")).to_be_visible()
        expect(page.locator("#analyze .faces li").first).not_to_contain_text("recognizable")


def test_faces_below_the_minimum_quality_are_left_out(open_page, astronaut):
    page = open_page()
    page.get_by_text("Options of the request").click()
    page.locator("[name=min_quality]").fill("1")
    upload(page, astronaut)
    wait_for_status(page, "No face found")


@pytest.mark.parametrize(("values", "told"), [([0.25], True), ([], False)])
def test_liveness_is_shown_where_the_service_gives_it(open_page, astronaut, values, told):
    def answer(route):
        """The service's own answer, with `liveness` as its first output."""
        answered = route.fetch()
        length = int(answered.headers["inference-header-content-length"])
        head, tensors = json.loads(answered.body()[:length]), answered.body()[length:]
        data = np.array(values, "<f4").tobytes()
        for own in head["outputs"]:
            own["name"] = own["name"].replace("liveness", "its own")
        output = {"name": "liveness", "datatype": "FP32", "shape": [len(values)]}
        head["outputs"].insert(0, {**output, "parameters": {"binary_data_size": len(data)}})
        text = json.dumps(head).encode()
        headers = {**answered.headers, "inference-header-content-length": str(len(text))}
        route.fulfill(status=200, headers=headers, body=text + data + tensors)

    page = open_page()
    page.route("**/analyze_faces/infer", answer)
    upload(page, astronaut)
    wait_for_status(page, "1 face in")
    card = page.locator("#analyze .faces li").first
    if told:
        expect(card).to_contain_text("liveness 0.25")
    else:
        expect(card).not_to_contain_text("liveness")
