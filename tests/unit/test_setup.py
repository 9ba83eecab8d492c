"""Where and when a checkout can't be set up, `make` says so at once."""

from __future__ import annotations

import fcntl
import shutil
import subprocess

import pytest

from aurum.settings import CHECKOUT


def make(folder, *arguments):
    return subprocess.run(
        ["make", *arguments], cwd=folder, capture_output=True, text=True, check=False, timeout=60
    )


@pytest.fixture
def checkout(tmp_path):
    """What the Makefile's rule for `.venv` is made of, and nothing else."""
    folder = tmp_path / "a checkout"
    rule = (CHECKOUT / "Makefile").read_text().split(".venv/.%:")[1].partition("\n\t@")[0]
    needed = [word for word in rule.split() if (CHECKOUT / word).is_file()]
    assert "scripts/setup.sh" in needed
    for name in ("Makefile", *needed):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(CHECKOUT / name, folder / name)
    return folder


def test_a_second_set_up_is_refused(checkout):
    (checkout / ".aurum").mkdir()
    with (checkout / ".aurum" / "setup.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        ended = make(checkout, "serve", "PYTHON=false")
    assert ended.returncode
    assert "another set-up runs in this checkout" in ended.stderr.splitlines()[0]


def test_letters_that_are_not_ascii_are_refused(checkout):
    ended = make(checkout.rename(checkout.with_name("zoë")), "serve", "PYTHON=false")
    assert ended.returncode
    assert "letters that are not ASCII" in ended.stderr.splitlines()[0]


@pytest.mark.parametrize("moved", [True, False])
def test_a_moved_checkout_is_set_up_anew(checkout, moved):
    """Its commands name the interpreter where it was."""
    environment = checkout / ".venv"
    environment.mkdir()
    made = "/elsewhere" if moved else checkout
    (environment / "pyvenv.cfg").write_text(f"command = /usr/bin/python3 -m venv {made}/.venv\n")
    (environment / ".serve").touch()
    assert ("scripts/setup.sh" in make(checkout, "-n", "serve").stdout) == moved
