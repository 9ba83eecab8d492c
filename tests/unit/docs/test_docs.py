"""Links, headings, files, figures and commands in the docs exist."""

import importlib.util
import re
import subprocess
from pathlib import Path

import doc_blocks
import pytest
import typer

from aurum.cli.app import app
from aurum.paths import CHECKOUT
from benchmarks.__main__ import COMMANDS

PAGES = [CHECKOUT / "README.md", CHECKOUT / "CHANGELOG.md", *sorted(CHECKOUT.glob("docs/**/*.md"))]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_relative_links_resolve(page):
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


def test_headings_in_links_exist():
    for page in PAGES:
        for link in re.findall(r"\]\(([^)\s]*#[^)\s]+)\)", page.read_text(encoding="utf-8")):
            path, _, anchor = link.partition("#")
            if path.startswith("http"):
                continue
            target = (page.parent / path) if path else page
            assert anchor in anchors(target.read_text(encoding="utf-8")), f"{page.name}: {link}"


def anchors(text: str) -> set[str]:
    """Heading anchors as GitHub makes them: lower case, no punctuation, dashes for spaces."""
    headings = re.findall(r"^#+ (.*)$", text, re.MULTILINE)
    plain = [re.sub(r"\]\([^)]*\)", "", heading).lower() for heading in headings]
    return {re.sub(r"[^\w\- ]", "", heading).replace(" ", "-") for heading in plain}


ROADMAP = CHECKOUT / "docs" / "reports" / "acceptance.md"


def test_files_named_in_the_acceptance_page_exist():
    quoted = re.findall(r"`([^`]+)`", ROADMAP.read_text(encoding="utf-8"))
    paths = [word for text in quoted for word in re.findall(r"(?:tests|aurum|docs)/[\w./-]+", text)]
    assert len(paths) > 20
    for path in paths:
        assert (CHECKOUT / path).exists(), path


def test_figures_in_the_acceptance_page_are_in_their_sources():
    text = ROADMAP.read_text(encoding="utf-8").partition("## Required figures")[2]
    rows = [line.split("|") for line in text.partition("\n## ")[0].splitlines() if "](" in line]
    checked = 0
    for row in (row for row in rows if len(row) > 3):
        (source,) = re.findall(r"\[\w+\]\(([^)#]+)", row[3])
        content = (ROADMAP.parent / source).read_text(encoding="utf-8")
        for figure in filter(re.compile(r"\d").search, row[2].split("`")[1::2]):
            assert figure in content, f"{figure} is not in {source}"
            checked += 1
    assert checked >= 12


# Programs whose subcommands and options are checked.
PROGRAMS = {("aurum",): typer.main.get_command(app)}
WITH_COMMANDS = [page for page in PAGES if page.name != "CHANGELOG.md"]  # it has old names, too
WITH_COMMANDS += sorted(CHECKOUT.glob("*/*/README.md"))
TOLD = [page.relative_to(CHECKOUT).as_posix() for page in WITH_COMMANDS]


@pytest.mark.parametrize("page", TOLD)
def test_commands_exist_with_their_options(page):
    for words in doc_blocks.commands(page):
        check_command(words)
    for words in doc_blocks.inline(page):
        check_command(words, whole=False)


@pytest.mark.parametrize("page", [page for page in TOLD if page.startswith(("README", "docs"))])
def test_commands_run_without_an_active_environment(page):
    """One convention: `.venv/bin/aurum`, which works in any shell in the checkout."""
    for words in doc_blocks.commands(page):
        assert words[0] not in ("aurum", "python"), " ".join(words)


@pytest.mark.parametrize(
    "wrong",
    [
        "aurum edge-of-it up",
        "aurum rollout",
        "aurum rollout promote --new-space",
        "aurum compare only-one.jpg",
        "aurum detect a.jpg --draw",
        ".venv/bin/aurum gateway reload now",
        ".venv/bin/python -m benchmarks.not_there",
    ],
)
def test_a_wrong_command_is_detected(wrong):
    with pytest.raises(AssertionError):
        check_command(wrong.split())


def check_command(words: list[str], *, whole: bool = True) -> None:
    """Assert that the program isn't ours, or that it knows these subcommands and options.

    `whole`: the command must be complete; otherwise it may be a mention, such as `aurum rollout`.
    """
    shown = " ".join(words)
    program, *rest = Path(words[0]).name, *words[1:]
    line = ["python" if program == "python3" else program, *rest]
    if line[:2] == ["aurum", "bench"]:  # passes everything on
        line = ["python", "-m", "benchmarks", *line[2:]]
    for prefix, command in PROGRAMS.items():
        if tuple(line[: len(prefix)]) == prefix:
            check_arguments(command, line[len(prefix) :], shown, whole=whole)
            return
    if line[:3] == ["python", "-m", "benchmarks"] and line[3:]:
        assert any(" ".join(line[3 : 3 + n]) in COMMANDS for n in (1, 2)), (
            f"no such command: {shown}"
        )
    elif line[:2] == ["python", "-m"] and line[2].split(".")[0] in ("aurum", "benchmarks"):
        assert can_run(line[2]), f"no such module: {shown}"


def can_run(module: str) -> bool:
    """Return whether `python -m module` finds something to run."""
    try:
        found = importlib.util.find_spec(module)
    except ModuleNotFoundError:
        return False
    if found and found.submodule_search_locations:  # a package
        return importlib.util.find_spec(f"{module}.__main__") is not None
    return found is not None


def check_arguments(command, words: list[str], shown: str, *, whole: bool) -> None:
    """Walk down to the subcommand and let its own parser read the options and arguments."""
    context = command.make_context(command.name, [], resilient_parsing=True)
    while hasattr(command, "commands") and words and not words[0].startswith("-"):
        assert words[0] in command.commands, f"no subcommand {words[0]!r}: {shown}"
        command, words = command.commands[words[0]], words[1:]
        context = type(context)(command, parent=context, info_name=command.name)
    if not whole and not words:
        return
    assert not whole or words or not hasattr(command, "commands"), f"no subcommand: {shown}"
    context.resilient_parsing = False
    try:
        given, left, _ = command.make_parser(context).parse_args(words)
    except Exception as error:  # click's own, or Typer's copy of it
        raise AssertionError(f"{error}: {shown}") from error
    assert not left, f"unexpected arguments {left}: {shown}"
    if whole and not given.get("help"):
        for item in command.params:
            assert given.get(item.name) or not item.required, f"no {item.name}: {shown}"
