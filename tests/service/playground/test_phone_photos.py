"""HEIC and AVIF: the service reads them, whether or not the browser shows them."""

import io

import images
import pillow_heif
import pytest
from browser import SLOW, upload, wait_for_status
from playwright.sync_api import expect


@pytest.mark.parametrize("kind", ["HEIF", "AVIF"])
def test_a_phone_photo_is_sent_unchanged(open_page, client, kind):
    photo = images.Image.open(io.BytesIO(images.astronaut()))
    data = io.BytesIO()
    pillow_heif.from_pillow(photo).save(data) if kind == "HEIF" else photo.save(data, kind)
    name = "photo.heic" if kind == "HEIF" else "photo.avif"
    page = open_page()
    sent = []
    page.on("request", lambda request: sent.append(request.post_data_buffer))
    upload(page, data.getvalue(), name)
    wait_for_status(page, "1 face in 512 x 512 pixels.")
    assert data.getvalue() in sent
    card = page.locator("#analyze .faces li").first
    expect(card).to_contain_text(f"score {client.analyze(data.getvalue()).scores[0]:.3f}")
    seen = kind == "AVIF"  # Chromium shows no HEIC
    expect(card.locator("canvas")).to_have_count(int(seen))
    expect(page.locator("#analyze .overlay .box")).to_have_count(int(seen))
    expect(page.locator("#analyze .stage")).to_be_visible(visible=seen)
    instead = page.get_by_text(
        f"This browser can't show {name}. It was sent to the service unchanged."
    )
    expect(instead).to_have_count(int(not seen))
    upload(page, images.astronaut())
    expect(page.locator("#analyze .stage")).to_be_visible(timeout=SLOW)
    expect(page.locator("#analyze .nopicture")).to_be_hidden()
    for side in (0, 1):
        upload(page, data.getvalue(), name, "#compare", side)
    page.get_by_role("tab", name="Compare").click()
    expect(page.locator("#compare .verdict dd").first).to_have_text("1.0000", timeout=SLOW)
    expect(page.locator("#compare .crops canvas")).to_have_count(2 * seen)
    expect(page.locator("#compare .crops p")).to_have_count(2 * (not seen))


def test_the_file_dialog_offers_phone_photos(open_page):
    field = open_page().locator("#analyze input[type=file]")
    assert {"image/heic", "image/avif", ".heic"} <= set(field.get_attribute("accept").split(","))
