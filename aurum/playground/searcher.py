"""The process that searches the members' table, started by ``find`` at the first use.

It is a process of its own because LanceDB takes 100 MB, and because its threads don't survive the
fork by which `aurum up` starts Triton again. It ends with its standard input.
"""

from __future__ import annotations

import json
import struct
import sys
from collections.abc import Callable
from dataclasses import asdict
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from aurum.errors import text_of_import, text_of_rust
from aurum.playground.query import QueryError, parse

if TYPE_CHECKING:
    from aurum.members import Members

REQUEST = struct.Struct("<?I")  # before a request: whether it is a search, its number of bytes
ANSWER = struct.Struct("<HI")  # before an answer: its HTTP status, and its number of bytes


class Searcher:
    """Answers from a table, with an HTTP status and what becomes the JSON."""

    def __init__(self, where: str) -> None:
        self._where = where
        self._table: Members | None = None

    def describe(self) -> tuple[HTTPStatus, dict[str, Any]]:
        """Answer what the table holds."""
        return self._use(lambda table: {"faces": len(table), "embedder": table.model.embedder})

    def search(self, request: bytes) -> tuple[HTTPStatus, dict[str, Any]]:
        """Answer a search, given as JSON."""
        try:
            query, options = parse(request)
        except QueryError as error:
            return HTTPStatus.BAD_REQUEST, {"error": f"[invalid_parameter] {error}"}
        return self._use(lambda table: asdict(table.search(query, **options)))

    def _use(self, work: Callable[[Members], dict[str, Any]]) -> tuple[HTTPStatus, dict[str, Any]]:
        try:
            from aurum.members import MembersError, open  # noqa: PLC0415 - it may be missing
            from aurum.members.errors import ArgumentError, OtherModelError  # noqa: PLC0415
        except ImportError as error:
            needs = text_of_import(error, "backfill")
            return HTTPStatus.SERVICE_UNAVAILABLE, {"error": f"AURUM_FACES_DB {needs}"}
        try:
            if self._table is None:
                self._table = open(self._where)
            return HTTPStatus.OK, work(self._table)
        except ArgumentError as error:
            return HTTPStatus.BAD_REQUEST, {"error": f"[invalid_parameter] {error}"}
        except OtherModelError as error:
            return HTTPStatus.CONFLICT, {"error": str(error)}
        except (MembersError, OSError, RuntimeError, ValueError) as error:
            self._table = None  # opened again the next time: it may have been made meanwhile
            ours = isinstance(error, MembersError)
            said = str(error) if ours else f"{self._where}: {text_of_rust(error)}"
            said = f"the members' table can't be used: {said}"
            return HTTPStatus.SERVICE_UNAVAILABLE, {"error": said}


def main() -> None:
    """Answer the requests on standard input, one after the other."""
    searcher = Searcher(sys.argv[1])
    requests, answers = sys.stdin.buffer, sys.stdout.buffer
    while head := requests.read(REQUEST.size):
        is_search, size = REQUEST.unpack(head)
        request = requests.read(size)
        status, content = searcher.search(request) if is_search else searcher.describe()
        text = json.dumps(content).encode()
        answers.write(ANSWER.pack(status, len(text)) + text)
        answers.flush()


if __name__ == "__main__":
    main()
