"""Make the screenshots in docs/tutorials/playground."""

from __future__ import annotations

import tempfile
from pathlib import Path

import cv2
import images
import members_table
from browser import PHONE, SLOW, chromium, serve, upload, wait_for_error, wait_for_status
from crowd import crowd
from playwright.sync_api import Browser, Page, expect

from aurum.paths import CHECKOUT, PHOTO
from aurum.server.ephemeral import Service, running
from aurum.settings import Settings

FOLDER = CHECKOUT / "docs" / "tutorials" / "playground"
WINDOW = {"width": 1120, "height": 780}


def shots(browser: Browser, url: str) -> None:
    """Take them all: start, light, dark, phone width, a comparison, an error and the camera."""
    _save(_open(browser, url, viewport=WINDOW), "start")
    for name, options in {
        "light": {"viewport": WINDOW},
        "dark": {"viewport": WINDOW, "color_scheme": "dark"},
        "phone": {"viewport": PHONE, "device_scale_factor": 2},
    }.items():
        page = _open(browser, url, **options)
        upload(page, images.astronaut(), "astronaut.jpg")
        wait_for_status(page, "face in")
        page.get_by_label("quality parts").check()
        page.locator("h1").hover()
        _save(page, name)
    page = _open(browser, f"{url}/#compare", viewport=WINDOW)
    upload(page, images.astronaut(), "astronaut.jpg", "#compare", 0)
    upload(page, crowd(6, 4, 160), "crowd.png", "#compare", 1)
    expect(page.locator("#compare .crops canvas")).to_have_count(2, timeout=SLOW)
    page.locator("#compare .side").nth(1).locator(".target").nth(20).click()
    page.mouse.move(0, 0)
    _save(page, "compare")
    page = _open(browser, url, viewport=WINDOW)
    upload(page, images.astronaut()[:40_000], "holiday.jpg")
    wait_for_error(page, "can't be used")
    page.get_by_text("The service's own words").click()
    _save(page, "refused")
    page = _open(browser, f"{url}/#live", viewport=WINDOW)
    page.get_by_role("button", name="Start the camera").click()
    expect(page.locator("#live .figures dd").nth(2)).to_contain_text("frames/s", timeout=SLOW)
    page.wait_for_timeout(3000)  # until the rate has settled
    _save(page, "live")


def find_shot(browser: Browser, url: str) -> None:
    """Take one of a search among members."""
    page = _open(browser, f"{url}/#find", viewport=WINDOW)
    upload(page, images.astronaut(), "astronaut.jpg", "#find")
    expect(page.locator("#find .members tbody tr")).to_have_count(2, timeout=SLOW)
    _save(page, "find")


def _open(browser: Browser, url: str, **options: object) -> Page:
    page = browser.new_context(**options).new_page()
    page.goto(url)
    expect(page.locator("#health")).to_have_text("the service is ready", timeout=SLOW)
    return page


def _save(page: Page, name: str) -> None:
    path = FOLDER / f"{name}.jpg"
    page.screenshot(path=path, type="jpeg", quality=75, full_page=True)
    page.context.close()


def _members(service: Service, place: Path) -> Path:
    """Enrol Grace Hopper, and Eileen Collins by another photo than the searched one."""
    photo = cv2.resize(cv2.imread(str(PHOTO)), None, fx=0.4, fy=0.4, interpolation=cv2.INTER_AREA)
    cv2.imwrite(str(place / "eileen.jpg"), photo[:, ::-1], [cv2.IMWRITE_JPEG_QUALITY, 60])
    photos = {"eileen": place / "eileen.jpg", "grace": PHOTO.with_name("hopper.jpg")}
    return members_table.build(service, place, photos)


def main() -> None:
    """Start a server, a playground and a browser, and take the screenshots."""
    FOLDER.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        with (
            running(Settings.from_env(), place / "server") as service,
            serve(service) as playground,
            chromium(place, images.astronaut()) as browser,
        ):
            shots(browser, playground.url)
            table = _members(service, place)
            with serve(service, faces_db=str(table)) as searching:
                find_shot(browser, searching.url)


if __name__ == "__main__":
    main()
