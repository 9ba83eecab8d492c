"""The built packages, installed outside the checkout and run by a user who may not write there."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import signal
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from importlib.metadata import version
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from aurum.paths import CHECKOUT, PHOTO
from aurum.server.ephemeral import free_ports

NOBODY = 65534
# All of root's capabilities except to read other users' files: this Python may be in root's home.
AS_NOBODY = (
    f"setpriv --reuid {NOBODY} --regid {NOBODY} --clear-groups "
    "--inh-caps -all,+dac_read_search --ambient-caps -all,+dac_read_search"
).split()
START = 300  # seconds, with two libraries to compile


@contextlib.contextmanager
def open_folder():
    """A folder that every user can enter; pytest's own are private."""
    with tempfile.TemporaryDirectory(prefix="aurum-package-") as name:
        Path(name).chmod(0o755)
        yield Path(name)


@pytest.fixture(scope="module")
def packages(tmp_path_factory):
    """Wheels of both packages, each built from its sdist, and the sdists."""
    out = tmp_path_factory.mktemp("packages")
    for project in (CHECKOUT / "client" / "python", CHECKOUT):
        command = [sys.executable, "-m", "build", "--no-isolation", "--outdir", out, project]
        subprocess.run(command, check=True, capture_output=True)
    return out


@pytest.fixture(scope="module")
def installed(packages):
    """A virtual environment with our wheels; dependencies come from the tests' environment."""
    with open_folder() as folder:
        subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder], check=True)
        [site] = folder.glob("lib/python3*/site-packages")
        # Only the path is added: .pth files there, such as the checkout's, are not read.
        (site / "others.pth").write_text(str(Path(pytest.__file__).parent.parent))
        pip = [sys.executable, "-m", "pip", f"--python={folder}", "install", "--no-deps", "-q"]
        subprocess.run([*pip, *packages.glob("*.whl")], check=True)
        if os.geteuid():
            for path in folder.rglob("*"):
                if not path.is_symlink():
                    path.chmod(path.stat().st_mode & ~0o222)
        yield folder


@pytest.fixture
def home():
    """The only folder that the user may write to."""
    with open_folder() as folder:
        if os.geteuid() == 0:
            os.chown(folder, NOBODY, NOBODY)
        yield folder


@pytest.fixture
def aurum(installed, home):
    """Run the installed command in `home`, as a user without other rights."""
    http, grpc, metrics, page = map(str, free_ports(4))
    environment = {
        **{name: value for name, value in os.environ.items() if name.startswith("AURUM_")},
        "PATH": "/usr/local/bin:/usr/bin:/bin",
        "HOME": str(home),
        "TMPDIR": str(home),
        "AURUM_PROFILE": "simulated",
        "AURUM_HTTP_PORT": http,
        "AURUM_GRPC_PORT": grpc,
        "AURUM_METRICS_PORT": metrics,
        "AURUM_PLAYGROUND_PORT": page,
    }
    prefix = [] if os.geteuid() else AS_NOBODY

    def start(*arguments, **changes):
        return subprocess.Popen(
            [*prefix, installed / "bin" / "aurum", *arguments],
            cwd=home,
            env={**environment, **changes},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def run(*arguments, **changes):
        with start(*arguments, **changes) as process:
            return process.wait(60), process.stdout.read()

    run.start = start
    return run


@contextlib.contextmanager
def up(aurum):
    """Start `aurum up` and wait until it is ready; return its output so far."""
    with aurum.start("up") as process:
        try:
            shown = ""
            while "stop" not in shown:
                line = process.stdout.readline()
                assert line, shown
                shown += line
            yield shown
        finally:
            process.send_signal(signal.SIGINT)
            process.stdout.read()
            process.wait(60)


def test_the_installed_package_serves_a_photo(aurum, installed, home):
    before = sorted(installed.rglob("*"))
    code, shown = aurum("models", "list")
    assert code == 0, shown
    assert "edgeface-xs" in shown
    code, shown = aurum("doctor")
    assert code == 0, shown
    assert "not compiled yet" in shown
    with up(aurum) as said:
        assert "compiling Triton's ONNX Runtime backend" in said
        code, shown = aurum("detect", str(PHOTO))
        assert code == 0, shown
        assert "1 face in 512x512" in shown
    repositories = home / ".local" / "share" / "aurum" / "repositories"
    older = repositories / "python_backends" / "largest_face"
    older.mkdir()
    with up(aurum) as said:
        assert "compiling" not in said
    assert not older.exists(), "a Python backend of an older version is served"
    assert (repositories / "ensembles").is_dir()
    assert sorted(installed.rglob("*")) == before, "nothing is written where it is installed"


def test_the_state_is_stored_below_aurum_home(aurum, home):
    state = home / "elsewhere"
    code, shown = aurum("doctor", AURUM_HOME=str(state))
    assert code == 0, shown
    assert f"{state}/models" in shown
    assert f"{state}/repositories" in shown


def test_without_a_compiler_one_line_says_what_to_install(aurum, tmp_path):
    tools = tmp_path / "tools"
    tools.mkdir()
    for name in ("sh", "setpriv", "env"):
        (tools / name).symlink_to(shutil.which(name))
    code, shown = aurum("up", PATH=str(tools))
    assert code == 1
    assert "apt-get install g++" in shown
    assert "Traceback" not in shown


def test_bench_says_where_the_benchmarks_are(aurum):
    code, shown = aurum("bench", "run")
    assert code == 1
    assert "clone the repository" in shown


def test_only_aurum_is_importable(packages):
    for wheel, own in (("aurum_face_serving", "aurum"), ("aurum_face_client", "aurum_client")):
        [path] = packages.glob(f"{wheel}-*.whl")
        names = zipfile.ZipFile(path).namelist()
        assert {name.split("/")[0] for name in names if ".dist-info" not in name} == {own}
        assert any(name.endswith("licenses/LICENSE") for name in names)
        assert not [name for name in names if re.search(r"\.(so|onnx|o)$|__pycache__", name)]


def test_the_sdist_contains_what_the_wheel_is_built_from(packages):
    [path] = packages.glob("aurum_face_serving-*.tar.gz")
    with tarfile.open(path) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    assert {"LICENSE", "pyproject.toml", "backends/ops/build.sh"} <= names
    assert not [name for name in names if name.endswith((".so", ".onnx"))]


def test_the_packages_dependencies_are_locked(packages):
    for path in packages.glob("*.whl"):
        archive = zipfile.ZipFile(path)
        [metadata] = [name for name in archive.namelist() if name.endswith(".dist-info/METADATA")]
        for line in re.findall(r"^Requires-Dist: (.*)$", archive.read(metadata).decode(), re.M):
            need = Requirement(line)
            if need.marker is None or need.marker.evaluate({"extra": ""}):
                assert need.specifier.contains(version(need.name)), line
