"""Normalize the environment that settings are read from, and find misspelt names in it."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Mapping

# Variables read by other parts of the project: clients, containers, Compose, benchmarks, tests.
_OTHERS = re.compile(
    r"AURUM_(API_KEY|TRITON_URL|LOCAL_(MODELS|THREADS)|RUN_DIR|GATEWAY_PUBLISH|CPU_WITHOUT|(BENCH|TEST)_\w+)"
)
# Service-link variables, which Kubernetes sets in each container for a service named aurum-...
_SERVICE_LINK = re.compile(r"AURUM(_\w+)?_(SERVICE_(HOST|PORT(_\w+)?)|PORT(_\d+_(TCP|UDP)\w*)?)")
_LINK_VALUE = re.compile(r"(tcp|udp|sctp)://")

_OLD_GATEWAY = "AURUM_EDGE_"  # in 0.1; read until 0.3
_GATEWAY = "AURUM_GATEWAY_"


def normalized(environ: Mapping[str, str]) -> Mapping[str, str]:
    """Return the environment with old names of settings renamed, and blanks around values removed.

    A new name takes precedence over an old one. Blanks include the carriage return that a file of
    settings with Windows' line ends leaves at each value.
    """
    environ = {name: value.strip() for name, value in environ.items()}
    old = {
        _GATEWAY + name.removeprefix(_OLD_GATEWAY): value
        for name, value in environ.items()
        if name.startswith(_OLD_GATEWAY)
    }
    kept = {name: value for name, value in environ.items() if not name.startswith(_OLD_GATEWAY)}
    return old | kept


def misspelt(environ: Mapping[str, str], known: Iterable[str], prefix: str) -> str:
    """Return a message about the first unknown variable that begins with `prefix`, or "".

    Args:
        environ: the environment.
        known: names of all settings, with the prefix.
        prefix: the prefix of every setting's name.
    """
    names = {name.removeprefix(prefix) for name in known}
    for name in sorted(environ):
        rest = name.removeprefix(prefix)
        if not name.startswith(prefix) or rest in names or _OTHERS.fullmatch(name):
            continue
        if _SERVICE_LINK.fullmatch(name) and _is_link(name, environ[name]):
            continue
        near = difflib.get_close_matches(rest, sorted(names), 1)
        everywhere = "all are in docs/reference/configuration.md"
        hint = f"did you mean {prefix}{near[0]}?" if near else everywhere
        return f"{name} is not a setting; {hint}"
    return ""


def _is_link(name: str, value: str) -> bool:
    """Tell a service link from a setting whose name ends in _PORT: a link's value is an address."""
    return not name.endswith("_PORT") or "_SERVICE_" in name or bool(_LINK_VALUE.match(value))
