"""How a caller's values are shown in error messages."""

from __future__ import annotations

MAX_SHOWN = 80  # characters: a base64 photo must not end up in a log
_TAIL = 26  # of them: the end of a long path names the file


def cut(text: str, most: int = MAX_SHOWN) -> str:
    """Return ``text``, with its middle left out if it has more than ``most`` characters."""
    head = most - _TAIL - len("...")
    return text if len(text) <= most else f"{text[:head]}...{text[-_TAIL:]}"


def shown(value: object) -> str:
    """Return ``repr(value)``, cut to 80 characters."""
    if isinstance(value, str):  # before repr(), which takes time and memory
        value = cut(value, MAX_SHOWN - len("''"))
    try:
        return cut(repr(value))
    except ValueError:  # Python refuses to write integers of more than 4300 digits
        return f"a huge {type(value).__name__}"
