"""The built distributions: their files and metadata, and a README that works outside a checkout."""

from __future__ import annotations

import re
import subprocess
import sys
import tarfile
import tomllib
from email import message_from_bytes
from email.message import Message
from pathlib import Path
from zipfile import ZipFile

import pytest

PROJECT = Path(__file__).parents[1]
PACKAGE = PROJECT / "src/aurum_client"


def wheel_of(source: Path, folder: Path) -> ZipFile:
    flags = ["--no-deps", "--no-build-isolation", "--no-index", "--quiet"]
    command = [sys.executable, "-m", "pip", "wheel", *flags, "--wheel-dir", str(folder)]
    subprocess.run([*command, str(source)], check=True)
    (wheel,) = folder.glob("*.whl")
    return ZipFile(wheel)


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    with wheel_of(PROJECT, tmp_path_factory.mktemp("wheel")) as wheel:
        yield wheel


@pytest.fixture(scope="module")
def metadata(wheel) -> Message:
    (name,) = [name for name in wheel.namelist() if name.endswith(".dist-info/METADATA")]
    return message_from_bytes(wheel.read(name))


def test_the_wheel_holds_the_package_and_the_license(wheel):
    names = set(wheel.namelist())
    modules = {f"aurum_client/{path.name}" for path in PACKAGE.glob("*.py")}
    assert {name for name in names if ".dist-info/" not in name} == {
        *modules,
        "aurum_client/py.typed",
    }
    (license_name,) = [name for name in names if name.endswith(".dist-info/licenses/LICENSE")]
    text = wheel.read(license_name)
    assert text == (PROJECT.parents[1] / "LICENSE").read_bytes()


def test_the_metadata_matches_the_project(metadata):
    project = tomllib.loads((PROJECT / "pyproject.toml").read_text())["project"]
    assert (metadata["Name"], metadata["Version"]) == ("aurum-face-client", project["version"])
    assert metadata["License-Expression"] == "Apache-2.0"
    assert metadata.get_all("License-File") == ["LICENSE"]
    assert metadata["Requires-Python"] == ">=3.11"
    urls = dict(entry.split(", ") for entry in metadata.get_all("Project-URL"))
    assert urls == project["urls"]
    assert {"Homepage", "Documentation", "Changelog", "Issues"} <= urls.keys()
    assert all(url.startswith("https://") for url in urls.values())


def test_the_readme_has_no_relative_link(metadata):
    assert metadata["Description-Content-Type"] == "text/markdown"
    readme = metadata.get_payload()
    assert readme == (PROJECT / "README.md").read_text()
    targets = re.findall(r"\]\(([^)\s]+)", readme) + re.findall(r"(?:href|src)=\"([^\"]+)", readme)
    targets += re.findall(r"^\[[^\]]+\]:\s*(\S+)", readme, re.M)
    assert targets
    assert all(target.startswith("https://") for target in targets)


def test_linked_repository_files_exist(metadata):
    text = metadata.as_string() + "".join(path.read_text() for path in PACKAGE.glob("*.py"))
    linked = re.findall(r"aurum-face-serving/(?:blob|tree)/main/([\w./-]*\w)", text)
    assert linked
    for path in linked:
        assert (PROJECT.parents[1] / path).exists(), path


def test_the_sdist_builds_the_same_wheel(wheel, tmp_path):
    command = [sys.executable, "-m", "hatchling", "build", "--target", "sdist"]
    subprocess.run([*command, "--directory", str(tmp_path)], cwd=PROJECT, check=True)
    (sdist,) = tmp_path.glob("*.tar.gz")
    with tarfile.open(sdist) as archive:
        assert {"LICENSE", "README.md"} <= {Path(name).name for name in archive.getnames()}
    with wheel_of(sdist, tmp_path) as rebuilt:
        assert sorted(rebuilt.namelist()) == sorted(wheel.namelist())
