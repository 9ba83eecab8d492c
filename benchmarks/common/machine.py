"""Facts about the machine and the software that figures depend on."""

from __future__ import annotations

import os
import platform
import subprocess
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path

import cv2
import httpx
import psutil

from aurum.paths import CHECKOUT
from benchmarks.baselines import in_process

# CPU flags that determine the speed of these models.
FLAGS = ("avx2", "fma", "avx512f", "avx512_vnni", "avx512_bf16", "avx_vnni", "amx_bf16", "amx_int8")
PACKAGES = ("onnxruntime", "numpy", "simplejpeg", "nvidia-pytriton", "tritonclient", "locust")


def facts(models: Mapping[str, str], url: str) -> dict[str, object]:
    """Collect all facts; `models` are the ids that the server at `url` (HTTP) serves."""
    server = httpx.get(f"{url}/v2", timeout=10, trust_env=False).raise_for_status().json()
    cpu = _cpu()
    return {
        "cpu": cpu.get("model name", platform.processor() or platform.machine()),
        "flags": [flag for flag in FLAGS if flag in cpu.get("flags", "").split()],
        "cores": in_process.cores(),
        "memory_gb": round(psutil.virtual_memory().total / 1e9, 1),
        "kernel": platform.release(),
        "python": platform.python_version(),
        "tritonserver": server["version"],
        "opencv": cv2.__version__,
        **{name: version(name) for name in PACKAGES},
        "models": dict(models),
        "commit": _commit(),
        "settings": {name: value for name, value in sorted(os.environ.items()) if name in _TELLING},
    }


# Settings that affect figures; others may contain paths.
_TELLING = ("AURUM_PROFILE", "AURUM_DETECTION_SIZE", "AURUM_PIPELINE_THREADS", "OMP_NUM_THREADS")


def _cpu() -> dict[str, str]:
    """Return the first core's entry of /proc/cpuinfo; empty if there is none."""
    try:
        first = Path("/proc/cpuinfo").read_text().split("\n\n")[0]
    except OSError:
        return {}
    pairs = (line.partition(":") for line in first.splitlines())
    return {name.strip(): value.strip() for name, _, value in pairs}


def _commit() -> str:
    """Return the measured commit, with `+` if files differ from it."""

    def git(*arguments: str) -> str:
        command = ["git", "-C", str(CHECKOUT), *arguments]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()

    try:
        changed = git("status", "--porcelain", "--untracked-files=no")
        return git("rev-parse", "--short=12", "HEAD") + ("+" if changed else "")
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
