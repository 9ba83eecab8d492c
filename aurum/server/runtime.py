"""Locate the parts of the embedded tritonserver, and build its command line and environment.

The wheel is meant for pytriton's own Python API. We use only its binaries, and start them as
NVIDIA's container does.
"""

from __future__ import annotations

import ctypes
import importlib.util
import os
import platform
import secrets
import shutil
import signal
import sys
import sysconfig
from collections.abc import Collection
from pathlib import Path

from aurum.contract import REPOSITORIES
from aurum.errors import OperatorError
from aurum.kernels import Choice
from aurum.native import BACKEND, OPERATORS
from aurum.paths import SETUP
from aurum.server import triton_version
from aurum.settings import Settings

# Triton's APIs that none of our clients needs.
CLOSED_APIS = "shared-memory,model-repository,trace,logging"
# The headers that Triton turns into request parameters: two for the pipelines' logs, and the
# deadline until which the client waits. The pipelines ignore other parameters named x-...
FORWARDED = "(?i)^x-(request-id|aurum-(deadline|key))$"
SHARED_MEMORY = Path("/dev/shm")  # noqa: S108 - shm_overview(7); Triton's choice
# Seconds that Triton waits for idle connections once the requests in flight are done.
EXIT_TIMEOUT = 2

_SET_MEMPOLICY = {"x86_64": 238, "aarch64": 237}  # asm/unistd.h
_PR_SET_PDEATHSIG = 1  # linux/prctl.h
_END_WITH_PARENT = (
    "import ctypes, os, sys; "
    f"ctypes.CDLL(None).prctl({_PR_SET_PDEATHSIG}, {signal.SIGTERM.value}); "
    "os.execvp(sys.argv[1], sys.argv[1:])"
)


class RuntimeMissingError(OperatorError, RuntimeError):
    """A part of the embedded server is missing; the message says how to get it."""


def tritonserver_home() -> Path:
    """Return the wheel's folder with ``bin/tritonserver``, ``backends`` and the Python stubs."""
    spec = importlib.util.find_spec("pytriton")
    if spec is None or not spec.submodule_search_locations:
        raise RuntimeMissingError(
            "the package nvidia-pytriton is missing; install it, or run `make setup`"
        )
    home = Path(spec.submodule_search_locations[0]) / "tritonserver"
    if not (home / "bin" / "tritonserver").is_file():
        raise RuntimeMissingError(
            f"{home} has no tritonserver: its wheels are for Linux x86-64 only"
        )
    return home


def python_stub() -> Path:
    """Return the Python backend's stub for this Python version."""
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    stubs = tritonserver_home() / "python_backend_stubs"
    stub = stubs / version / "triton_python_backend_stub"
    if not stub.is_file():
        have = ", ".join(sorted(path.name for path in stubs.iterdir()))
        raise RuntimeMissingError(f"there is no Python stub for {version}; there are {have}")
    return stub


def find_libpython() -> Path:
    """Return the folder of this Python's shared library, which the stub is linked to."""
    name = f"libpython{sys.version_info.major}.{sys.version_info.minor}.so.1.0"
    library = Path(sysconfig.get_config_var("LIBDIR") or "/usr/lib")
    multiarch = sysconfig.get_config_var("MULTIARCH") or "x86_64-linux-gnu"
    folders = (library, library / multiarch, Path("/usr/lib") / multiarch, Path("/usr/local/lib"))
    for folder in folders:
        if (folder / name).is_file():
            return folder
    package = f"libpython{sys.version_info.major}.{sys.version_info.minor}"
    raise RuntimeMissingError(
        f"{name} is missing (looked in {', '.join(map(str, folders))}); "
        f"on Debian or Ubuntu: apt-get install {package}"
    )


def onnxruntime_library() -> Path:
    """Return the shared library of the onnxruntime wheel."""
    spec = importlib.util.find_spec("onnxruntime")
    folders = spec.submodule_search_locations if spec else None
    found = [path for item in folders or () for path in Path(item).glob("capi/libonnxruntime.so.*")]
    if not found:
        raise RuntimeMissingError(
            "the package onnxruntime is missing; install it, or run `make setup`"
        )
    return found[0]


def onnx_backend() -> Path:
    """Return the compiled library of our ONNX Runtime backend."""
    if not BACKEND.is_file():
        raise RuntimeMissingError(f"{BACKEND} is not compiled; {SETUP}")
    return BACKEND


def assemble_backends(folder: Path) -> None:
    """Create Triton's backend directory in `folder`: its Python backend, and our ONNX backend.

    The files are copied because Triton refuses backends that are symbolic links; libraries that
    they need may be links.
    """
    python = folder / "python"
    shutil.copytree(tritonserver_home() / "backends" / "python", python)
    shutil.copy2(python_stub(), python)
    onnx = folder / "onnxruntime"
    onnx.mkdir()
    shutil.copy2(onnx_backend(), onnx)
    (onnx / "libonnxruntime.so.1").symlink_to(onnxruntime_library())


def command(settings: Settings, backends: Path, kernels: Choice) -> list[str]:
    """Return the command line of the wheel's tritonserver with the backend directory `backends`."""
    return [
        str(tritonserver_home() / "bin" / "tritonserver"),
        f"--backend-directory={backends}",
        *flags(settings, kernels),
    ]


def host_policies(cores: Collection[int]) -> list[str]:
    """Return flags that give each process of `each_face`, with its threads, half of `cores`.

    There are none if a half is empty or not contiguous, because a host policy can only name a
    range.
    """
    ordered = sorted(cores)
    middle = len(ordered) // 2
    halves = (ordered[:middle], ordered[middle:])
    if not all(half and half[-1] - half[0] + 1 == len(half) for half in halves):
        return []
    return [
        f"--host-policy=lane{number},cpu-cores={half[0]}-{half[-1]}"
        for number, half in enumerate(halves)
    ]


