"""Analyze: one photo on the page in Debian's Chromium, with the real server."""

import base64
import itertools
import json
import re
import subprocess
import sys
from dataclasses import replace

import cv2
import images
import numpy as np
import pytest
from aurum_client import Faces, InvalidImageError, InvalidRequestError, ModelIds
from browser import DESK, PHONE, SLOW, serve, upload, wait_for_error, wait_for_status
from playwright.sync_api import expect
from waiting import eventually

from aurum.imaging.align import align
from aurum.playground.serve import Playground
from aurum.server.ephemeral import free_ports


def boxes(page):
    """The drawn boxes in pixels of the photo."""
    return np.array(
        page.eval_on_selector_all(
            "#analyze .overlay .box",
            "all => all.map(r => ['x', 'y', 'width', 'height'].map(n => +r.getAttribute(n)))",
        )
    )


def test_an_uploaded_photo_is_drawn_as_the_service_answered(open_page, client, astronaut):
    page = open_page()
    upload(page, astronaut, "astronaut.jpg")
    answer = client.analyze(astronaut)
    wait_for_status(page, f"{len(answer)} face")
    assert boxes(page) == pytest.approx(answer.boxes, abs=1e-3)
    circles = page.eval_on_selector_all(
        "#analyze .landmark", "all => all.map(c => [+c.getAttribute('cx'), +c.getAttribute('cy')])"
    )
    assert np.array(circles) == pytest.approx(answer.landmarks.reshape(-1, 2), abs=1e-3)
    expect(page.locator("#analyze .overlay text").first).to_contain_text(f"{answer.scores[0]:.2f}")
    expect(page.locator("#analyze .faces li")).to_have_count(len(answer))
    expect(page.locator("#analyze .models")).to_contain_text(answer.models.embedder)
    expect(page.locator("#health")).to_have_text("the service is ready")


def test_crops_are_aligned_like_the_embedders(open_page, client, astronaut):
    page = open_page()
    upload(page, astronaut)
    wait_for_status(page, "face")
    answer = client.analyze(astronaut)
    photo = cv2.imdecode(np.frombuffer(astronaut, np.uint8), cv2.IMREAD_COLOR)[..., ::-1]
    ours = align(np.ascontiguousarray(photo), answer.boxes, answer.landmarks)[0]
    url = page.eval_on_selector("#analyze .faces canvas", "canvas => canvas.toDataURL('image/png')")
    shown = np.frombuffer(base64.b64decode(url.split(",")[1]), np.uint8)
    shown = cv2.imdecode(shown, cv2.IMREAD_COLOR)[..., ::-1]
    assert shown.shape == (224, 224, 3)
    shown = cv2.resize(shown, (112, 112), interpolation=cv2.INTER_AREA)
    # Two resamplings differ at edges; a shift of a single pixel would already give 7.
    assert np.abs(shown.astype(int) - ours).mean() < 4


def test_boxes_match_the_picture_at_every_size(open_page, client, astronaut):
    page = open_page()
    upload(page, astronaut)
    wait_for_status(page, "face")
    (x, y, width, height) = client.detect(astronaut).boxes[0]
    for size in (DESK, PHONE, {"width": 700, "height": 500}):
        page.set_viewport_size(size)
        picture = page.locator("#analyze .stage img").bounding_box()
        scale = picture["width"] / 512
        assert picture["height"] / 512 == pytest.approx(scale, rel=0.01)
        # Redrawn for a new size: for a moment there may be none.
        drawn = eventually(page.locator("#analyze .overlay .target").first.bounding_box)
        expected = [picture["x"] + x * scale, picture["y"] + y * scale, width * scale]
        assert [drawn["x"], drawn["y"], drawn["width"]] == pytest.approx(expected, abs=1.5)
        assert drawn["height"] == pytest.approx(height * scale, abs=1.5)
        # Labels keep their size for the reader, whatever the picture's is.
        font = page.eval_on_selector(
            "#analyze .overlay text", "t => t.getBoundingClientRect().height"
        )
        assert 10 < font < 25
        wide = page.evaluate("document.documentElement.scrollWidth")
        assert wide <= size["width"], "the page scrolls sideways"


