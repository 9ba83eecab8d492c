"""Rewrite `locks/`: every Python package that we install, pinned to one version, with its hashes.

`make lock` takes the newest compatible versions; `make lock KEEP=--keep` only adds packages that
are new in a pyproject.toml. pip installs each file with --require-hashes and --no-deps:

- serve.txt  packages for `make serve`;
- test.txt   the same, plus packages for tests, linters and benchmarks;
- image.txt  packages that the step imports in NVIDIA's container;
- bulk.txt   packages that `aurum bulk` imports in the container of its Job.

uv resolves for Python 3.11 and 3.12 at once, and lists the hashes of all files of a version.
"""

from __future__ import annotations

import re
import subprocess
import sys
import tempfile
import tomllib
from pathlib import Path
from typing import Any

CHECKOUT = Path(__file__).parents[1]
LOCKS = CHECKOUT / "locks"
OWN = {"aurum-face-serving", "aurum-face-client"}
# Installed without dependencies: the tests only use the classes of its objects.
ALONE = ["kserve"]
WHERE = "sys_platform == 'linux' and platform_machine == 'x86_64' and python_version < '3.13'"
HEAD = "# Written by `make lock`; the packages are defined in pyproject.toml.\n"


def main() -> int:
    """Resolve all lists; the largest comes first and determines the versions of the others."""
    keep = "--keep" in sys.argv[1:]
    serving = _project("pyproject.toml")
    client = _project("client/python/pyproject.toml")
    extras = serving["optional-dependencies"]
    build = _document("pyproject.toml")["build-system"]["requires"]
    serve = _others(serving["dependencies"] + client["dependencies"] + build)
    test = LOCKS / "test.txt"
    pins = test.read_text() if keep else ""
    optional = [one for extra in extras.values() for one in extra]
    locked = resolved(serve + _others(optional), pins)
    alone = resolved(ALONE, pins, "--no-deps")
    groups = _document("pyproject.toml")["dependency-groups"]
    files = {
        "test.txt": locked + alone,
        "serve.txt": resolved(serve, locked),
        "image.txt": resolved(groups["image"], locked),
        "bulk.txt": resolved(groups["bulk"] + client["dependencies"], locked),
    }
    LOCKS.mkdir(exist_ok=True)
    for name, text in files.items():
        (LOCKS / name).write_text(HEAD + text)
    return 0


def resolved(wanted: list[str], pins: str, *more: str) -> str:
    """Resolve `wanted` and their dependencies, in the versions of `pins`."""
    with tempfile.TemporaryDirectory() as folder:
        project, constraints = Path(folder) / "pyproject.toml", Path(folder) / "pins.txt"
        project.write_text(
            f'[project]\nname = "wanted"\nversion = "0"\nrequires-python = ">=3.11"\n'
            f'dependencies = {wanted}\n[tool.uv]\nenvironments = ["{WHERE}"]\n'
        )
        constraints.write_text("\n".join(re.findall(r"^[\w.-]+==[^\s;\\]+", pins, re.M)))
        command = [sys.executable, "-m", "uv", "pip", "compile", str(project), "--universal"]
        flags = ["--generate-hashes", "--no-header", "--no-annotate", "--quiet"]
        run = subprocess.run(
            [*command, *flags, *more, "--constraint", str(constraints)],
            cwd=folder,  # outside the checkout, so that its uv settings don't apply
            capture_output=True,
            text=True,
            check=False,
        )
    if run.returncode:
        raise SystemExit(run.stderr)
    return _for_all(run.stdout)


def _for_all(text: str) -> str:
    """Remove markers of our platform, and packages that are not for any of our interpreters."""
    entries = re.split(r"^(?=\w)", text, flags=re.M)
    kept = [entry for entry in entries if "implementation_name == 'pypy'" not in entry]
    return re.sub(
        r" ; python_full_version < '3.13' and .*sys_platform == 'linux'", "", "".join(kept)
    )


def _others(requirements: list[str]) -> list[str]:
    return [one for one in requirements if re.split(r"[^\w-]", one)[0] not in OWN]


def _project(path: str) -> dict[str, Any]:
    project: dict[str, Any] = _document(path)["project"]
    return project


def _document(path: str) -> dict[str, Any]:
    return tomllib.loads((CHECKOUT / path).read_text())


if __name__ == "__main__":
    sys.exit(main())
