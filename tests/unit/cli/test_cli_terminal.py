"""The command line in a terminal: help, completion, colours, narrow windows."""

import os
import pty
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from cli_fakes import run
from rich.console import Console
from rich.text import Text

from aurum.cli import tables
from aurum.cli.app import UP_SETTINGS
from aurum.settings import PREFIX

COLOUR = re.compile(rb"\x1b\[(?:\d+;)*(?:[34]\d|9\d|10\d)(?:;\d+)*m")  # ECMA-48 and aixterm
PROGRAM = "from aurum.cli.app import main; main()"


def in_terminal(home, *arguments, **environment):
    """What the command writes to a terminal that has colours."""
    ours, theirs = pty.openpty()
    kept = {name: value for name, value in os.environ.items() if name != "NO_COLOR"}
    process = subprocess.Popen(
        [sys.executable, "-c", PROGRAM, *arguments],
        env={**kept, "TERM": "xterm-256color", "HOME": str(home), **environment},
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
    )
    os.close(theirs)
    written = b""
    try:
        while part := os.read(ours, 1 << 16):
            written += part
    except OSError:  # the other end is closed
        pass
    os.close(ours)
    process.wait()
    return written


COMMANDS = [
    ["--help"],
    ["models", "list"],
    ["doctor"],
    ["--install-completion", "bash"],
]


@pytest.mark.parametrize("arguments", COMMANDS)
def test_no_color_is_honoured(tmp_path, arguments):
    assert COLOUR.search(in_terminal(tmp_path, *arguments))
    assert not COLOUR.search(in_terminal(tmp_path, *arguments, NO_COLOR="1"))


@pytest.mark.skipif(not shutil.which("bash"), reason="no bash")
def test_completion_is_installed_and_completes(tmp_path):
    binaries = tmp_path / "bin"
    binaries.mkdir()
    command = binaries / "aurum"
    command.write_text(f"#!{sys.executable}\nimport sys\nsys.argv[0] = 'aurum'\n{PROGRAM}\n")
    command.chmod(0o755)
    environment = {
        **os.environ,
        "HOME": str(tmp_path),
        "PATH": f"{binaries}{os.pathsep}{os.environ['PATH']}",
    }
    subprocess.run(["aurum", "--install-completion", "bash"], env=environment, check=True)

    complete = (
        "source ~/.bashrc; COMP_WORDS=(aurum models p) COMP_CWORD=2; _aurum_completion aurum; "
        'complete -p aurum; echo "${COMPREPLY[@]}"'
    )
    shown = subprocess.run(
        ["bash", "-c", complete],
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )
    registered, found = shown.stdout.splitlines()
    assert registered == "complete -o default -F _aurum_completion aurum"
    assert found == "pull"


def test_help_of_up_names_settings_docs_and_exit_codes(monkeypatch):
    monkeypatch.setenv("COLUMNS", "200")
    shown = run("up", "--help").stdout

    for name in UP_SETTINGS:
        assert re.search(rf"^ *{PREFIX}{name.upper()}( \(\d+\))?: \w", shown, re.MULTILINE)
    assert "AURUM_HTTP_PORT (8000): Port of Triton's HTTP endpoint." in shown
    for page in re.findall(r"docs/[\w/]+\.md", shown):
        assert Path(page).is_file()
    assert "docs/reference/configuration.md" in shown
    assert "Exit codes: 0 stopped as asked" in " ".join(shown.split())


def test_help_names_the_exit_codes_of_all_commands(monkeypatch):
    monkeypatch.setenv("COLUMNS", "400")

    assert "Exit codes of all commands: 0 done; 1 failed; 2 wrong usage" in run("--help").stdout


def test_keys_list_says_where_there_are_none(tmp_path, monkeypatch):
    monkeypatch.setenv("AURUM_GATEWAY_KEYS", str(tmp_path / "keys"))

    none = run("gateway", "keys", "list")
    run("gateway", "keys", "add", "ann")
    one = run("gateway", "keys", "list")

    assert none.exit_code == one.exit_code == 0
    assert none.stdout == ""  # for scripts that count lines
    assert none.stderr == (
        f"{tmp_path}/keys has no keys; to create one: aurum gateway keys add ID\n"
    )
    assert re.fullmatch(r"ann [0-9a-f]{12}\n", one.stdout)
    assert one.stderr == ""


def test_models_list_reads_well_in_a_narrow_window(monkeypatch):
    monkeypatch.setenv("COLUMNS", "60")
    lines = run("models", "list").stdout.splitlines()

    assert max(map(len, lines)) <= 60
    place = lines.index("edgeface_xs_q")  # on a line of its own, whole
    names = [line.split()[0] for line in lines[place + 1 : place + 6]]
    assert names == ["role", "MB", "file", "commercial", "licence"]


HEADERS = ("name", "number", "text")
ROWS = [("a_name_to_copy", "1", "long words " * 10), (Text("b"), "", "short")]


def drawn(width):
    console = Console(width=width, color_system=None)
    with console.capture() as capture:
        tables.show(console, HEADERS, ROWS)
    return [line.rstrip() for line in capture.get().splitlines()]


def test_a_table_wraps_only_its_last_column():
    narrowest = len("a_name_to_copy  number  ") + tables.LAST
    lines = drawn(narrowest)

    assert lines[0].split() == ["name", "number", "text"]
    assert lines[1].split() == ["a_name_to_copy", "1", *("long", "words") * 2]
    assert lines[-1].split() == ["b", "short"]
    assert max(map(len, lines)) <= narrowest
    assert drawn(narrowest - 1)[0] == "a_name_to_copy"


def test_a_table_that_is_too_wide_becomes_blocks_without_empty_cells():
    lines = drawn(30)

    assert lines[:2] == ["a_name_to_copy", "  number  1"]
    assert lines[2] == "  text    long words long"
    assert lines[-2:] == ["b", "  text  short"]
    assert max(map(len, lines)) <= 30
