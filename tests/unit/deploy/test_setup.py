"""`make` reports at once if a checkout can't be set up or has been moved."""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from aurum.paths import CHECKOUT


def make(folder, *arguments):
    return subprocess.run(
        ["make", *arguments], cwd=folder, capture_output=True, text=True, check=False, timeout=60
    )


@pytest.fixture
def checkout(tmp_path):
    """Only the files that the Makefile's rule for `.venv` depends on."""
    folder = tmp_path / "a checkout"
    rule = (CHECKOUT / "Makefile").read_text().split(".venv/.%:")[1].partition("\n\t@")[0]
    needed = [word for word in rule.split() if (CHECKOUT / word).is_file()]
    assert "scripts/setup.sh" in needed
    for name in ("Makefile", *needed):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(CHECKOUT / name, folder / name)
    return folder


def test_a_concurrent_setup_is_refused(checkout):
    (checkout / ".aurum").mkdir()
    with (checkout / ".aurum" / "setup.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        ended = make(checkout, "serve", "PYTHON=false")
    assert ended.returncode
    assert "another set-up runs in this checkout" in ended.stderr.splitlines()[0]


def test_a_path_that_is_not_ascii_is_refused(checkout):
    ended = make(checkout.rename(checkout.with_name("zoë")), "serve", "PYTHON=false")
    assert ended.returncode
    assert "letters that are not ASCII" in ended.stderr.splitlines()[0]


def test_an_ascii_link_does_not_hide_such_a_path(checkout):
    real = checkout.rename(checkout.with_name("zoë"))
    checkout.symlink_to(real)
    ended = subprocess.run(
        ["scripts/setup.sh", "false", "serve"],
        cwd=checkout,
        env={**os.environ, "PWD": str(checkout)},  # as a shell sets it
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode
    assert ended.stderr.startswith(f"{real} has letters that are not ASCII")


def test_a_checkout_that_cannot_be_written_is_refused(checkout):
    if subprocess.run(["unshare", "-m", "true"], check=False, capture_output=True).returncode:
        pytest.skip("mounting is not allowed here")
    mounts = f"mount --bind '{checkout}' '{checkout}' && mount -o remount,bind,ro '{checkout}'"
    ended = subprocess.run(
        ["unshare", "-m", "sh", "-c", f"{mounts} && make -C '{checkout}' serve"],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert ended.returncode
    line = ended.stderr.splitlines()[0]
    assert line.startswith(f"{checkout} can't be written")
    assert "copy the checkout" in line


@pytest.mark.parametrize("moved", [True, False])
def test_a_moved_checkout_is_set_up_again(checkout, moved):
    """Its commands contain the path of the interpreter."""
    environment = checkout / ".venv"
    environment.mkdir()
    made = "/elsewhere" if moved else checkout
    (environment / "pyvenv.cfg").write_text(f"command = /usr/bin/python3 -m venv {made}/.venv\n")
    (environment / ".serve").touch()
    assert ("scripts/setup.sh" in make(checkout, "-n", "serve").stdout) == moved


@pytest.fixture
def environment(checkout):
    """A `.venv` as the setup leaves it, but with the packages of the current one."""
    binaries = checkout / ".venv" / "bin"
    binaries.mkdir(parents=True)
    shutil.copy2(CHECKOUT / "scripts" / "aurum", binaries)
    (binaries / "python").write_text(f'#!/bin/sh\nexec "{sys.executable}" "$@"\n')
    (binaries / "python").chmod(0o755)
    config = f"command = /usr/bin/python3 -m venv {binaries.parent}\n"
    (binaries.parent / "pyvenv.cfg").write_text(config)
    return binaries.parent


def aurum(environment: Path):
    return subprocess.run(
        [environment / "bin" / "aurum", "--version"], capture_output=True, text=True, check=False
    )


def test_the_command_runs_where_it_was_set_up(environment, tmp_path):
    assert aurum(environment).returncode == 0
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "aurum").symlink_to(environment / "bin" / "aurum")
    assert aurum(tmp_path).returncode == 0


@pytest.mark.parametrize("copied", [True, False])
def test_the_command_of_a_moved_or_copied_checkout_says_so(environment, copied):
    """Otherwise it would not be found, or would run the code of the other checkout."""
    place = environment.parent.with_name("another")
    (shutil.copytree if copied else shutil.move)(environment.parent, place)
    ended = aurum(place / ".venv")
    assert ended.returncode
    (line,) = ended.stderr.splitlines()
    assert line.startswith(f"aurum: {place}/.venv/bin was created as {environment}/bin")
    assert "run make serve" in line
