"""A playground for the real server, and a browser whose every console error fails the test."""

import images
import pytest
from aurum_client import FaceClient
from browser import DESK, SLOW, chromium, serve


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
