"""All checks of ``aurum doctor`` except those of the ports."""

# ruff: noqa: PLC0415 - the packages that a check imports may be the ones that are missing

from __future__ import annotations

import importlib
import os
import shutil
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from aurum.settings import Settings

if TYPE_CHECKING:
    from aurum.models.manifest import Manifest, Model, Profile

OLDEST_PYTHON = (3, 11)
# Imported module: the distribution that provides it.
PACKAGES = {
    "numpy": "numpy",
    "cv2": "opencv-python-headless",
    "onnx": "onnx",
    "onnxruntime": "onnxruntime",
    "tritonclient.grpc": "tritonclient",
    "tritonclient.http": "tritonclient",
}
MIN_CACHE = 500_000_000  # bytes


@dataclass(frozen=True)
class Result:
    """Result of one check; `fix` says what to do, and is empty if there is nothing to do."""

    name: str
    status: Literal["ok", "warn", "fail"]
    detail: str
    fix: str = ""


Check = Callable[[Settings], Iterator[Result]]


def examine(settings: Settings) -> list[Result]:
    """Run all checks; a check that raises is reported as failed, and the others still run."""
    from aurum.doctor.ports import ports

    checks: dict[str, Check] = {
        "Python": python,
        "packages": packages,
        "Triton": triton,
        "cache": cache,
        "shared memory": shared_memory,
        "folders": folders,
        "models": models,
        "kernels": kernels,
        "ports": ports,
    }
    results: list[Result] = []
    for name, check in checks.items():
        try:
            results.extend(check(settings))
        except Exception as error:
            reason = f"the check itself failed: {type(error).__name__}: {error}"
            results.append(Result(name, "fail", reason, "report this as a bug of aurum"))
    return results


def python(settings: Settings) -> Iterator[Result]:
    """Check Python's version."""
    found = ".".join(map(str, sys.version_info[:3]))
    if sys.version_info[:2] >= OLDEST_PYTHON:
        yield Result("Python", "ok", found)
    else:
        oldest = ".".join(map(str, OLDEST_PYTHON))
        fix = f"recreate the environment with Python {oldest} or newer"
        yield Result("Python", "fail", f"{found} is older than {oldest}", fix)


def packages(settings: Settings) -> Iterator[Result]:
    """Check that the large dependencies can be imported, including their shared libraries."""
    for module, distribution in PACKAGES.items():
        name = f"package {module}"
        try:
            importlib.import_module(module)
        except (ImportError, OSError) as error:
            fix = f"run `make setup`, or: pip install {distribution}"
            yield Result(name, "fail", f"cannot be imported: {error}", fix)
        else:
            yield Result(name, "ok", version(distribution))


def triton(settings: Settings) -> Iterator[Result]:
    """Check that the parts of the embedded tritonserver exist."""
    from aurum import native, paths
    from aurum.server import runtime

    parts: dict[str, Callable[[], Path]] = {
        "tritonserver": _server_binary,
        "Python backend stub": runtime.python_stub,
        "libpython": runtime.find_libpython,
        "ONNX Runtime backend": runtime.onnx_backend,
        "onnxruntime library": runtime.onnxruntime_library,
    }
    if paths.INSTALLED and not native.BACKEND.is_file():
        del parts["ONNX Runtime backend"]
        lack = native.missing_tools()
        detail = "not compiled yet; the first `aurum up` compiles it"
        yield Result("ONNX Runtime backend", "fail" if lack else "ok", detail, lack)
    for name, part in parts.items():
        try:
            yield Result(name, "ok", str(part()))
        except RuntimeError as error:
            yield Result(name, "fail", "missing", str(error))


def _server_binary() -> Path:
    from aurum.server import runtime

    binary = runtime.tritonserver_home() / "bin" / "tritonserver"
    if not os.access(binary, os.X_OK):
        raise RuntimeError(f"{binary} must be executable: reinstall nvidia-pytriton")
    return binary


def cache(settings: Settings) -> Iterator[Result]:
    """Check the space for model files."""
    from aurum.server import preflight

    if lack := preflight.cache_problem(settings):
        what, _, fix = lack.partition("; ")
        yield Result("cache", "fail", what, fix)
        return
    folder = settings.model_cache
    existing = next(path for path in (folder, *folder.parents) if path.is_dir())
    free = shutil.disk_usage(existing).free
    detail = f"{free / 1e6:.0f} MB free for {folder}"
    if free >= MIN_CACHE:
        yield Result("cache", "ok", detail)
    else:
        fix = "free some space (500 MB hold any profile), or set AURUM_MODEL_CACHE"
        yield Result("cache", "warn", detail, fix)


