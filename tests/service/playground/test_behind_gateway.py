"""The page behind the real gateway, configured as docs/tutorials/playground.md says."""

import re

import pytest
from browser import SLOW, upload, wait_for_status
from gateway_world import gateway_for
from playwright.sync_api import expect

from aurum.paths import CHECKOUT
from aurum.playground.app import POLICY


@pytest.fixture(scope="module")
def gateway(best, tmp_path_factory):
    """A gateway with the locations from the page about the playground."""
    folder = tmp_path_factory.mktemp("locations")
    text = (CHECKOUT / "docs" / "tutorials" / "playground.md").read_text(encoding="utf-8")
    (told,) = re.findall(r"```nginx\n(.*?)```", text, re.DOTALL)
    (folder / "page.conf").write_text(told.replace("/opt/aurum", str(CHECKOUT)))
    with gateway_for(best, locations=folder) as world:
        yield world


def test_its_files_need_no_key_and_have_the_content_security_policy(gateway):
    with gateway.http() as http:
        del http.headers["authorization"]
        for path in ("/playground/", "/playground/main.js", "/playground/examples/hopper.jpg"):
            assert http.get(path).status_code == 200
        page = http.get("/playground/")
        assert page.headers["content-security-policy"] == POLICY
        assert http.get("/playground/../app.py").status_code == 401
        assert http.get("/playground/no-such-file").status_code == 404


def test_it_asks_for_the_key_and_answers_through_the_gateway(gateway, open_page, astronaut):
    page = open_page(
        url=f"{gateway.gateway.url}/playground", expected=["401"], ignore_https_errors=True
    )
    field = page.get_by_label("API key")
    expect(field).to_be_visible(timeout=SLOW)
    field.fill(gateway.key)
    page.get_by_role("button", name="Use it").click()
    expect(page.locator("#health")).to_have_text("the service is ready", timeout=SLOW)
    upload(page, astronaut)
    wait_for_status(page, "face in")
    page.get_by_text("The same call as code").click()
    code = page.locator("#analyze .code pre")
    for language in ("curl", "Python", "Node"):
        page.get_by_label(language, exact=True).check()
        expect(code).to_contain_text(gateway.gateway.url)
        expect(code).to_contain_text("AURUM_KEY")
        expect(code).not_to_contain_text(gateway.key)
