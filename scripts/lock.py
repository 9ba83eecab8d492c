"""Write `locks/` anew: every Python package that is installed, in one version, with its hashes.

`make lock` takes the newest versions that fit; `make lock KEEP=--keep` only adds what is new in a
pyproject.toml. Each file is what pip gets with --require-hashes and --no-deps:

- serve.txt  what `make serve` needs;
- test.txt   that, and what tests, linters and benchmarks need;
- image.txt  what the steps import in NVIDIA's container.

uv resolves for Python 3.11 and 3.12 at once, and names the hashes of all files of a version.
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
# What the tests use of it are the classes of its objects, which need none of its packages.
ALONE = ["kserve"]
WHERE = "sys_platform == 'linux' and platform_machine == 'x86_64' and python_version < '3.13'"
HEAD = "# Written by `make lock`; what is in it comes from pyproject.toml.\n"


def main() -> int:
    """Resolve all lists, the largest first, whose versions the others take."""
    keep = "--keep" in sys.argv[1:]
    serving = _project("pyproject.toml")
    client = _project("client/python/pyproject.toml")
    extras = serving["optional-dependencies"]
    build = _document("pyproject.toml")["build-system"]["requires"]
    serve = _others(serving["dependencies"] + client["dependencies"] + build)
    test = LOCKS / "test.txt"
    pins = test.read_text() if keep else ""
    locked = resolved(
        serve + _others(extras["test"] + extras["bench"] + extras["evaluation"]), pins
    )
    alone = resolved(ALONE, pins, "--no-deps")
    image = _document("pyproject.toml")["dependency-groups"]["image"]
    files = {
        "test.txt": locked + alone,
        "serve.txt": resolved(serve, locked),
        "image.txt": resolved(image, locked),
    }
    LOCKS.mkdir(exist_ok=True)
    for name, text in files.items():
        (LOCKS / name).write_text(HEAD + text)
    return 0


def resolved(wanted: list[str], pins: str, *more: str) -> str:
    """The requirements of `wanted` and all that they need, in the versions of `pins`."""
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
            cwd=folder,  # away from the settings of a project around it
            capture_output=True,
            text=True,
            check=False,
        )
    if run.returncode:
        raise SystemExit(run.stderr)
    return _for_all(run.stdout)


def _for_all(text: str) -> str:
    """Without the words that the lock is for our platform alone, and what is for none of ours."""
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
