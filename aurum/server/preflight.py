"""What would keep a server from working, looked at before it starts, and each said in one line."""

from __future__ import annotations

import os
import shutil
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from aurum.contract import MODELS, REPOSITORIES
from aurum.errors import OperatorError
from aurum.server.runtime import SHARED_MEMORY
from aurum.settings import Settings

# Bytes for each photo that a step has begun, and for the tensors that it hands to the models:
# tens of MB where photos are of a phone's size, 44 MB each where they are as large as may be.
LEAST_SHARED_MEMORY = 256 << 20
AMPLE_SHARED_MEMORY = 1 << 30  # for the largest photos in all threads of both steps on 8 cores


class ServerError(OperatorError, RuntimeError):
    """The server can't be started, or died; the message says why as far as its log tells."""


@contextmanager
def one_line() -> Iterator[None]:
    """Turn what the system refuses, such as a write to a full disk, into a ServerError."""
    try:
        yield
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        reason = f"{where}{error.strerror or error}"
        if isinstance(error, shutil.Error):  # of a copied folder: one entry for each file
            reason = error.args[0][0][2]
        raise ServerError(
            f"the server's files can't be put into place: {reason}; free some space, or allow it "
            "(other folders: AURUM_REPOSITORIES, AURUM_MODEL_CACHE, AURUM_LOG_FOLDER, TMPDIR)"
        ) from error


def unusable(settings: Settings) -> Iterator[str]:
    """Each folder that no start could use, and what to do: not written to, or not run from."""
    if not sys.prefix.isascii():
        yield (
            f"{sys.prefix} has letters that are not ASCII, and Triton's Python can't run from "
            "there; move the checkout, then run `make serve`"
        )
    mend = {
        "AURUM_LOG_FOLDER": settings.log_folder,
        "AURUM_REPOSITORIES (to a copy of the three)": settings.rollout,
    }
    for variable, folder in mend.items():
        if lack := _unwritable(folder, variable):
            yield lack


def _unwritable(folder: Path, variable: str) -> str:
    existing = next(path for path in (folder, *folder.parents) if path.exists())
    if os.access(existing, os.W_OK | os.X_OK):
        return ""
    return f"{existing} can't be written; set {variable} to a folder that can"


def cache_lack(settings: Settings) -> str:
    """Why no model can be pulled or built; nothing where some are, as the cache need not grow."""
    if (settings.model_cache / "served").is_dir():
        return ""
    return _unwritable(settings.model_cache, "AURUM_MODEL_CACHE")


def check_folders(settings: Settings) -> None:
    """Raises ServerError where a folder can't be used."""
    if found := next(unusable(settings), None):
        raise ServerError(found)


def check_graphs(repositories: Path) -> None:
    """Raises ServerError where a repository, or a model's graph, is not there or can't be read."""
    for name in REPOSITORIES:
        if not (repositories / name).is_dir():
            raise ServerError(f"{repositories / name} is missing; AURUM_REPOSITORIES must hold it")
    for name in MODELS:
        model = repositories / "model_repository" / name
        try:
            graphs = list(model.glob("[0-9]*/model.onnx"))
        except PermissionError as error:
            raise ServerError(
                f"{error.filename} can't be read by user {os.getuid()}; allow it"
            ) from None
        if not graphs:
            raise ServerError(
                f"{model}/1/model.onnx is missing: `aurum models build` makes it (in a container, "
                "outside, into the folder that is mounted)"
            )
        for graph in graphs:
            if not os.access(graph, os.R_OK):
                raise ServerError(f"{graph} can't be read by user {os.getuid()}; allow it")


def shared_memory_lack() -> str:
    """What is wrong with the memory through which Triton and its steps talk; else nothing."""
    mend = "in Docker: run with --shm-size=1g; else mount a larger tmpfs there"
    if not SHARED_MEMORY.is_dir():
        return f"there is no {SHARED_MEMORY}; {mend}"
    size = shutil.disk_usage(SHARED_MEMORY).total
    if size < LEAST_SHARED_MEMORY:
        return (
            f"{SHARED_MEMORY} has {size >> 20} MiB, and {LEAST_SHARED_MEMORY >> 20} MiB are the "
            f"minimum, below which Triton crashes under load; {mend}"
        )
    return ""


def check_shared_memory() -> None:
    """Raises ServerError where it is too small."""
    if lack := shared_memory_lack():
        raise ServerError(lack)


def check_ports(settings: Settings) -> None:
    """Raises ServerError for a port that can't be used."""
    for name in ("http_port", "grpc_port", "metrics_port"):
        port = getattr(settings, name)
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((settings.host, port))
            except OSError as error:
                raise ServerError(
                    f"port {port} on {settings.host} can't be used ({error.strerror}); "
                    f"end what uses it or set AURUM_{name.upper()} to a free port"
                ) from None
