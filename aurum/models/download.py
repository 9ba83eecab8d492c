"""HTTP downloads that give up quickly on unreachable hosts."""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import closing, contextmanager
from dataclasses import dataclass

import httpx

_unreachable: set[str] = set()  # hosts that did not answer this process; see `Downloader`


class SourceError(Exception):
    """A source can't provide the file; the message says why."""


class MismatchError(SourceError):
    """The bytes from a source are not those of the file."""


@dataclass(frozen=True)
class Timeouts:
    """Timeouts of a download, in seconds."""

    connect: float = 5.0
    read: float = 10.0  # between two chunks of a file
    answer: float = 10.0  # for the first response, over all hosts tried for one model


TIMEOUTS = Timeouts()


def extent(response: httpx.Response, offset: int) -> tuple[int, int | None]:
    """Return where in the file the response body starts, and the file's length, in bytes.

    Raises MismatchError if the response does not continue at `offset`, and SourceError if it has
    no file.
    """
    if response.status_code == httpx.codes.PARTIAL_CONTENT:
        given = re.fullmatch(r"bytes (\d+)-\d+/(\d+)", response.headers.get("Content-Range", ""))
        if given and int(given[1]) == offset:
            return offset, int(given[2])
        raise MismatchError("the Content-Range of the response is not what was requested")
    if response.status_code == httpx.codes.REQUESTED_RANGE_NOT_SATISFIABLE and offset:
        raise MismatchError("the partial download is longer than the file")
    if response.status_code != httpx.codes.OK:
        raise SourceError(f"HTTP {response.status_code} {response.reason_phrase}")
    length = response.headers.get("Content-Length", "")
    return 0, int(length) if length.isdecimal() else None


def describe(error: Exception) -> str:
    """Return the error's type and message in one line."""
    return f"{type(error).__name__}: {error}".rstrip(": ")


class Downloader:
    """HTTP client for the downloads of one model, which gives up quickly on unreachable hosts.

    It waits for first responses no longer than `Timeouts.answer` in total, and skips hosts that
    have failed to respond to this process before.
    """

    def __init__(self, timeouts: Timeouts) -> None:
        self._timeouts = timeouts
        self._remaining = timeouts.answer
        self._client: httpx.Client | None = None

    def __enter__(self) -> Downloader:
        return self

    def __exit__(self, *_: object) -> None:
        if self._client:
            self._client.close()

    @contextmanager
    def get(self, url: str, offset: int) -> Iterator[httpx.Response]:
        """Send a GET from byte `offset` on. Raises SourceError if there is no response."""
        if self._remaining <= 0:
            raise SourceError(
                f"not tried: {self._timeouts.answer:g} s were spent on unreachable hosts"
            )
        # Ranges and lengths count encoded bytes, so the file must be sent without encoding.
        headers = {"Accept-Encoding": "identity"}
        if offset:
            headers["Range"] = f"bytes={offset}-"
        started = time.monotonic()
        try:
            response = self._first_answer(url, headers)
        except (httpx.HTTPError, httpx.InvalidURL, OSError, ValueError, ImportError) as error:
            # The last three are caused by wrong certificates or proxies in the environment.
            raise SourceError(describe(error)) from error
        finally:
            self._remaining -= time.monotonic() - started
        with closing(response):
            yield response

    def _first_answer(self, url: str, headers: dict[str, str]) -> httpx.Response:
        """Send the request in a thread, because httpx's timeouts don't cover name lookup."""
        if self._client is None:  # created late, because reading the certificates is slow
            self._client = httpx.Client(
                timeout=httpx.Timeout(self._timeouts.read, connect=self._timeouts.connect),
                follow_redirects=True,
                event_hooks={"request": [_skip_unreachable]},  # also called for each redirect
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
            return answer.result(self._remaining)
        except TimeoutError:
            _unreachable.add(_host(request))
            raise SourceError(f"no answer within {self._remaining:.3g} s") from None
        except (httpx.ConnectError, httpx.TimeoutException) as error:
            _unreachable.add(_host(error.request))  # may be a redirect's target
            raise


def _host(request: httpx.Request) -> str:
    return request.url.netloc.decode()


def _skip_unreachable(request: httpx.Request) -> None:
    if _host(request) in _unreachable:
        raise SourceError(f"not tried: {_host(request)} did not answer before")
