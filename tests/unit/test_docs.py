"""What the docs point to exists."""

import re
import subprocess

import pytest

from aurum.settings import CHECKOUT

PAGES = [CHECKOUT / "README.md", CHECKOUT / "CHANGELOG.md", *sorted(CHECKOUT.glob("docs/*.md"))]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_relative_links_lead_somewhere(page):
    for link in re.findall(r"\]\(([^)#\s]+)", page.read_text(encoding="utf-8")):
        if not link.startswith("http"):
            assert (page.parent / link).exists(), link


def test_make_help_lists_the_targets_that_the_docs_name():
    shown = subprocess.run(
        ["make", "help"], cwd=CHECKOUT, capture_output=True, text=True, check=True
    ).stdout
    named = {
        target
        for page in PAGES
        for target in re.findall(r"`make (\w+)`|^make (\w+)", page.read_text("utf-8"), re.MULTILINE)
        for target in target
        if target
    }
    assert named >= {"serve", "test", "help", "lint", "setup", "lock"}
    for target in named:
        assert f"make {target} " in shown
