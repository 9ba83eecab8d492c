"""A playground for the real server, and a browser whose every console error fails the test."""

import cv2
import images
import numpy as np
import pytest
from aurum_client import FaceClient
from browser import DESK, SLOW, chromium, serve
from matplotlib.cbook import get_sample_data


@pytest.fixture(scope="module")
def address(best):
    with serve(best) as playground:
        yield playground.url


# Not session-scoped: while Playwright runs, its event loop blocks asyncio.run() elsewhere.
@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    with chromium(tmp_path_factory.mktemp("browser"), images.astronaut()) as browser:
        yield browser


@pytest.fixture
def open_page(browser, address):
    """Open the page at a tab. `expected`: words of console errors that belong to the test."""
    opened = []
    complaints = []

    def start(tab="", url=address, expected=(), **options):
        context = browser.new_context(**{"viewport": DESK, **options})
        context.set_default_timeout(SLOW)
        context.grant_permissions(["clipboard-read", "clipboard-write", "camera"], origin=url)
        opened.append(context)
        page = context.new_page()
        page.on("pageerror", lambda error: complaints.append(str(error)))

        def heard(message):
            told = message.type in {"error", "warning"}
            if told and not any(word in message.text for word in expected):
                complaints.append(message.text)

        page.on("console", heard)
        page.goto(f"{url}/#{tab}")
        return page

    yield start
    for context in opened:
        context.close()
    assert complaints == []


@pytest.fixture
def client(best):
    with FaceClient(best.urls[0], timeout=60) as client:
        yield client


@pytest.fixture(scope="module")
def other():
    """Another person: matplotlib's photo of Grace Hopper (public domain)."""
    with get_sample_data("grace_hopper.jpg") as file:
        return file.read()


@pytest.fixture(scope="module")
def couple(astronaut, other):
    """Both people in one photo."""
    photos = [
        cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR) for data in (astronaut, other)
    ]
    photos = [cv2.resize(photo[:500, :500], (400, 400)) for photo in photos]
    return cv2.imencode(".png", np.hstack(photos))[1].tobytes()
