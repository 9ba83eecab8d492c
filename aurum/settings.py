"""Every setting of the service: one frozen dataclass, read from ``AURUM_`` environment variables.

It is a dataclass rather than pydantic-settings because the Python backends inside Triton import
this module too, and each of their processes would pay for the library in memory.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from aurum import paths
from aurum.contract import LIVENESS, MODELS, ORIENTATIONS
from aurum.errors import OperatorError
from aurum.setting_names import misspelt, normalized
from aurum.setting_values import (
    between,
    detection_side,
    flag,
    folder_or_address,
    networks,
    one_of,
    path,
    text,
    trace_url,
)

PREFIX = "AURUM_"


class SettingError(OperatorError, ValueError):
    """A setting is unknown or has an invalid value; the message says which values are allowed."""


def _as_base64(size: int) -> int:
    return -(-size // 3) * 4


def _setting(default: Any, parse: Callable[[str], Any], doc: str) -> Any:
    return field(default=default, metadata={"parse": parse, "doc": doc})


def _in_home(place: str, doc: str) -> Any:
    """Declare a path whose default is `place` in the folder of all state."""
    return field(
        default=paths.home() / place, metadata={"parse": path, "doc": doc, "in_home": place}
    )


@dataclass(frozen=True)
class Settings:
    """All settings with their defaults. ``Settings.from_env()`` reads the environment."""

    home: Path = _in_home(
        "",
        "Folder of all state: models, logs, API keys. Unset: `.aurum` in a checkout, else "
        "`~/.local/share/aurum`.",
    )
    # --- the server ---
    host: str = _setting("127.0.0.1", text, "Address that Triton binds to.")
    http_port: int = _setting(8000, between(int, 1, 65535), "Port of Triton's HTTP endpoint.")
    grpc_port: int = _setting(8001, between(int, 1, 65535), "Port of Triton's gRPC endpoint.")
    metrics_port: int = _setting(
        8002, between(int, 1, 65535), "Port of Triton's Prometheus metrics."
    )
    process_metrics_port: int = _setting(
        0,
        between(int, 0, 65535),
        "Port of the container's metrics of Triton's processes (memory, CPU time); 0: none.",
    )
    ready_timeout: float = _setting(
        120.0,
        between(float, 1, 3600),
        "Seconds that a start may take until a real photo is answered.",
    )
    drain_timeout: int = _setting(
        30, between(int, 0, 3600), "Seconds that a stop waits for requests in flight."
    )
    log_level: str = _setting(
        "warning", one_of("error", "warning", "info", "verbose"), "What Triton logs."
    )
    request_log: str = _setting(
        "failures",
        one_of("off", "failures", "all"),
        "Which requests the pipelines log as JSON lines, in addition to Triton's own log.",
    )
    trace_url: str = _setting(
        "",
        trace_url,
        "OpenTelemetry collector that receives traces, by OTLP over HTTP, such as "
        "http://host:4318/v1/traces. Unset: no traces.",
    )
    trace_rate: int = _setting(1000, between(int, 1, (1 << 31) - 1), "Trace one request in N.")
    url: str = _setting(
        "",
        text,
        "Server that `aurum detect`, `embed`, `compare`, `bulk` and `faces` call: http(s):// or "
        "grpc(s)://. Unset: the one that `aurum up` starts.",
    )
    playground: bool = _setting(True, flag, "0: `aurum up` serves no playground page.")
    playground_port: int = _setting(
        8003,
        between(int, 1, 65535),
        "Port of the playground on 127.0.0.1; if it is taken, `aurum up` finds a free one.",
    )
    faces_db: str = _setting(
        "",
        folder_or_address,
        "Members' table of `aurum faces build`, a folder or an address of LanceDB: the playground "
        "gets a tab to search it (docs/guides/members.md#in-the-playground). Unset: no tab.",
    )
    repositories: Path = _setting(
        paths.home() / "repositories" if paths.INSTALLED else paths.CHECKOUT,
        path,
        "Folder that holds `model_repository/`, `python_backends/` and `ensembles/`.",
    )
    log_folder: Path = _in_home("", "Folder of tritonserver's logs, one for each HTTP port.")
    # --- the models ---
    profile: str = _setting(
        "auto",
        text,
        "Profile of models.toml to serve. `auto`: the first profile of its list whose files are "
        "available.",
    )
    model_mirror: str = _setting(
        "",
        text,
        "Folder or http(s) address that is searched for model files before their upstream. Unset: "
        "the folder `../shared/models` next to the checkout, if it exists. Set but empty: no "
        "mirror.",
    )
    model_cache: Path = _in_home("models", "Folder that keeps pulled and built model files.")
    offline: bool = _setting(
        False,
        flag,
        "1: never download from an upstream; only the cache and the mirror are used.",
    )
    require_commercial: bool = _setting(
        False,
        flag,
        "1: refuse profiles whose weights' commercial use is forbidden or unclear.",
    )
    kernels: str = _setting(
        "auto",
        one_of("auto", "off"),
        "`auto`: our own kernels compute the models that they support, if the processor has the "
        "instructions (docs/design/kernels.md). `off`: ONNX Runtime computes all models.",
    )
    liveness: bool = _setting(
        False,
        flag,
        "1: also serve `face_liveness`, and answer how likely each face is one before the camera "
        "rather than on paper or on a screen: advice, not a decision (docs/guides/liveness.md).",
    )
    # --- the limits of a request ---
    max_image_bytes: int = _setting(
        25_000_000, between(int, 1, 1 << 31), "Largest encoded photo, in bytes."
    )
    max_base64_bytes: int = _setting(
        10_000_000,
        between(int, 1, 1 << 31),
        "Largest encoded photo that may be sent as base64, in bytes before the base64 encoding.",
    )
    max_image_pixels: int = _setting(
        50_000_000,
        between(int, 1, 1 << 31),
        "Largest photo of any format except JPEG, in pixels; read from its header.",
    )
    max_jpeg_pixels: int = _setting(
        110_000_000,
        between(int, 1, 1 << 31),
        "Largest JPEG, in pixels; read from its header. It is decoded no larger than needed.",
    )
    max_photo_memory: int = _setting(
        500_000_000,
        between(int, 1 << 20, 1 << 40),
        "Largest amount of memory that decoding one photo may take, in bytes; estimated from its "
        "header.",
    )
    max_photo_seconds: float = _setting(
        5.0,
        between(float, 0.1, 3600),
        "Longest processor time that the step may take for one photo, mostly for decoding, in "
        "seconds.",
    )
    heic: bool = _setting(True, flag, "0: HEIC photos are refused, like unsupported formats.")
    # --- detection ---
    detection_size: int = _setting(
        640, detection_side, "Long side of the detector's input in pixels, a multiple of 32."
    )
    max_detection_size: int = _setting(
        2560,
        detection_side,
        "Largest `detection_size` that a request may set, a multiple of 32.",
    )
    min_confidence: float = _setting(
        0.6, between(float, 0, 1), "Lowest score of a face, unless the request sets another."
    )
    nms_iou: float = _setting(
        0.3, between(float, 0, 1), "Overlap (IoU) above which the weaker of two boxes is dropped."
    )
    orientation: str = _setting(
        "auto",
        one_of(*ORIENTATIONS),
        "`auto`: a photo without a face, or without an upright one, is searched rotated, too. "
        "`exif`: the EXIF orientation is trusted.",
    )
    refine: bool = _setting(
        True, flag, "0: skip the second look at each face, which makes its landmarks steadier."
    )
    # --- inside the pipelines ---
    pipeline_threads: int = _setting(
        0,
        between(int, 0, 256),
        "Photos of one API key that each process of the step works on at the same time; for all "
        "keys together, one more. 0: 8, or, if the process has cores of its own, their number, at "
        "most 8.",
    )
    pipeline_memory: int = _setting(
        500_000_000,
        between(int, 1 << 20, 1 << 40),
        "Memory that decoding may take at a time in one process of the step, for all photos "
        "together, in bytes; other photos wait. Small photos may take a sixteenth more, and the "
        "files of waiting photos a quarter more. At least AURUM_MAX_PHOTO_MEMORY.",
    )
    # --- the gateway (docs/guides/security.md) ---
    gateway_host: str = _setting(
        "127.0.0.1",
        text,
        "Address that the gateway binds to; `::` for all IPv4 and IPv6 addresses.",
    )
    gateway_port: int = _setting(
        8443, between(int, 1, 65535), "Port of the gateway, for HTTPS and for gRPC over TLS."
    )
    gateway_servers: str = _setting(
        "",
        text,
        "Triton servers behind the gateway, `host:http_port:grpc_port`, separated by commas; IPv6 "
        "addresses as `[::1]`. Unset: the server that `aurum up` starts.",
    )
    gateway_certificate: Path = _in_home(
        "gateway/tls.crt", "The gateway's certificate with its chain, as PEM."
    )
    gateway_certificate_key: Path = _in_home("gateway/tls.key", "Private key of that certificate.")
    gateway_keys: Path = _in_home(
        "gateway/keys", "File of API keys: on each line an id and the key's sha256."
    )
    gateway_rate: int = _setting(
        100, between(int, 1, 100_000), "Requests per second that one API key may send."
    )
    gateway_burst: int = _setting(
        100, between(int, 0, 100_000), "Requests that a key may send in a burst above that rate."
    )
    gateway_connections: int = _setting(
        32,
        between(int, 1, 10_000),
        "Requests that one key may have in flight, and photos that it may have waiting in each "
        "process of the step.",
    )
    gateway_server_connections: int = _setting(
        64,
        between(int, 1, 10_000),
        "Requests that one Triton gets at a time over HTTP, and as many over gRPC; further ones "
        "get 503.",
    )
    gateway_client_timeout: int = _setting(
        10,
        between(int, 1, 3600),
        "Seconds that a client may take to send its header, or pause while sending.",
    )
    gateway_server_timeout: int = _setting(
        60, between(int, 1, 3600), "Seconds that Triton may take for an answer."
    )
    gateway_trusted: str = _setting(
        "",
        networks,
        "Addresses and networks, separated by commas, that may request health without a key and "
        "without a rate limit, for probes behind one address. Unset: none.",
    )
    gateway_client_address: str = _setting(
        "connection",
        one_of("connection", "x-forwarded-for", "proxy-protocol"),
        "Where a client's address is taken from: its connection, or what a load balancer in front "
        "sends.",
    )
    gateway_balancers: str = _setting(
        "",
        networks,
        "Addresses and networks of the load balancers in front of the gateway, separated by "
        "commas; only these are trusted. Required unless `AURUM_GATEWAY_CLIENT_ADDRESS` is "
        "`connection`.",
    )
    gateway_log: str = _setting(
        "/dev/stdout", text, "File of the gateway's access log, as JSON lines."
    )
    gateway_locations: Path = _in_home(
        "gateway/locations",
        "Folder of your own nginx locations, `*.conf`, that the gateway serves in addition.",
    )
    gateway_folder: Path = _in_home(
        "gateway/run",
        "Folder that the gateway writes its configuration and temporary files to.",
    )

    @classmethod
    def from_env(cls, environ: Mapping[str, str] | None = None) -> Settings:
        """Read the settings from `environ` (default: this process's environment).

        Raises SettingError for an invalid value, and for a variable with the settings' prefix that
        is not a setting. Blanks around a value are ignored; an empty variable means the default.
        """
        environ = normalized(os.environ if environ is None else environ)
        if wrong := misspelt(environ, (PREFIX + item.name.upper() for item in fields(cls)), PREFIX):
            raise SettingError(wrong)
        home = paths.home(environ)
        values: dict[str, Any] = {
            item.name: home / item.metadata["in_home"]
            for item in fields(cls)
            if "in_home" in item.metadata
        }
        if paths.INSTALLED:
            values["repositories"] = home / "repositories"
        for item in fields(cls):
            text = environ.get(PREFIX + item.name.upper())
            if text:
                try:
                    values[item.name] = item.metadata["parse"](text)
                except ValueError as error:
                    name = PREFIX + item.name.upper()
                    raise SettingError(f"{name}={text!r}: {error}") from None
        if PREFIX + "MODEL_MIRROR" not in environ:
            shared = paths.CHECKOUT.parent / "shared" / "models"
            beside = not paths.INSTALLED and shared.is_dir()
            values["model_mirror"] = str(shared) if beside else ""
        settings = cls(**values)
        if settings.detection_size > settings.max_detection_size:
            raise SettingError(
                f"AURUM_DETECTION_SIZE={settings.detection_size}: must not exceed "
                f"AURUM_MAX_DETECTION_SIZE={settings.max_detection_size}"
            )
        if settings.max_photo_memory > settings.pipeline_memory:
            raise SettingError(
                f"AURUM_MAX_PHOTO_MEMORY={settings.max_photo_memory}: must not exceed "
                f"AURUM_PIPELINE_MEMORY={settings.pipeline_memory}"
            )
        return settings

    @property
    def served_models(self) -> tuple[str, ...]:
        """Names of the models that the pipelines call."""
        return (*MODELS, LIVENESS) if self.liveness else MODELS

    @property
    def http_url(self) -> str:
        """Address of the HTTP endpoint that `aurum up` starts."""
        return f"http://{self.host}:{self.http_port}"

    @property
    def grpc_url(self) -> str:
        """Address of the gRPC endpoint that `aurum up` starts."""
        return f"grpc://{self.host}:{self.grpc_port}"

    @property
    def max_body_bytes(self) -> int:
        """Largest request body passed on: the largest photo, in binary or as base64 in JSON.

        It includes 64 KiB for options, names, and the protocol's framing.
        """
        return max(self.max_image_bytes, _as_base64(self._base64_bytes)) + 65_536

    @property
    def max_json_bytes(self) -> int:
        """Largest request body without a binary part: the largest photo as base64, with its JSON.

        It includes a sixteenth for line breaks in the base64, each `\\r\\n` in JSON, at the
        shortest usual line length (64 characters, RFC 7468).
        """
        return _as_base64(self._base64_bytes) * 17 // 16 + 65_536

    @property
    def _base64_bytes(self) -> int:
        return min(self.max_base64_bytes, self.max_image_bytes)

    @property
    def rollout(self) -> Path:
        """Folder of the state that `aurum rollout` keeps for these repositories."""
        return self.repositories / ".aurum" / "rollout"

    def to_env(self) -> dict[str, str]:
        """These settings as environment variables, for the processes that Triton starts."""
        values = {item.name: getattr(self, item.name) for item in fields(self)}
        return {
            PREFIX + name.upper(): str(int(value) if isinstance(value, bool) else value)
            for name, value in values.items()
        }
