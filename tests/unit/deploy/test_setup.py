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


COMMON = ("cat", "dirname", "flock", "grep", "id", "mkdir", "rm", "sed", "sh", "tail")
PYTHON = """#!/bin/sh
case "$*" in
    *version_info*) echo 3.11 ;;
    *) exit 1 ;;
esac
"""


@pytest.fixture
def bare(checkout, tmp_path):
    """Run the set-up for tests on a machine that has no more than a shell and a bare Python."""
    binaries = tmp_path / "bin"
    binaries.mkdir()
    for name in COMMON:
        (binaries / name).symlink_to(shutil.which(name))

    def program(name, text, folder=binaries):
        (folder / name).write_text(text)
        (folder / name).chmod(0o755)

    program("python-bare", PYTHON)

    def run(*arguments):
        return subprocess.run(
            ["scripts/setup.sh", *arguments],
            cwd=checkout,
            env={"PATH": str(binaries)},
            capture_output=True,
            text=True,
            check=False,
        )

    run.program = program
    return run


NEEDED = [
    *("python3.11-venv", "libpython3.11", "g++", "wrk", "strace", "redis-server"),
    *("prometheus", "prometheus-alertmanager", "prometheus-blackbox-exporter"),
    *("prometheus-process-exporter", "openssl"),
]


def test_all_missing_packages_are_named_at_once(bare, checkout):
    """Files outside the PATH, such as nginx's, may be there or not."""
    ended = bare("python-bare", "test")

    (line,) = (line for line in ended.stderr.splitlines() if line.startswith("please install"))
    named = line.partition(": sudo apt-get install ")[2].split()
    assert [name for name in named if name in NEEDED] == NEEDED
    for name in named:
        assert f"\n  {name}: " in ended.stderr  # why
    assert ended.returncode == 1
    assert not (checkout / ".venv").exists()


def test_without_python_the_rest_is_named_too(bare):
    ended = bare("python3", "serve")

    line = next(line for line in ended.stderr.splitlines() if line.startswith("please install"))
    assert "python3 python3-venv libpython3-dev g++" in line
    assert "wrk" not in line  # only the tests need it


def test_root_installs_all_missing_packages_at_once(bare, checkout):
    bare.program("id", "#!/bin/sh\necho 0\n")
    bare.program("apt-get", "#!/bin/sh\n")
    log = '#!/bin/sh\necho "$@" >>installed\n'
    bare.program("apt_install.sh", log, checkout / "scripts")

    ended = bare("python-bare", "test")

    first, *wishes = (checkout / "installed").read_text().splitlines()
    assert [name for name in first.split() if name in NEEDED] == NEEDED
    assert set(wishes) <= {"libnginx-mod-http-js", "chromium"}
    # Nothing was really installed, which is noticed.
    assert ended.returncode == 1
    assert "please install these packages" in ended.stderr


PIP = """#!/bin/sh
case "$*" in
    *--require-hashes*)
        for number in $(seq 60); do echo "Collecting package$number==1.0"; done
        echo "Installing collected packages: all"
        exit 7 ;;
esac
"""


def test_the_set_up_shows_its_progress_and_ends_with_pips_failure(bare, checkout):
    for name in ("g++", "python-full"):
        bare.program(name, PYTHON.replace("exit 1", "exit 0"))
    bare.program("seq", f'#!/bin/sh\nexec {shutil.which("seq")} "$@"\n')
    shutil.copytree(CHECKOUT / "locks", checkout / "locks")
    (checkout / ".venv" / "bin").mkdir(parents=True)
    bare.program("python", PIP, checkout / ".venv" / "bin")
    if not Path("/usr/include/nlohmann/json.hpp").exists():
        pytest.skip("the set-up needs nlohmann-json3-dev")

    ended = bare("python-full", "serve")

    total = (checkout / "locks" / "serve.txt").read_text().count("==")
    assert ended.stdout.splitlines() == [
        "1/4 keeping .venv",
        f"2/4 installing {total} Python packages",
        f"    25 of {total}",
        f"    50 of {total}",
        "    unpacking them",
    ]
    assert ended.returncode == 7


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


def test_the_set_up_looks_for_pythons_library_without_any_package():
    """There are none yet; an error would be taken for a missing library."""
    code = "from aurum.server.runtime import find_libpython; find_libpython()"
    assert code in (CHECKOUT / "scripts" / "setup.sh").read_text()
    done = subprocess.run(
        [sys.executable, "-S", "-B", "-c", code],
        env={"PYTHONPATH": str(CHECKOUT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
