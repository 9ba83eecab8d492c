"""The check of ``aurum doctor`` on the ports: free, or answered by our own server."""

# ruff: noqa: PLC0415 - what a check needs may be the very thing that is missing

from __future__ import annotations

import errno
import socket
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from aurum import contract
from aurum.doctor.checks import Result
from aurum.settings import Settings

if TYPE_CHECKING:
    from aurum_client import Health, ModelInfo

    from aurum.models.manifest import Manifest

TIMEOUT = 3.0  # seconds


def ports(settings: Settings) -> Iterator[Result]:
    """Whether each port is free, or who answers there."""
    yield _port("HTTP", settings.http_port, settings, lambda: _server(settings.http_url))
    yield _port("gRPC", settings.grpc_port, settings, lambda: _server(settings.grpc_url))
    yield _port("metrics", settings.metrics_port, settings, lambda: _metrics(settings))


def _port(
    kind: str, port: int, settings: Settings, answer: Callable[[], tuple[bool, str] | None]
) -> Result:
    name, place = f"{kind} port", f"{settings.host}:{port}"
    variable = f"AURUM_{kind.upper()}_PORT"
    try:
        if is_free(settings.host, port):
            return Result(name, "ok", f"{place} is free")
    except OSError as error:
        detail = f"{place} cannot be used: {error.strerror or error}"
        return Result(name, "fail", detail, f"set AURUM_HOST or {variable}")
    found = answer()
    if found is None:
        mend = f"stop that program, or set {variable}"
        return Result(name, "fail", f"{place} is taken by another program", mend)
    well, detail = found
    mend = "" if well else "wait if it is starting; else stop it and start it again"
    return Result(name, "ok" if well else "warn", f"{place}: {detail}", mend)


def is_free(host: str, port: int) -> bool:
    """Whether nobody listens there. Raises OSError if nobody could."""
    family, kind, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    with socket.socket(family, kind) as probe:
        # As Triton does: connections that closed a moment ago are no obstacle.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(address)
        except OSError as error:
            if error.errno == errno.EADDRINUSE:
                return False
            raise
    return True


def _server(url: str) -> tuple[bool, str] | None:
    """Whether the server there is well, and what it serves; None if it is none of ours."""
    from aurum_client import FaceClient

    from aurum.models import manifest

    with FaceClient(url, timeout=TIMEOUT) as client:
        health: Health = client.health(timeout=TIMEOUT)
        if not health.live:
            return None
        if not health.ok:
            return False, f"a Triton server answers that is not ready: {health.error}"
        return True, f"our server serves {served(client.models(timeout=TIMEOUT), manifest.load())}"


def served(models: list[ModelInfo], content: Manifest) -> str:
    """The profile whose models have the ids that the server states."""
    ids = {model.name: model.id or "" for model in models}
    detector, embedder = ids.get(contract.DETECTION, ""), ids.get(contract.EMBEDDING, "")
    profile = content.profile_of(detector, embedder)
    if profile:
        simulated = profile.detector.family == profile.embedder.family == "simulated"
        note = ", SIMULATED: every face and embedding is made up" if simulated else ""
        return f"profile {profile.name}{note}"
    return f"no profile of this manifest: {detector or 'unknown'} and {embedder or 'unknown'}"


def _metrics(settings: Settings) -> tuple[bool, str] | None:
    import httpx

    url = f"http://{settings.host}:{settings.metrics_port}/metrics"
    try:
        text = httpx.get(url, timeout=TIMEOUT, trust_env=False).text
    except httpx.HTTPError:
        return None
    return (True, "a Triton server's metrics") if "nv_inference" in text else None
