"""The code blocks of the docs: find them, run them as pasted, and read their commands."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

from aurum.paths import CHECKOUT

# A block marked `<!-- run -->` or `<!-- run name -->`, with the output shown below it, if any.
MARKED = re.compile(
    r"<!-- run(?: (\w+))? -->\n```(sh|python)\n(.*?)```\n(?:\n```text\n(.*?)```\n)?", re.DOTALL
)
SHELL = re.compile(r"^ *```sh\n(.*?)^ *```$", re.DOTALL | re.MULTILINE)
SEPARATORS = set("();<>|&\n")


class Block(NamedTuple):
    """A marked block: its name, language and text, and the output that the page shows."""

    name: str
    language: str
    text: str
    shown: str | None


def blocks(page: str) -> list[Block]:
    """The marked blocks of a page, which is named by its path in the checkout."""
    return [Block(*match.groups()) for match in MARKED.finditer(_text(page))]


def named(page: str) -> dict[str, Block]:
    """The marked blocks by name, or by number where they have none."""
    return {block.name or str(number): block for number, block in enumerate(blocks(page))}


def run(
    block: Block,
    folder: Path = CHECKOUT,
    ports: Mapping[str, str] | None = None,
    environment: Mapping[str, str] | None = None,
) -> str:
    """Run a block in a fresh shell in `folder` and return what it prints.

    The text runs as the page has it, except for `ports`. No virtual environment is active.
    """
    text = with_ports(block.text, ports or {})
    shell = {
        "sh": ["bash", "-euo", "pipefail", "-c", text],
        "python": [".venv/bin/python", "-c", text],
    }
    done = subprocess.run(
        shell[block.language],
        cwd=folder,
        env={**_fresh(), **(environment or {})},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, f"{text}\n{done.stdout}\n{done.stderr}"
    return done.stdout


def with_ports(text: str, ports: Mapping[str, str]) -> str:
    """Replace the default ports, each written as `:8000` or `8000` alone."""
    for old, new in ports.items():
        text = re.sub(rf"\b{re.escape(old)}\b", new, text)
    return text


def _fresh() -> dict[str, str]:
    """The environment without an active virtual environment."""
    environment = {name: value for name, value in os.environ.items() if name != "VIRTUAL_ENV"}
    own = {str(CHECKOUT / ".venv/bin"), str((CHECKOUT / ".venv/bin").resolve())}
    kept = [item for item in os.environ["PATH"].split(os.pathsep) if item not in own]
    return {**environment, "PATH": os.pathsep.join(kept)}


def as_checkout(folder: Path) -> Path:
    """Make `folder` a checkout with a `.aurum` of its own; all else links to the real one."""
    for item in CHECKOUT.iterdir():
        if item.name not in (".aurum", ".git", ".env", "backup"):
            (folder / item.name).symlink_to(item)
    (folder / ".aurum").mkdir()
    return folder


def commands(page: str) -> Iterator[list[str]]:
    """The words of each shell command in a page's `sh` blocks."""
    for block in SHELL.findall(_text(page)):
        for line in re.sub(r"\\\n", " ", block).splitlines():
            yield from _split(line)


def inline(page: str) -> Iterator[list[str]]:
    """The words of each command in the prose: `aurum ...`, `python -m ...`."""
    prose = re.sub(r"^ *```.*?^ *```$", "", _text(page), flags=re.DOTALL | re.MULTILINE)
    for text in re.findall(r"`((?:\.venv/bin/)?(?:aurum|python3?) [^`]+)`", prose):
        yield from _split(" ".join(text.split()))


def _split(line: str) -> Iterator[list[str]]:
    lexer = shlex.shlex(line, posix=True, punctuation_chars="();<>|&")
    lexer.whitespace_split = True
    try:
        words = list(lexer)
    except ValueError:  # a quotation that spans lines: none of our commands
        return
    command: list[str] = []
    for word in [*words, ";"]:
        if set(word) <= SEPARATORS:
            if command:
                yield command
            command = []
        elif command or not re.match(r"\w+=", word):  # settings before a command
            command.append(word)


def _text(page: str) -> str:
    return (CHECKOUT / page).read_text(encoding="utf-8")