def test_a_photo_stored_on_its_side_is_drawn_upright(open_page, client):
    data, (width, height) = images.good()["jpeg orientation 6"]
    page = open_page()
    upload(page, data)
    wait_for_status(
        page, f"in {width} x {height} pixels."
    )  # and no warning that the marks may not fit
    assert boxes(page) == pytest.approx(client.detect(data).boxes, abs=1e-3)
    picture = page.locator("#analyze .stage img").bounding_box()
    assert picture["width"] / picture["height"] == pytest.approx(width / height, rel=0.02)


def test_a_rotated_face_is_reported_and_shown_upright(open_page, real, client, astronaut):
    photo = cv2.imdecode(np.frombuffer(astronaut, np.uint8), cv2.IMREAD_COLOR)
    data = cv2.imencode(".png", cv2.rotate(photo, cv2.ROTATE_90_CLOCKWISE))[1].tobytes()
    page = open_page()
    card, mark = page.locator("#analyze .faces li").first, page.locator("#analyze .overlay text")
    look = "canvas => Array.from(canvas.getContext('2d').getImageData(0, 0, 224, 224).data)"
    looks = []
    for file in (data, astronaut):
        upload(page, file)
        wait_for_status(page, "1 face in")
        looks.append(np.array(card.locator("canvas").evaluate(look)))
        assert boxes(page) == pytest.approx(client.detect(file).boxes, abs=1e-3)
        if file is data:
            expect(card).to_contain_text("turned 270°")
            expect(mark).to_contain_text("turned 270°")
    expect(card).not_to_contain_text("turned")
    expect(mark).not_to_contain_text("turned")
    assert np.abs(np.subtract(*looks)).mean() < 8


def test_an_incomplete_answer_is_reported(open_page, astronaut):
    hint = "A larger long side for the detector, or more tiles, may find more."
    page = open_page()
    page.get_by_text("Options of the request").click()
    field = page.locator("[name=min_confidence]")
    field.fill("0")  # so many candidates fill any list
    field.blur()
    upload(page, astronaut)
    wait_for_status(page, hint)
    field.fill("")
    field.blur()
    wait_for_status(page, "1 face in 512 x 512 pixels.")
    expect(page.locator("#analyze .status")).not_to_contain_text(hint)


@pytest.mark.parametrize("options", [{}, {"detection_size": 960}, {"tiles": 2}])
def test_the_page_hints_at_more_faces_where_the_client_does(open_page, options):
    page = open_page()
    rng = np.random.default_rng(5)
    told = set()
    for count, side in itertools.product((19, 20, 21), range(100, 300, 20)):
        boxes = np.zeros((count, 4), np.float32)
        boxes[:, 2:] = side * rng.uniform(0.7, 1.3, (count, 2))
        for size in ((4000, 3000), (3000, 4000), (600, 600)):
            points, scores = np.zeros((count, 5, 2), np.float32), np.ones(count, np.float32)
            faces = Faces(boxes, points, scores, size, ModelIds("d@1", None))
            result = {"size": size, "complete": True, "faces": [{"box": b} for b in boxes.tolist()]}
            more = page.evaluate(
                "async all => (await import('./triton.js')).mayMissSome(...all)", [result, options]
            )
            assert more is faces.may_miss_some(**{"detection_size": 640, **options})
            told.add(more)
    assert told == {True, False}


def test_list_and_picture_highlight_each_other(open_page, astronaut):
    page = open_page()
    upload(page, astronaut)
    wait_for_status(page, "face")
    active = page.locator("#analyze .overlay .active")
    expect(active).to_have_count(0)
    page.locator("#analyze .faces li").first.hover()
    expect(active).to_have_count(1)
    page.mouse.move(0, 0)
    expect(active).to_have_count(0)
    page.locator("#analyze .overlay .target").first.hover()
    expect(page.locator("#analyze .faces li.lit")).to_have_count(1)
    page.locator("#analyze .overlay .target").first.click()
    button = page.locator("#analyze .faces button").first
    expect(button).to_have_attribute("aria-pressed", "true")
    page.mouse.move(0, 0)
    expect(active).to_have_count(1)  # chosen, so it stays


