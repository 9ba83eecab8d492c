"""The page as a whole: accessibility, security policy, and the camera stream."""

import re
import time

import pytest
from axe_playwright_python.sync_playwright import Axe
from browser import DESK, PHONE, SLOW, upload, wait_for_error, wait_for_status
from playwright.sync_api import expect

from aurum.playground.app import STATIC


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("size", [DESK, PHONE], ids=["desk", "phone"])
def test_axe_finds_no_violation(open_page, astronaut, scheme, size):
    page = open_page(color_scheme=scheme, viewport=size, expected=["400"], bypass_csp=True)
    found = []

    def check(state):
        for violation in Axe().run(page).response["violations"]:
            nodes = [node["html"] for node in violation["nodes"]]
            found.append((state, violation["id"], violation["impact"], nodes))

    check("empty")
    upload(page, astronaut)
    wait_for_status(page, "face")
    page.get_by_label("quality parts").check()
    for details in page.locator("#analyze details").all():
        details.locator("summary").click()
    page.locator("#analyze .faces button").first.click()
    check("answered")
    upload(page, b"nothing")
    wait_for_error(page, "[invalid_image]")
    check("failed")
    page.get_by_role("tab", name="Compare").click()
    for side in (0, 1):
        upload(page, astronaut, where="#compare", side=side)
    expect(page.locator("#compare .crops canvas")).to_have_count(2, timeout=SLOW)
    check("compared")
    page.get_by_role("tab", name="Live").click()
    page.get_by_role("button", name="Start the camera").click()
    expect(page.locator("#live .overlay .box")).to_have_count(1, timeout=SLOW)
    page.get_by_role("button", name="Stop").click()
    check("live")
    assert found == []


def test_the_page_works_by_keyboard_alone(open_page, astronaut):
    page = open_page()
    file = {"buffer": astronaut, "name": "a.jpg", "mimeType": "image/jpeg"}
    page.on("filechooser", lambda chooser: chooser.set_files(file))
    tab = page.get_by_role("tab", name="Analyze")
    tab.focus()
    page.keyboard.press("ArrowRight")
    expect(page.get_by_role("tab", name="Compare")).to_be_focused()
    expect(page.locator("#compare")).to_be_visible()
    page.keyboard.press("End")
    expect(page.locator("#live")).to_be_visible()
    page.keyboard.press("ArrowRight")
    expect(tab).to_be_focused()
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    wait_for_status(page, "face")
    face = page.locator("#analyze .faces button").first
    for _ in range(20):
        if face.evaluate("button => button === document.activeElement"):
            break
        page.keyboard.press("Tab")
    expect(face).to_be_focused()
    expect(page.locator("#analyze .overlay .active")).to_have_count(1)
    page.keyboard.press("Enter")
    expect(face).to_have_attribute("aria-pressed", "true")


def test_nothing_is_loaded_from_elsewhere_or_stored(open_page, address, astronaut):
    page = open_page()
    asked = []
    page.context.on("request", lambda request: asked.append(request.url))
    page.reload()
    upload(page, astronaut)
    wait_for_status(page, "face")
    upload(page, astronaut, "other.jpg")
    wait_for_status(page, "face")
    assert asked
    assert all(url.startswith((f"{address}/", f"blob:{address}/")) for url in asked)
    assert page.context.cookies() == []
    assert page.evaluate(
        """async () => [
          localStorage, sessionStorage, await caches.keys(), await indexedDB.databases(),
          await navigator.serviceWorker.getRegistrations(),
        ].map((store) => store.length)"""
    ) == [0, 0, 0, 0, 0]
    expect(page.locator("footer")).to_contain_text("Nothing is stored")


def test_the_policy_blocks_foreign_content(open_page):
    page = open_page(expected=["Content Security Policy", "TrustedHTML", "TrustedScript"])
    blocked = page.evaluate(
        """async () => {
          const blocked = [];
          document.addEventListener("securitypolicyviolation",
            (event) => blocked.push(event.effectiveDirective));
          const script = document.createElement("script");
          try { script.textContent = "window.ran = true"; } catch { blocked.push("text"); }
          const image = new Image();
          image.src = "https://example.invalid/x.png";
          await fetch("https://example.invalid/").catch(() => {});
          try { document.body.innerHTML = "<p>"; } catch { blocked.push("html"); }
          const style = document.createElement("style");
          style.textContent = "body { display: none }";
          document.head.append(style);
          await new Promise((resolve) => setTimeout(resolve, 200));
          return [blocked, window.ran, getComputedStyle(document.body).display];
        }"""
    )
    assert {"img-src", "connect-src", "style-src-elem", "text", "html"} <= set(blocked[0])
    assert blocked[1:] == [None, "block"]


