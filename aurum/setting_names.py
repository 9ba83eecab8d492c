"""Names of settings: old ones are still read, and misspelt ones are errors."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Mapping

# Variables that other parts of the project read: clients, containers, Compose, benchmarks, tests.
_OTHERS = re.compile(
    r"AURUM_(API_KEY|TRITON_URL|LOCAL_(MODELS|THREADS)|RUN_DIR|GATEWAY_PUBLISH|CPU_WITHOUT|(BENCH|TEST)_\w+)"
)
# What Kubernetes sets in each container for a service named aurum-...: variables for service links.
_SERVICE_LINK = re.compile(r"AURUM(_\w+)?_(SERVICE_(HOST|PORT(_\w+)?)|PORT(_\d+_(TCP|UDP)\w*)?)")
_LINK_VALUE = re.compile(r"(tcp|udp|sctp)://")


_OLD_GATEWAY = "AURUM_EDGE_"  # in 0.1; read until 0.3
_GATEWAY = "AURUM_GATEWAY_"


def renamed(environ: Mapping[str, str]) -> Mapping[str, str]:
    """The environment with settings' old names replaced by the new ones, which take precedence."""
    old = {
        _GATEWAY + name.removeprefix(_OLD_GATEWAY): value
        for name, value in environ.items()
        if name.startswith(_OLD_GATEWAY)
    }
    kept = {name: value for name, value in environ.items() if not name.startswith(_OLD_GATEWAY)}
    return old | kept


def misspelt(environ: Mapping[str, str], known: Iterable[str], prefix: str) -> str:
    """What is wrong with the first unknown variable of `prefix`, or nothing.

    Args:
        environ: the environment.
        known: names of all settings, with the prefix.
        prefix: with which every setting's name begins.
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
        return f"{name} is no setting; {hint}"
    return ""


def _is_link(name: str, value: str) -> bool:
    """A setting's name, too, may end in _PORT: the value of a link is an address."""
    return not name.endswith("_PORT") or "_SERVICE_" in name or bool(_LINK_VALUE.match(value))
