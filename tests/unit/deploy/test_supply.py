"""The supply chain: what is installed matches the locks, with a hash for each file."""

from __future__ import annotations

import importlib.metadata
import json
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from aurum.paths import CHECKOUT

LOCKS = CHECKOUT / "locks"
OWN = {"aurum-face-serving", "aurum-face-client"}
LISTS = ("serve.txt", "test.txt", "image.txt", "bulk.txt")


def locked(name: str) -> dict[str, tuple[str, int]]:
    """The version and number of hashes of each package in a lock."""
    entries = re.split(r"^(?=\w)", (LOCKS / name).read_text(), flags=re.M)[1:]
    found = {}
    for entry in entries:
        package, version = re.match(r"([\w.-]+)==([^\s;\\]+)", entry).groups()
        found[plain(package)] = (version, len(re.findall(r"--hash=sha256:[0-9a-f]{64}\b", entry)))
    return found


def plain(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


@pytest.mark.parametrize("name", LISTS)
def test_each_package_has_one_version_and_hashes(name: str):
    packages = locked(name)
    assert packages
    assert all(hashes for _, hashes in packages.values())
    assert packages.items() <= locked("test.txt").items()


def test_all_declared_dependencies_are_locked():
    wanted: dict[str, list[str]] = {name: [] for name in LISTS}
    for path in ("pyproject.toml", "client/python/pyproject.toml"):
        document = tomllib.loads((CHECKOUT / path).read_text())
        wanted["serve.txt"] += document["project"]["dependencies"]
        for extra in document["project"].get("optional-dependencies", {}).values():
            wanted["test.txt"] += extra
        for group, names in document.get("dependency-groups", {}).items():
            wanted[f"{group}.txt"] += names
    for name, requirements in wanted.items():
        names = {plain(re.split(r"[^\w.-]", one)[0]) for one in requirements} - OWN
        assert names <= locked(name).keys()


def test_the_installed_versions_are_the_locked_ones():
    for name, (version, _) in locked("test.txt").items():
        assert importlib.metadata.version(name) == version, name


@pytest.mark.parametrize("path", ["scripts/setup.sh", "Dockerfile", "deploy/bulk/Dockerfile"])
def test_nothing_else_is_installed(path: str):
    text = (CHECKOUT / path).read_text().replace("\\\n", " ")
    installs = re.findall(r"pip install (.*)", text)
    assert installs
    for flags in installs:
        assert "--no-deps" in flags
        assert "--require-hashes" in flags or "--no-build-isolation" in flags


def test_a_file_that_is_not_in_the_lock_is_refused(tmp_path: Path):
    """pip itself, run offline with a file that differs from the locked one."""
    name = "locked-1.0-py3-none-any.whl"
    (tmp_path / name).write_bytes(b"another")
    lock = tmp_path / "lock.txt"
    lock.write_text(f"locked==1.0 --hash=sha256:{'0' * 64}\n")
    flags = ["--no-index", "--find-links", str(tmp_path), "--require-hashes", "--no-deps"]
    pip = [sys.executable, "-m", "pip", "download", "--dest", str(tmp_path / "to")]
    run = subprocess.run(
        [*pip, *flags, "--requirement", str(lock)], capture_output=True, text=True, check=False
    )
    assert run.returncode
    assert "DO NOT MATCH THE HASHES" in run.stderr


def test_libraries_inside_wheels_are_listed(tmp_path: Path):
    script = [sys.executable, str(CHECKOUT / "scripts" / "bundled.py")]
    run = subprocess.run(script, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stdout
    for library in ("libpng 1.", "libjpeg-turbo ", "avcodec ", "heif ", "openjp2 "):
        assert f"\n  {library}" in run.stdout
    target = tmp_path / "bundled.json"
    subprocess.run([*script, "--cyclonedx", str(target)], check=True)
    document = json.loads(target.read_text())
    assert document["bomFormat"] == "CycloneDX"
    [opencv] = [one for one in document["components"] if one["name"].startswith("opencv")]
    assert "libpng" in {one["name"] for one in opencv["components"]}