def test_the_page_has_no_inline_script_or_style():
    text = (STATIC / "index.html").read_text(encoding="utf-8")
    assert text.count("<script") == text.count('<script type="module" src="main.js"></script>') == 1
    assert "<style" not in text
    assert "style=" not in text
    assert not re.search(r"\son\w+\s*=", text), "no handler in an attribute"
    for path in STATIC.iterdir():
        for host in ("http://", "https://", "//cdn"):
            rest = path.read_text(encoding="utf-8").replace("http://www.w3.org/2000/svg", "")
            assert host not in rest, path


def test_live_sends_one_frame_at_a_time_and_drops_the_rest(open_page, client, astronaut):
    page = open_page("live")
    flying, most = set(), [0]

    def start(request):
        if request.url.endswith("/infer"):
            flying.add(request)
            most[0] = max(most[0], len(flying))

    def end(request):  # Playwright can't take the built-in method itself
        flying.discard(request)

    page.on("request", start)
    page.on("requestfinished", end)
    page.on("requestfailed", end)
    expect(page.locator("#health")).to_have_text("the service is ready", timeout=SLOW)
    page.get_by_role("button", name="Start the camera").click()
    figures = page.locator("#live .figures dd")
    expect(figures.nth(2)).to_contain_text("frames/s", timeout=SLOW)
    expect(figures.nth(0)).to_contain_text("ms")
    faces = len(client.detect(astronaut))
    expect(page.locator("#live .overlay .box")).to_have_count(faces, timeout=SLOW)

    def arrived():
        return [int(number) for number in figures.nth(3).text_content().split(" of ")]

    first = arrived()[1]
    deadline = time.monotonic() + 60
    while arrived()[1] < first + 10:
        assert time.monotonic() < deadline, "no frames arrive"
        page.wait_for_timeout(100)
    assert 0 <= arrived()[0] < arrived()[1]
    assert most[0] == 1
    page.get_by_label("ask for").select_option("analyze_faces")
    with page.expect_response(lambda answer: "analyze_faces" in answer.url):
        pass
    page.get_by_role("tab", name="Analyze").click()  # leaving it turns the camera off
    expect(page.locator("#live [role=status]").first).to_have_text("The camera is off.")
    assert page.evaluate("document.querySelector('#live video')") is None


@pytest.mark.parametrize(
    ("error", "words"),
    [
        ("NotAllowedError", "not allowed"),
        ("NotFoundError", "no camera"),
        ("NotReadableError", "use"),
    ],
)
@pytest.mark.parametrize("tab", ["live", "analyze"])
def test_an_unusable_camera_is_reported(open_page, error, words, tab):
    page = open_page(tab)
    page.evaluate(
        """name => {
          const refuse = async () => { throw new DOMException("", name); };
          navigator.mediaDevices.getUserMedia = refuse;
        }""",
        error,
    )
    name = "Start the camera" if tab == "live" else "Take a photo"
    page.locator(f"#{tab}").get_by_role("button", name=name).click()
    wait_for_error(page, words, f"#{tab}")
    expect(page.locator(f"#{tab}").get_by_role("button", name=name)).to_be_visible()


def test_the_page_asks_for_a_key_if_the_gateway_needs_one(open_page, astronaut):
    page = open_page(expected=["401"])

    def gateway(route):
        """Like the gateway in front of a public server."""
        if route.request.headers.get("authorization") == "Bearer right":
            route.continue_()
        else:
            route.fulfill(status=401, json={"error": "an API key is needed"})

    page.route("**/v2/**", gateway)
    page.reload()
    field = page.get_by_label("API key")
    expect(field).to_be_visible(timeout=SLOW)
    expect(page.locator("#health")).to_have_text("an API key is needed")
    for key, words in (("wrong", "an API key is needed"), ("right", "the service is ready")):
        field.fill(key)
        page.get_by_role("button", name="Use it").click()
        expect(page.locator("#health")).to_have_text(words, timeout=SLOW)
    expect(field).to_be_hidden()
    upload(page, astronaut)
    wait_for_status(page, "face in")