def test_no_face_is_reported_and_is_not_an_error(open_page):
    page = open_page()
    upload(page, images.save(images.Image.new("RGB", (300, 200), "gray"), "JPEG"))
    wait_for_status(page, "No face found: no face in 300 x 200 pixels.")
    expect(page.locator("#analyze .overlay .box")).to_have_count(0)
    expect(page.locator("#analyze [role=alert]")).to_be_hidden()


@pytest.mark.parametrize("name", ["empty", "random bytes", "damaged jpeg cut at 50%"])
def test_corrupt_files_show_the_services_message(open_page, client, name, astronaut):
    data = images.bad()[name][0]
    with pytest.raises(InvalidImageError) as error:
        client.analyze(data)
    page = open_page(expected=["400"])
    upload(page, astronaut)
    wait_for_status(page, "face")
    upload(page, data)
    wait_for_error(page, str(error.value).split("] ")[-1])
    wait_for_error(page, "[invalid_image]")
    expect(page.locator("#analyze .stage")).to_be_hidden()  # not the previous photo
    upload(page, astronaut)
    wait_for_status(page, "face")  # and the page still works
    expect(page.locator("#analyze [role=alert]")).to_be_hidden()


def test_a_photo_over_the_limit_is_refused(best, open_page, astronaut):
    with serve(best, max_image_bytes=200_000) as playground:
        page = open_page(url=playground.url, expected=["413"])
        upload(page, astronaut + bytes(1_000_000))
        wait_for_error(page, "photos may have at most 200000 bytes")


def test_options_are_validated_by_the_service(open_page, client, astronaut):
    page = open_page(expected=["400"])
    page.get_by_text("Options of the request").click()
    page.locator("[name=min_confidence]").fill("0.99999")
    upload(page, astronaut)
    wait_for_status(page, "No face found")
    page.locator("[name=min_confidence]").fill("")
    page.locator("[name=detection_size]").fill("100")
    page.locator("[name=detection_size]").blur()
    with pytest.raises(InvalidRequestError) as error:
        client.analyze(astronaut, detection_size=100)
    wait_for_error(page, str(error.value).split("] ")[-1])


@pytest.mark.parametrize("way", ["drop", "drop beside", "paste", "take", "example"])
def test_photos_can_be_given_in_every_way(open_page, astronaut, way):
    page = open_page()
    if way == "take":
        page.locator("#analyze").get_by_role("button", name="Take a photo").click()
        page.get_by_role("button", name="Take it").click()
        expect(page.locator("dialog")).to_have_count(0)
    elif way == "example":
        page.locator("#analyze").get_by_role("button", name="Eileen Collins").click()
    else:
        page.evaluate(
            """([text, way]) => {
              const bytes = Uint8Array.from(atob(text), c => c.charCodeAt(0));
              const data = new DataTransfer();
              data.items.add(new File([bytes], "given.jpg", { type: "image/jpeg" }));
              const on = { bubbles: true, cancelable: true };
              const area = document.querySelector(way === "drop" ? "#analyze .drop" : "footer");
              area.dispatchEvent(way === "paste"
                ? new ClipboardEvent("paste", { ...on, clipboardData: data })
                : new DragEvent("drop", { ...on, dataTransfer: data }));
            }""",
            [base64.b64encode(astronaut).decode(), way],
        )
    wait_for_status(page, "1 face in")


