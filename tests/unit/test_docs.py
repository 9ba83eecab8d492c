"""What the docs point to exists."""

import re
import subprocess

import pytest

from aurum.paths import CHECKOUT

PAGES = [CHECKOUT / "README.md", CHECKOUT / "CHANGELOG.md", *sorted(CHECKOUT.glob("docs/**/*.md"))]


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
        for target in re.findall(
            r"`make ([\w-]+)`|^make ([\w-]+)", page.read_text("utf-8"), re.MULTILINE
        )
        for target in target
        if target
    }
    assert named >= {"serve", "test", "help", "lint", "setup", "lock"}
    for target in named:
        assert f"make {target} " in shown


def test_the_headings_that_links_name_exist():
    for page in PAGES:
        for link in re.findall(r"\]\(([^)\s]*#[^)\s]+)\)", page.read_text(encoding="utf-8")):
            path, _, anchor = link.partition("#")
            if path.startswith("http"):
                continue
            target = (page.parent / path) if path else page
            assert anchor in anchors(target.read_text(encoding="utf-8")), f"{page.name}: {link}"


def anchors(text: str) -> set[str]:
    """GitHub's: lower case, without punctuation, dashes for blanks."""
    headings = re.findall(r"^#+ (.*)$", text, re.MULTILINE)
    plain = [re.sub(r"\]\([^)]*\)", "", heading).lower() for heading in headings]
    return {re.sub(r"[^\w\- ]", "", heading).replace(" ", "-") for heading in plain}


ACCEPTANCE = CHECKOUT / "docs" / "reports" / "acceptance.md"


def test_the_files_that_the_acceptance_page_names_exist():
    quoted = re.findall(r"`([^`]+)`", ACCEPTANCE.read_text(encoding="utf-8"))
    paths = [word for text in quoted for word in re.findall(r"(?:tests|aurum|docs)/[\w./-]+", text)]
    assert len(paths) > 20
    for path in paths:
        assert (CHECKOUT / path).exists(), path


def test_the_acceptance_figures_are_in_their_sources():
    text = ACCEPTANCE.read_text(encoding="utf-8").partition("## Required figures")[2]
    rows = [line.split("|") for line in text.partition("\n## ")[0].splitlines() if "](" in line]
    checked = 0
    for row in (row for row in rows if len(row) > 3):
        (source,) = re.findall(r"\[\w+\]\(([^)#]+)", row[3])
        content = (ACCEPTANCE.parent / source).read_text(encoding="utf-8")
        for figure in filter(re.compile(r"\d").search, row[2].split("`")[1::2]):
            assert figure in content, f"{figure} is not in {source}"
            checked += 1
    assert checked >= 12
