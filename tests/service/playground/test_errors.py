"""Errors on the page: in words, beside the photo that they are about."""

import images
import pytest
from browser import PHONE, SLOW, serve, upload, wait_for_error, wait_for_status
from playwright.sync_api import expect

WORDS = "async text => (await import('./words.js')).inWords(text)"


@pytest.mark.parametrize(
    ("said", "words"),
    [
        (
            "in ensemble 'analyze_faces', [invalid_image] the image has 14312345 bytes; at most "
            "10000000 are allowed (AURUM_MAX_IMAGE_BYTES)",
            "This photo can't be used: the image has 14.3 MB; at most 10 MB are allowed.",
        ),
        (
            "[invalid_image] the image has 10000001 bytes; at most 10000000 are allowed",
            "This photo can't be used: the image has 10.000001 MB; at most 10 MB are allowed.",
        ),
        (
            "[invalid_image] the image has 65500x65500 = 4290250000 pixels; at most 110000000 are "
            "allowed (AURUM_MAX_JPEG_PIXELS)",
            "This photo can't be used: the image has 65500x65500 = 4290 megapixels; at most 110 "
            "megapixels are allowed.",
        ),
        (
            "[invalid_parameter] detection_size=9600: must be a multiple of 32 from 32 to 2560 "
            "(AURUM_MAX_DETECTION_SIZE)",
            "An option of the request was refused: detection_size=9600: must be a multiple of 32 "
            "from 32 to 2560.",
        ),
        (
            "[rate_limited] too many requests at once for this key",
            "The service is busy; try again in a moment: too many requests at once for this key.",
        ),
        ("unexpected inference input 'x'", "Unexpected inference input 'x'."),
    ],
)
def test_the_services_errors_are_put_in_words(open_page, said, words):
    assert open_page().evaluate(WORDS, said) == words


@pytest.mark.parametrize("where", ["analyze", "compare"])
def test_an_error_shows_the_photo_and_its_name(best, open_page, astronaut, where):
    with serve(best, max_image_bytes=200_000) as playground:
        page = open_page(where, url=playground.url, expected=["413"])
        upload(page, astronaut + bytes(1_000_000), "holiday.jpg", f"#{where}")
        wait_for_error(
            page, f"holiday.jpg, {(len(astronaut) + 1_000_000) / 1e6:.2f} MB", f"#{where}"
        )
        wait_for_error(page, "The photo is too large: photos may have at most 200 kB;", f"#{where}")
        alert = page.locator(f"#{where} [role=alert]").first
        expect(alert.get_by_role("img", name="the photo holiday.jpg")).to_be_visible()
        own = alert.get_by_text("photos may have at most 200000 bytes")
        expect(own).to_be_hidden()
        alert.get_by_text("The service's own words").click()
        expect(own).to_be_visible()


def test_a_photo_that_cannot_be_shown_has_no_picture(open_page, astronaut):
    page = open_page(expected=["400"], viewport=PHONE)
    upload(page, images.bad()["random bytes"][0], "noise.jpg")
    wait_for_error(page, "noise.jpg, 4.1 kB")
    wait_for_error(page, "This photo can't be used: the bytes are not an image;")
    expect(page.locator("#analyze [role=alert] img")).to_have_count(0, timeout=SLOW)
    assert page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]
    upload(page, astronaut)
    wait_for_status(page, "1 face")
    expect(page.locator("#analyze [role=alert]")).to_be_hidden()
