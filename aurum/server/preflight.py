"""Checks before a server starts. Each problem is reported in one line."""

from __future__ import annotations

import os
import shutil
import socket
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from aurum import errors
from aurum.contract import REPOSITORIES
from aurum.errors import OperatorError
from aurum.server.runtime import SHARED_MEMORY
from aurum.settings import Settings

# Bytes for the photos that the step works on and for the tensors that it passes to the models:
# tens of MB for phone photos; the largest photos take 44 MB each.
MIN_SHARED_MEMORY = 256 << 20
# More than the largest photos take in all threads of the step on 8 cores.
RECOMMENDED_SHARED_MEMORY = 1 << 30


class ServerError(OperatorError, RuntimeError):
    """The server can't be started, or died; the message says why, as far as its log shows."""


@contextmanager
def as_server_error() -> Iterator[None]:
    """Convert an OSError, such as from a write to a full disk, into a ServerError."""
    try:
        yield
    except OSError as error:
        raise ServerError(
            f"the server's files can't be written: {errors.text(error)}; free some space, or "
            "fix permissions (other folders: AURUM_REPOSITORIES, AURUM_MODEL_CACHE, "
            "AURUM_LOG_FOLDER, TMPDIR)"
        ) from error


def folder_problems(settings: Settings) -> Iterator[str]:
    """Yield a message for each folder that can't be written to or run from, with a fix."""
    if not sys.prefix.isascii():
        yield (
            f"{sys.prefix} has letters that are not ASCII, and Triton's Python can't run from "
            "there; move the checkout, then run `make serve`"
        )
    folders = {
        "AURUM_LOG_FOLDER": settings.log_folder,
        "AURUM_REPOSITORIES (to a copy of the three)": settings.rollout,
    }
    for variable, folder in folders.items():
        if problem := _unwritable(folder, variable):
            yield problem


def _unwritable(folder: Path, variable: str) -> str:
    existing = next(path for path in (folder, *folder.parents) if path.exists())
    if os.access(existing, os.W_OK | os.X_OK):
        return ""
    return f"{existing} can't be written; set {variable} to a folder that can"


def cache_problem(settings: Settings) -> str:
    """Say why no model can be pulled or built; empty if the cache already has built graphs."""
    if (settings.model_cache / "served").is_dir():
        return ""
    return _unwritable(settings.model_cache, "AURUM_MODEL_CACHE")


def check_folders(settings: Settings) -> None:
    """Raise ServerError if a folder can't be used."""
    if found := next(folder_problems(settings), None):
        raise ServerError(found)


def check_graphs(repositories: Path, models: Iterable[str]) -> None:
    """Raise ServerError if a repository or the graph of a model is missing or can't be read."""
    for name in REPOSITORIES:
        if not (repositories / name).is_dir():
            raise ServerError(f"{repositories / name} is missing; AURUM_REPOSITORIES must hold it")
    for name in models:
        model = repositories / "model_repository" / name
        try:
            graphs = list(model.glob("[0-9]*/model.onnx"))
        except PermissionError as error:
            raise ServerError(
                f"{error.filename} can't be read by user {os.getuid()}; allow it"
            ) from None
        if not graphs:
            raise ServerError(
                f"{model}/1/model.onnx is missing: `aurum models build` creates it (for a "
                "container, outside it, in the mounted folder)"
            )
        for graph in graphs:
            if not os.access(graph, os.R_OK):
                raise ServerError(
                    f"{graph} can't be read by user {os.getuid()}; change its permissions"
                )


def shared_memory_problem() -> str:
    """Say what is wrong with the memory that Triton and its step share; empty if nothing is."""
    fix = "in Docker: run with --shm-size=1g; else mount a larger tmpfs there"
    if not SHARED_MEMORY.is_dir():
        return f"there is no {SHARED_MEMORY}; {fix}"
    size = shutil.disk_usage(SHARED_MEMORY).total
    if size < MIN_SHARED_MEMORY:
        return (
            f"{SHARED_MEMORY} has {size >> 20} MiB, and {MIN_SHARED_MEMORY >> 20} MiB are the "
            f"minimum, below which Triton crashes under load; {fix}"
        )
    return ""


def check_shared_memory() -> None:
    """Raise ServerError if the shared memory is missing or too small."""
    if problem := shared_memory_problem():
        raise ServerError(problem)


def check_ports(settings: Settings) -> None:
    """Raise ServerError for a port that can't be used."""
    for name in ("http_port", "grpc_port", "metrics_port"):
        port = getattr(settings, name)
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((settings.host, port))
            except OSError as error:
                raise ServerError(
                    f"port {port} on {settings.host} can't be used ({error.strerror}); "
                    f"stop what uses it or set AURUM_{name.upper()} to a free port"
                ) from None
