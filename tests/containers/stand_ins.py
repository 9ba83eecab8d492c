"""Base images that can't be pulled here, made from Debian's packages and the server's wheel.

Each gets the very name that a Dockerfile or docker-compose.yml uses, so that these files are tested
unchanged, but for digests, which only the real images have (`without_digests`). What that proves,
and what it doesn't: docs/guides/deployment.md.
"""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import yaml
from engine import Engine

from aurum.paths import CHECKOUT
from aurum.server import runtime
from aurum.server.triton_version import EMBEDDED

DOCKERFILES = (
    *("Dockerfile", "deploy/gateway/Dockerfile"),
    *("deploy/logs/Dockerfile", "deploy/bulk/Dockerfile"),
)
AUTHORITIES = Path("/etc/ssl/certs/ca-certificates.crt")
# Of Debian's packages, which `make setup` installs: the program, and its folder of data.
MONITORS = {
    "prom/prometheus": ("prometheus", "/prometheus"),
    "prom/alertmanager": ("prometheus-alertmanager", "/alertmanager"),
    "prom/blackbox-exporter": ("prometheus-blackbox-exporter", "/data"),
}


def make(engine: Engine, folder: Path) -> None:
    """Make all of them."""
    bases = {
        name
        for file in DOCKERFILES
        for name in re.findall(r"^FROM (\S+)", without_digests((CHECKOUT / file).read_text()), re.M)
    }
    services = yaml.safe_load((CHECKOUT / "docker-compose.yml").read_text())["services"]
    pulled = {item["image"] for item in services.values() if "build" not in item}
    (debian,) = (name for name in bases if name.startswith("debian:"))
    (triton,) = bases - {debian}
    _debian(engine, folder / "debian", debian)
    _triton(engine, folder / "triton", debian, triton)
    for name in pulled:
        repository = name.partition(":")[0]
        if repository in MONITORS:
            _monitor(engine, folder / repository, debian, name, *MONITORS[repository])
        else:
            assert repository == "grafana/grafana", name
            _grafana(engine, folder / "grafana", debian, name)


def without_digests(dockerfile: str) -> str:
    """The text of a Dockerfile that takes its bases by their tags."""
    return re.sub(r"(?m)^(FROM \S+)@sha256:[0-9a-f]{64}", r"\1", dockerfile)


def _debian(engine: Engine, root: Path, name: str) -> None:
    suite = name.partition(":")[2].partition("-")[0]
    shown = subprocess.run(
        ["apt-get", "indextargets", "--format", "$(CODENAME) $(REPO_URI)", "Created-By: Packages"],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    mirror = dict(line.split(" ", 1) for line in shown.splitlines())[suite]
    done = subprocess.run(
        ["debootstrap", "--variant=minbase", "--include=ca-certificates", suite, root, mirror],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-3000:]
    for unneeded in ("var/cache/apt/archives", "var/lib/apt/lists"):
        shutil.rmtree(root / unneeded)
    # The machine's way out may need an authority of its own.
    shutil.copy(AUTHORITIES, root / AUTHORITIES.relative_to("/"))
    with subprocess.Popen(["tar", "-C", root, "-c", "."], stdout=subprocess.PIPE) as packed:
        engine.run("import", "-", name, stdin=packed.stdout)
    shutil.rmtree(root)


def _triton(engine: Engine, folder: Path, debian: str, name: str) -> None:
    """NVIDIA's layout: the wheel's server with its backends, and our ONNX Runtime backend."""
    home = runtime.tritonserver_home()
    target = folder / "tritonserver"
    for part in ("bin", "backends", "caches"):
        shutil.copytree(home / part, target / part)
    # Debian's Python is 3.11, whichever runs the tests.
    stub = home / "python_backend_stubs" / "3.11" / "triton_python_backend_stub"
    shutil.copy2(stub, target / "backends" / "python")
    shutil.copytree(home.parent.parent / "nvidia_pytriton.libs", target / "lib")
    onnx = target / "backends" / "onnxruntime"
    onnx.mkdir()
    shutil.copy2(runtime.onnx_backend(), onnx)
    shutil.copy2(runtime.onnxruntime_library(), onnx / "libonnxruntime.so.1")
    _build(
        engine,
        folder,
        name,
        f"FROM {debian}\n"
        f"{_install('python3 python3-pip libpython3.11 curl')}"
        "COPY tritonserver /opt/tritonserver\n"
        "ENV PATH=/opt/tritonserver/bin:$PATH LD_LIBRARY_PATH=/opt/tritonserver/lib \\\n"
        f"    TRITON_SERVER_VERSION={'.'.join(map(str, EMBEDDED))}.0 \\\n"
        f"    PIP_BREAK_SYSTEM_PACKAGES=1 PIP_CERT={AUTHORITIES}\n",
    )


def _monitor(engine: Engine, folder: Path, debian: str, name: str, program: str, data: str) -> None:
    folder.mkdir(parents=True)
    shutil.copy2(f"/usr/bin/{program}", folder / "program")
    shutil.copytree("/usr/share/prometheus", folder / "share")  # Alertmanager's templates
    _build(
        engine,
        folder,
        name,
        f"FROM {debian}\n{_install('wget')}"
        f"RUN mkdir {data} && chown 65534:65534 {data}\n"
        "COPY program /bin/program\nCOPY share /usr/share/prometheus\n"
        f'WORKDIR {data}\nENTRYPOINT ["/bin/program"]\n',
    )


def _grafana(engine: Engine, folder: Path, debian: str, name: str) -> None:
    """No Grafana at all: a web server that says it is well."""
    (folder / "api").mkdir(parents=True)
    (folder / "api" / "health").write_text("{}\n")
    _build(
        engine,
        folder,
        name,
        f"FROM {debian}\n{_install('wget busybox')}"
        "RUN mkdir -p /var/lib/grafana && chown 472:0 /var/lib/grafana\n"
        "COPY api /srv/api\n"
        'ENTRYPOINT ["busybox", "httpd", "-f", "-p", "3000", "-h", "/srv"]\n',
    )


def _install(packages: str) -> str:
    return (
        f"RUN apt-get update && apt-get install -y --no-install-recommends {packages} "
        "&& rm -rf /var/lib/apt/lists/*\n"
    )


def _build(engine: Engine, folder: Path, name: str, dockerfile: str) -> None:
    (folder / "Dockerfile").write_text(dockerfile)
    engine.run("build", "--quiet", "--tag", name, folder)
