"""Locust users that upload photos to `analyze_faces`, over HTTP or gRPC.

With the web UI, on http://127.0.0.1:8089:

    locust -f benchmarks/load/locustfile.py --web-host 127.0.0.1 --class-picker --photos FOLDER

`benchmarks.load.locust_run` runs it without the web UI. Don't import this module elsewhere: Locust
patches the process for gevent.
"""

from __future__ import annotations

import csv
import json
import random
import re
import time
from argparse import Namespace
from itertools import cycle
from pathlib import Path
from typing import Any

import gevent
import grpc.experimental.gevent
import numpy as np
import tritonclient.grpc as triton
from locust import FastHttpUser, User, events, task
from locust.argument_parser import LocustArgumentParser
from locust.env import Environment
from locust.exception import CatchResponseError
from locust.stats import PERCENTILES_TO_REPORT, StatsCSV
from tritonclient.utils import InferenceServerException

from aurum.batch import find
from aurum.paths import CHECKOUT
from aurum.settings import Settings

PIPELINE = "analyze_faces"
TIMEOUT = 30.0  # seconds
_HEADERS = {
    "Content-Type": "application/octet-stream",
    "Inference-Header-Content-Length": "0",  # the body is just the photo
    "Accept-Encoding": "identity",  # with Locust's default, Triton compresses every answer
}
# Errors begin with a stable code (docs/reference/contract.md); the rest of the text varies.
_CODE = re.compile(r"\[[a-z_]+\]")
_SETTINGS = Settings.from_env()

grpc.experimental.gevent.init_gevent()


@events.init_command_line_parser.add_listener
def _options(parser: LocustArgumentParser) -> None:
    parser.add_argument(
        "--photos",
        env_var="AURUM_BENCH_PHOTOS",
        default=str(CHECKOUT / "aurum" / "assets"),
        help="Photo or folder of photos, uploaded in turn.",
    )
    parser.add_argument(
        "--grpc-host",
        env_var="AURUM_BENCH_GRPC",
        default=_SETTINGS.grpc_url.removeprefix("grpc://"),
        help="host:port of the service's gRPC endpoint (--host is for HTTP).",
    )
    parser.add_argument(
        "--rate",
        type=float,
        default=0.0,
        env_var="AURUM_BENCH_RATE",
        help="Photos per second of each user; 0: the next one as soon as the last is answered.",
    )
    parser.add_argument(
        "--final-csv",
        default="",
        metavar="PREFIX",
        help="Write PREFIX_stats.csv, _failures.csv and _exceptions.csv at the end: those of --csv "
        "stop up to a second before it.",
    )


@events.test_start.add_listener
def _read_photos(environment: Environment, **_: Any) -> None:
    """Read all photos before the first user starts, so that no request waits for the disk."""
    global _photos  # noqa: PLW0603 - Locust creates the users, so they can't take arguments
    paths = find([Path(_chosen(environment).photos)])
    _photos = cycle([path.read_bytes() for path in paths])


_photos: cycle[bytes]


@events.quitting.add_listener
def _write_final(environment: Environment, **_: Any) -> None:
    if prefix := _chosen(environment).final_csv:
        stats = StatsCSV(environment, PERCENTILES_TO_REPORT)
        for name, write in (
            ("stats", stats.requests_csv),
            ("failures", stats.failures_csv),
            ("exceptions", stats.exceptions_csv),
        ):
            with open(f"{prefix}_{name}.csv", "w", newline="") as file:
                write(csv.writer(file))


def _chosen(environment: Environment) -> Namespace:
    options: Namespace | None = environment.parsed_options
    assert options is not None, "Locust was not started from the command line"
    return options


class _Paced(User):
    """A user that sends every `1 / rate` seconds, however long the answers take.

    With Locust's constant_throughput, users that start together stay in step: a burst every second
    instead of an even load. Here each user starts at a random time.
    """

    abstract = True

    def on_start(self) -> None:
        rate = _chosen(self.environment).rate
        self._pause = 1 / rate if rate else 0.0
        gevent.sleep(random.uniform(0, self._pause))  # noqa: S311 - no secret
        self._turn = time.monotonic()

    def wait_time(self) -> float:
        self._turn += self._pause
        return max(0.0, self._turn - time.monotonic())


class HttpFaces(_Paced, FastHttpUser):
    """Sends the photo as the raw body."""

    host = _SETTINGS.http_url
    insecure = False
    network_timeout = connection_timeout = TIMEOUT

    @task
    def analyze(self) -> None:
        """Upload one photo."""
        path = f"/v2/models/{PIPELINE}/infer"
        with self.client.post(
            path, data=next(_photos), headers=dict(_HEADERS), name=PIPELINE, catch_response=True
        ) as answer:
            if answer.status_code != 200:
                answer.failure(_http_reason(answer))


class GrpcFaces(_Paced):
    """Sends the photo as a BYTES tensor."""

    def __init__(self, environment: Environment) -> None:
        super().__init__(environment)
        self._client = triton.InferenceServerClient(_chosen(environment).grpc_host)

    def on_stop(self) -> None:
        """Close the connection."""
        self._client.close()

    @task
    def analyze(self) -> None:
        """Upload one photo."""
        photo = triton.InferInput("image", [1], "BYTES")
        photo.set_data_from_numpy(np.array([next(_photos)], dtype=object))
        size, error = 0, None
        start = time.perf_counter()
        try:
            answer = self._client.infer(PIPELINE, [photo], client_timeout=TIMEOUT)
            size = answer.get_response().ByteSize()
        except InferenceServerException as failure:
            error = CatchResponseError(_reason(failure.status(), failure.message()))
        self.environment.events.request.fire(
            request_type="GRPC",
            name=PIPELINE,
            response_time=(time.perf_counter() - start) * 1000,
            response_length=size,
            exception=error,
            context=self.context(),
        )


def _http_reason(answer: Any) -> str:
    if not answer.status_code:  # no answer
        return type(answer.error).__name__
    try:
        message = json.loads(answer.text)["error"]
    except (TypeError, ValueError, KeyError):
        message = ""
    return _reason(answer.status_code, message)


def _reason(status: object, message: str) -> str:
    """Return the status and the message's code, without the text that varies by photo."""
    code = _CODE.search(message or "")
    return f"{status} {code[0]}" if code else str(status)
