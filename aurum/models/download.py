"""Downloads that have little patience for dead hosts."""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import closing, contextmanager
from dataclasses import dataclass

import httpx

_unreachable: set[str] = set()  # hosts that did not answer this process; see `Web`


class Refused(Exception):
    """One place cannot give the file; the message says why."""


class Unfit(Refused):
    """The bytes of one place are not those of the file."""


@dataclass(frozen=True)
class Timeouts:
    """How long to wait for hosts, in seconds."""

    connect: float = 5.0
    read: float = 10.0  # between two pieces of a file
    answer: float = 10.0  # for first answers of all the hosts asked for one model, in total


TIMEOUTS = Timeouts()


def extent(response: httpx.Response, offset: int) -> tuple[int, int | None]:
    """Where in the file the answer's body starts, and how long the file is, in bytes.

    Raises Unfit if the answer does not continue the part, and Refused if it has no file.
    """
    if response.status_code == httpx.codes.PARTIAL_CONTENT:
        given = re.fullmatch(r"bytes (\d+)-\d+/(\d+)", response.headers.get("Content-Range", ""))
        if given and int(given[1]) == offset:
            return offset, int(given[2])
        raise Unfit("the Content-Range of the answer is not what was asked for")
    if response.status_code == httpx.codes.REQUESTED_RANGE_NOT_SATISFIABLE and offset:
        raise Unfit("the part is longer than the file")
    if response.status_code != httpx.codes.OK:
        raise Refused(f"HTTP {response.status_code} {response.reason_phrase}")
    length = response.headers.get("Content-Length", "")
    return 0, int(length) if length.isdecimal() else None


def why(error: Exception) -> str:
    """The error's type and message in one line."""
    return f"{type(error).__name__}: {error}".rstrip(": ")


class Web:
    """The downloads of one model: an HTTP client with little patience for dead hosts.

    It waits for first answers no longer than `Timeouts.answer` in total, and never again for a
    host that once did not answer this process.
    """

    def __init__(self, timeouts: Timeouts) -> None:
        self._timeouts = timeouts
        self._patience = timeouts.answer
        self._client: httpx.Client | None = None

    def __enter__(self) -> Web:
        return self

    def __exit__(self, *_: object) -> None:
        if self._client:
            self._client.close()

    @contextmanager
    def get(self, url: str, offset: int) -> Iterator[httpx.Response]:
        """The answer to a GET from byte `offset` on. Raises Refused if there is none."""
        if self._patience <= 0:
            raise Refused(f"not asked: {self._timeouts.answer:g} s were lost on dead hosts")
        # Ranges and lengths count encoded bytes, so the file must come as it is.
        headers = {"Accept-Encoding": "identity"}
        if offset:
            headers["Range"] = f"bytes={offset}-"
        started = time.monotonic()
        try:
            response = self._first_answer(url, headers)
        except (httpx.HTTPError, httpx.InvalidURL, OSError, ValueError, ImportError) as error:
            # The last three come of certificates or proxies that the environment names wrongly.
            raise Refused(why(error)) from error
        finally:
            self._patience -= time.monotonic() - started
        with closing(response):
            yield response

    def _first_answer(self, url: str, headers: dict[str, str]) -> httpx.Response:
        """Send the request in a thread, as name lookup heeds no timeout of httpx's."""
        if self._client is None:  # made late, as reading the certificates takes a while
            self._client = httpx.Client(
                timeout=httpx.Timeout(self._timeouts.read, connect=self._timeouts.connect),
                follow_redirects=True,
                event_hooks={"request": [_skip_unreachable]},  # called for each redirect, too
            )
        client, request = self._client, self._client.build_request("GET", url, headers=headers)
        answer: Future[httpx.Response] = Future()

        def send() -> None:
            try:
                answer.set_result(client.send(request, stream=True))
            except Exception as error:
                answer.set_exception(error)

        threading.Thread(target=send, daemon=True).start()
        try:
            return answer.result(self._patience)
        except TimeoutError:
            _unreachable.add(_host(request))
            raise Refused(f"no answer within {self._patience:.3g} s") from None
        except (httpx.ConnectError, httpx.TimeoutException) as error:
            _unreachable.add(_host(error.request))  # of a redirect's target, where that is dead
            raise


def _host(request: httpx.Request) -> str:
    return request.url.netloc.decode()


def _skip_unreachable(request: httpx.Request) -> None:
    if _host(request) in _unreachable:
        raise Refused(f"not asked: {_host(request)} did not answer before")
