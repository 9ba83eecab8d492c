"""The API key file: lines of an id and the sha256 of its key. The keys themselves aren't stored.

A plain sha256 is enough, since keys are 256 random bits and not chosen passwords.
"""

from __future__ import annotations

import hashlib
import re
import secrets
from pathlib import Path

from aurum import files
from aurum.errors import OperatorError

HEADER = "# id and sha256 of an API key, one a line (aurum gateway keys add|list|remove)\n"
ID = re.compile(r"[A-Za-z0-9._-]{1,64}")
# A line of the file, the same as LINE in gateway.js; and a line that both ignore.
ENTRY = re.compile(r"[ \t]*([A-Za-z0-9._-]{1,64})[ \t]+([0-9a-f]{64})[ \t]*\r?")
NOTE = re.compile(r"[ \t]*(?:#.*)?\r?", re.DOTALL)


class KeyFileError(OperatorError, ValueError):
    """The key file or an id is invalid; the message says why."""


def digest(key: str) -> str:
    """Return the hexadecimal sha256 of a key, as stored in the file."""
    return hashlib.sha256(key.encode()).hexdigest()


def read(path: Path) -> list[tuple[str, str]]:
    """Return ids and digests in order; an id may have several. Raises KeyFileError."""
    if not path.exists():
        return []
    found = []
    text = path.read_bytes().decode("utf-8-sig", errors="replace")
    for number, line in enumerate(text.split("\n"), 1):
        entry = ENTRY.fullmatch(line)
        if entry:
            found.append((entry[1], entry[2]))
        elif not NOTE.fullmatch(line):
            raise KeyFileError(f"{path}, line {number}: must be an id and a sha256 in lower case")
    return found


def add(path: Path, name: str) -> str:
    """Create another key for the id `name` and return it; it can't be read again later.

    Raises KeyFileError.
    """
    if not ID.fullmatch(name):
        raise KeyFileError(
            f"{name!r}: an id has 1 to 64 letters, digits, dots, dashes, underscores"
        )
    key = "aurum_" + secrets.token_urlsafe(32)
    _write(path, [*read(path), (name, digest(key))])
    return key


def remove(path: Path, name: str, start: str = "") -> int:
    """Remove the keys of the id `name` whose digest begins with `start`; return their number.

    Raises KeyFileError if there are none.
    """
    before = read(path)
    kept = [entry for entry in before if entry[0] != name or not entry[1].startswith(start)]
    if len(kept) == len(before):
        raise KeyFileError(f"{path} has no such key of {name!r}")
    _write(path, kept)
    return len(before) - len(kept)


def _write(path: Path, entries: list[tuple[str, str]]) -> None:
    """Replace the file atomically, so that nginx never reads half of it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    text = HEADER + "".join(f"{name} {value}\n" for name, value in entries)
    # Readable for nginx's workers, which are another user where root starts it; digests are no
    # secret. Where root runs this, the file stays its owner's.
    owner = path if path.exists() else path.parent
    files.write(path, text.encode(), mode=0o644, owner=owner.stat())
