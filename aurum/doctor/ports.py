"""The port checks of ``aurum doctor``: each port is free, or our own server answers there."""

# ruff: noqa: PLC0415 - the packages that a check imports may be the ones that are missing

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
    """Check whether each port is free, or who answers there."""
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
        fix = f"stop that program, or set {variable}"
        return Result(name, "fail", f"{place} is taken by another program", fix)
    healthy, detail = found
    fix = "" if healthy else "if it is starting, wait; otherwise restart it"
    return Result(name, "ok" if healthy else "warn", f"{place}: {detail}", fix)


def is_free(host: str, port: int) -> bool:
    """Return whether the port can be bound. Raises OSError if the address itself is unusable."""
    family, kind, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    with socket.socket(family, kind) as probe:
        # Like Triton: recently closed connections don't count.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(address)
        except OSError as error:
            if error.errno == errno.EADDRINUSE:
                return False
            raise
    return True


def _server(url: str) -> tuple[bool, str] | None:
    """Return whether the server is healthy and what it serves; None if no Triton answers."""
    from aurum_client import FaceClient

    from aurum.models import manifest

    with FaceClient(url, timeout=TIMEOUT) as client:
        health: Health = client.health(timeout=TIMEOUT)
        if not health.live:
            return None
        if not health.ok:
            return False, f"a Triton server answers but is not ready: {health.error}"
        return True, f"our server serves {served(client.models(timeout=TIMEOUT), manifest.load())}"


def served(models: list[ModelInfo], content: Manifest) -> str:
    """Name the profile whose models have the ids that the server reports."""
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