def test_the_raw_answer_can_be_copied_completely(open_page, client, astronaut):
    page = open_page()
    upload(page, astronaut)
    wait_for_status(page, "face")
    page.get_by_text("Raw answer (JSON)").click()
    expect(page.locator("#analyze pre").first).to_contain_text("… 508 more")
    page.get_by_role("button", name="Copy the JSON").click()
    expect(page.get_by_role("button", name="Copied")).to_be_visible()
    outputs = json.loads(page.evaluate("navigator.clipboard.readText()"))["outputs"]
    data = {item["name"]: np.reshape(item["data"], item["shape"]) for item in outputs}
    answer = client.analyze(astronaut)
    assert (data["boxes"].astype(np.float32) == answer.boxes).all()
    assert data["embeddings"].astype(np.float32) == pytest.approx(answer.embeddings, abs=1e-6)
    assert data["models"].tolist() == [answer.models.detector, answer.models.embedder]


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"max_faces": 1, "min_confidence": 0.25, "tiles": 2},
        {"orientation": "exif", "refine": "false"},
    ],
)
def test_the_code_to_copy_runs(open_page, best, tmp_path, astronaut, options):
    name = "it's a photo.jpg"
    (tmp_path / name).write_bytes(astronaut)
    page = open_page()
    page.get_by_text("Options of the request").click()
    for option, value in options.items():
        field = page.locator(f"[name={option}]")
        if field.evaluate("field => field.localName") == "select":
            field.select_option(value)
        else:
            field.fill(str(value))
    upload(page, astronaut, name)
    wait_for_status(page, "1 face")
    page.get_by_text("The same call as code").click()
    commands = {
        "curl": ["sh", "-euc"],
        "Python": [sys.executable, "-c"],
        "Node": ["node", "--input-type=module", "-e"],
    }
    for language, command in commands.items():
        page.get_by_label(language, exact=True).check()
        page.get_by_role("button", name="Copy the code").click()
        expect(page.locator("#analyze .code").get_by_role("button")).to_have_text("Copied")
        text = page.evaluate("navigator.clipboard.readText()")
        assert all(option in text for option in options)
        assert best.urls[0] in text  # the service's own port, not the playground's
        assert page.evaluate("window.location.origin") not in text
        result = subprocess.run(
            [*command, text], cwd=tmp_path, capture_output=True, text=True, check=False
        )
        assert result.returncode == 0, result.stderr
        assert "512" in result.stdout, language


def test_times_are_shown_by_step(open_page, astronaut):
    page = open_page()
    expect(page.locator("#health")).to_have_text("the service is ready", timeout=SLOW)
    upload(page, astronaut)
    wait_for_status(page, "face")
    rows = dict(
        page.eval_on_selector_all(
            "#analyze .times tr", "all => all.map(r => [...r.cells].map(c => c.textContent))"
        )
    )
    times = {name: float(re.fullmatch(r"([\d.]+) ms", value)[1]) for name, value in rows.items()}
    assert {"face_detection, 1 call", "second look (face_landmarks), 1 call"} <= set(times)
    whole = times["send it and receive the whole answer"]
    assert times["send it to Triton and receive the answer"] <= whole


def test_an_unavailable_service_and_its_return_are_shown(best, open_page, astronaut):
    page = open_page(expected=["ERR_CONNECTION_REFUSED", "503"])
    expect(page.locator("#health")).to_have_text("the service is ready", timeout=SLOW)
    nobody = free_ports(1)[0]
    with serve(best, http_port=nobody) as playground:
        page = open_page(url=playground.url, expected=["503"])
        expect(page.locator("#health")).to_contain_text("not ready, or not running", timeout=SLOW)
        upload(page, astronaut)
        wait_for_error(page, "[unavailable] the face service can't be reached")
        port = playground.port
    settings = replace(best.settings, playground_port=port)
    with Playground(settings):
        expect(page.locator("#health")).to_have_text("the service is ready", timeout=SLOW)
        upload(page, astronaut)
        wait_for_status(page, "1 face")


def test_simulated_models_get_a_banner(simulated, best, open_page):
    with serve(simulated) as playground:
        page = open_page(url=playground.url)
        banner = page.locator("#simulated")
        expect(banner).to_be_visible(timeout=SLOW)
        expect(banner).to_contain_text("every face, score and embedding below is made up")
    if not best.prepared.simulated:
        page = open_page()
        expect(page.locator("#health")).to_have_text("the service is ready", timeout=SLOW)
        expect(page.locator("#simulated")).to_be_hidden()