def shared_memory(settings: Settings) -> Iterator[Result]:
    """Check the size of /dev/shm, which Triton shares with its Python backends."""
    from aurum.server import preflight, runtime

    if lack := preflight.shared_memory_problem():
        what, _, fix = lack.partition("; ")
        yield Result("shared memory", "fail", what, fix)
    else:
        size = shutil.disk_usage(runtime.SHARED_MEMORY).total
        detail = f"{runtime.SHARED_MEMORY} has {size >> 20} MiB"
        if size >= preflight.RECOMMENDED_SHARED_MEMORY:
            yield Result("shared memory", "ok", detail)
        else:
            detail += ", too little for many of the largest photos at once"
            yield Result("shared memory", "warn", detail, "give it 1 GiB (Docker: --shm-size=1g)")


def folders(settings: Settings) -> Iterator[Result]:
    """Check that the folders every start needs can be used."""
    from aurum.server import preflight

    found = list(preflight.folder_problems(settings))
    for lack in found:
        what, _, fix = lack.partition("; ")
        yield Result("folders", "fail", what, fix)
    if not found:
        yield Result("folders", "ok", f"{settings.log_folder} and {settings.rollout}")


def models(settings: Settings) -> Iterator[Result]:
    """Check the configured profile: its files, whether it is simulated, what its licences allow."""
    from aurum.models import manifest
    from aurum.models.toml_table import ManifestError

    try:
        content = manifest.load()
        profile = expected_profile(content, settings)
    except ManifestError as error:
        yield Result("profile", "fail", str(error), "correct models.toml, or set AURUM_PROFILE")
        return
    if any(model.family == "simulated" for model in profile.models):
        detail = f"{profile.name} is SIMULATED: every face and embedding is made up"
        fix = "to serve real models, unset AURUM_PROFILE or set it to another profile"
        yield Result("profile", "warn", detail, fix)
    else:
        yield Result("profile", "ok", f"{profile.name}: {profile.description}")
    yield from _files([*profile.models, *(content.liveness if settings.liveness else ())], settings)
    yield _commercial_use(profile)


def kernels(settings: Settings) -> Iterator[Result]:
    """Check which C++ kernels this machine can run."""
    from aurum.kernels import find
    from aurum.native import OPERATORS
    from aurum.paths import INSTALLED, SETUP

    found = find()
    if settings.kernels == "off":
        yield Result("kernels", "ok", "none: AURUM_KERNELS=off")
    elif found.name:
        yield Result("kernels", "ok", found.name)
    elif OPERATORS.is_file() or INSTALLED:
        yield Result("kernels", "ok", f"none: {found.reason}; ONNX Runtime computes everything")
    else:
        fix = f"{SETUP}; without the kernels everything works, but slower"
        yield Result("kernels", "warn", f"none: {found.reason}", fix)


def expected_profile(content: Manifest, settings: Settings) -> Profile:
    """Return the profile that `aurum up` tries first; for `auto`, the first with all files cached.

    With AURUM_REQUIRE_COMMERCIAL, `auto` only has the profiles that may be used commercially.

    Raises ManifestError if the profile does not exist.
    """
    from aurum.models.manifest import AUTO
    from aurum.models.pull import refused, verify

    if settings.profile != AUTO:
        return content.profile(settings.profile)
    profiles = [content.profiles[name] for name in content.auto]
    order = [profile for profile in profiles if not refused(profile.models, settings)]
    for profile in order:
        if all(verify(model, settings) == "ok" for model in profile.models):
            return profile
    return order[0] if order else content.profile("simulated")


def _files(models: Sequence[Model], settings: Settings) -> Iterator[Result]:
    from aurum.models.pull import verify

    for model in models:
        if model.file is None:
            continue
        name, path = f"model {model.name}", settings.model_cache / model.file
        status = verify(model, settings)
        if status == "ok":
            yield Result(name, "ok", str(path))
        elif status == "missing":
            fix = "`aurum up` downloads it; to do it now: `aurum models pull`"
            if settings.profile == "auto" and model.role != "liveness":
                fix += " (if it is unavailable, auto falls back, finally to SIMULATED models)"
            yield Result(name, "warn", f"{path} is missing", fix)
        else:
            fix = "to replace it: `aurum models pull`"
            detail = f"{path} is corrupt: its sha256 is not the manifest's"
            yield Result(name, "fail", detail, fix)


def _commercial_use(profile: Profile) -> Result:
    name, use = "commercial use", profile.commercial_use
    if use == "yes":
        return Result(name, "ok", f"allowed by the licences of {profile.name}")
    stated = "; ".join(f"{m.name}: {m.licence}" for m in profile.models if m.commercial_use == use)
    what = "not allowed" if use == "no" else "unclear"
    fix = "before commercial use ask a lawyer, or set AURUM_PROFILE (see `aurum models list`)"
    return Result(name, "warn", f"{what} for {profile.name} ({stated})", fix)