def may_bind_memory() -> bool:
    """Whether this process may call set_mempolicy(2), as Triton does for each host policy.

    Container engines forbid it by default, and then no model with such a policy would load.
    """
    number = _SET_MEMPOLICY.get(platform.machine())
    if number is None:
        return False
    # MPOL_DEFAULT: what holds anyway.
    return bool(ctypes.CDLL(None).syscall(number, 0, None, 0) == 0)


def flags(
    settings: Settings,
    kernels: Choice,
    gpu: bool = False,
    version: triton_version.Version = triton_version.EMBEDDED,
) -> list[str]:
    """What every tritonserver of ours is started with, that of NVIDIA's container too.

    `gpu`: the models run on one, so that its metrics are of use. `version`: of the tritonserver.
    """
    verbosity = {
        "error": ["--log-warning=false", "--log-info=false"],
        "warning": ["--log-info=false"],
        "info": [],
        "verbose": ["--log-verbose=1"],
    }
    # Closed by a key that nobody knows: 2.51 has no other way to turn these APIs off, and with the
    # shared-memory API a client could read and write memory of other processes.
    closed = f"{CLOSED_APIS}:aurum-key={secrets.token_urlsafe(32)}"
    return [
        *([] if gpu else ["--allow-gpu-metrics=false"]),
        *(host_policies(os.sched_getaffinity(0)) if may_bind_memory() else []),
        *kernels.flags,
        f"--backend-config=python,shm-region-prefix-name={_memory_prefix(settings)}",
        *(f"--model-repository={settings.repositories / name}" for name in REPOSITORIES),
        f"--http-address={settings.host}",
        f"--http-port={settings.http_port}",
        f"--grpc-address={settings.host}",
        f"--grpc-port={settings.grpc_port}",
        "--reuse-grpc-port=true",  # for aurum.server.closed_port
        f"--metrics-address={settings.host}",
        f"--metrics-port={settings.metrics_port}",
        f"--exit-timeout-secs={EXIT_TIMEOUT}",
        f"--http-restricted-api={closed}",
        f"--grpc-restricted-protocol={closed}",
        f"--http-header-forward-pattern={FORWARDED}",
        f"--grpc-header-forward-pattern={FORWARDED}",
        "--log-format=ISO8601",
        *verbosity[settings.log_level],
        *triton_version.flags(version, settings.max_body_bytes),
        *tracing(settings),
    ]


def _memory_prefix(settings: Settings) -> str:
    """Name prefix of a server's memory regions; Triton's default is the same for all servers."""
    return f"aurum-{settings.http_port}-"


def shared_memory(settings: Settings) -> list[Path]:
    """List the memory regions that a server and its Python processes share, as files."""
    return list(SHARED_MEMORY.glob(_memory_prefix(settings) + "*"))


def clear_shared_memory(settings: Settings) -> None:
    """Free the memory that a killed server's processes shared: at least 1 MB each, never freed."""
    for region in shared_memory(settings):
        region.unlink(missing_ok=True)


def tracing(settings: Settings) -> list[str]:
    """Return flags that send OpenTelemetry traces to `settings.trace_url`; none if it is unset."""
    if not settings.trace_url:
        return []
    return [
        "--trace-config=mode=opentelemetry",
        "--trace-config=level=TIMESTAMPS",
        "--trace-config=count=-1",
        f"--trace-config=rate={settings.trace_rate}",
        f"--trace-config=opentelemetry,url={settings.trace_url}",
        "--trace-config=opentelemetry,resource=service.name=aurum",
    ]


def process_environment(settings: Settings) -> dict[str, str]:
    """The environment of every tritonserver of ours and, through it, of its Python backends."""
    return {
        # Small chunks of memory are kept for the next request (64 of each size in each thread), not
        # merged into large ones, and split again, whenever a large one is freed.
        "GLIBC_TUNABLES": "glibc.malloc.mxfast=0:glibc.malloc.tcache_count=64",
        **os.environ,
        **settings.to_env(),
        # A heap for each of many threads would hold memory that no other thread can use.
        "MALLOC_ARENA_MAX": "2",
        # Photos and tensors of up to 8 MB reuse the heap's pages, which the kernel would otherwise
        # map and clear again for each; larger ones are returned to the kernel.
        "MALLOC_MMAP_THRESHOLD_": str(8 << 20),
        "MALLOC_TRIM_THRESHOLD_": str(64 << 20),
        # OpenCV's and NumPy's threads would compete with those of the pipelines.
        "OMP_NUM_THREADS": "1",
        "OPENBLAS_NUM_THREADS": "1",
    }


def environment(settings: Settings) -> dict[str, str]:
    """The environment of the wheel's tritonserver, with the libraries and the Python it needs."""
    libraries = tritonserver_home().parent.parent / "nvidia_pytriton.libs"
    folders = [str(libraries), str(find_libpython()), str(OPERATORS.parent)]
    if inherited := os.environ.get("LD_LIBRARY_PATH"):
        folders.append(inherited)
    return {
        **process_environment(settings),
        # The stub's interpreter is isolated and ignores PYTHONPATH. It takes the first `python3` on
        # the PATH for its own, and so finds our packages in that one's environment.
        "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")]),
        "LD_LIBRARY_PATH": os.pathsep.join(folders),
    }


def ended_with_parent(line: list[str]) -> list[str]:
    """Return a command line for `line` as a process that ends with the thread that started it.

    So no orphan keeps the ports. Not by a `preexec_fn`: between fork and exec, gRPC's fork handlers
    would start threads in the child, and these end it if they find their sockets closed already.
    """
    return [sys.executable, "-I", "-S", "-c", _END_WITH_PARENT, *line]
