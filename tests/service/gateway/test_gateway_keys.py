"""The file of keys as people and editors write it: every listed key is accepted."""

from __future__ import annotations

import secrets
from collections.abc import Iterator

import pytest
from gateway_world import World, gateway_for, not_running

from aurum.gateway import keys
from aurum.gateway.keys import KeyFileError

KEY = "aurum_" + secrets.token_urlsafe(32)
LINE = f"app {keys.digest(KEY)}"
OTHER = f"other {keys.digest('x' * 49)}"
GOOD = {
    "as we write it": f"# a note\n{LINE}\n",
    "CRLF": f"# a note\r\n{OTHER}\r\n{LINE}\r\n",
    "no line break at the end": f"{OTHER}\n{LINE}",
    "CRLF, but for the end": f"{OTHER}\r\n{LINE}",
    "blanks around": f"\n  \t{OTHER}\n \t {LINE} \t \n\n",
    "blanks between": LINE.replace(" ", " \t  ") + "\r\n",
    "a mark of a byte order": f"\ufeff{LINE}\r\n",
    "blank lines and notes": f"\r\n  # a {LINE}\r\n\n\t\r\n#\n{LINE}\n",
    "a note in another encoding": b"# caf\xe9\n" + LINE.encode(),
    "an id that is a digest": f"{keys.digest(KEY)} {keys.digest(KEY)}\n",
    "twice": f"{LINE}\n{LINE}\n",
}
BAD = {
    "a note behind": f"{LINE} # mine\n",
    "no blank": LINE.replace(" ", "") + "\n",
    "capitals": LINE.replace(keys.digest(KEY), keys.digest(KEY).upper()),
    "more digits": f"{LINE}0\n",
    "the digest before": " ".join(reversed(LINE.split())) + "x\n",
    "an id with a slash": f"a/{LINE}\n",
    "another blank": LINE.replace(" ", "\u00a0"),
    "a form feed": LINE.replace(" ", "\f"),
    "lines of old Macs": f"{OTHER}\r{LINE}\r",
}


@pytest.fixture(scope="module")
def world() -> Iterator[World]:
    """A gateway without servers: a valid key is answered 503."""
    with gateway_for(not_running(), rate=10_000, burst=10_000) as world:
        yield world


def write(world: World, content: str | bytes) -> None:
    data = content if isinstance(content, bytes) else content.encode()
    world.gateway.settings.gateway_keys.write_bytes(data)


def status(world: World, key: str) -> int:
    with world.http(Authorization=f"Bearer {key}") as http:
        return http.get("/v2/models/detect_faces/ready").status_code


@pytest.mark.parametrize("case", GOOD)
def test_every_listed_key_is_accepted(world, case):
    write(world, GOOD[case])
    listed = keys.read(world.gateway.settings.gateway_keys)
    assert keys.digest(KEY) in [digest for _, digest in listed]
    assert status(world, KEY) == 503
    assert status(world, KEY[:-1]) == 401


@pytest.mark.parametrize("case", BAD)
def test_invalid_lines_let_nobody_in(world, case):
    write(world, BAD[case])
    with pytest.raises(KeyFileError, match="line 1: must be an id and a sha256"):
        keys.read(world.gateway.settings.gateway_keys)
    assert status(world, KEY) == 401


def test_thousands_of_keys_cost_a_wrong_one_little(world):
    """In CPU time of the gateway; looking at each line would cost 7 us."""

    def cost(count: int) -> float:
        entries = (f"id{number} {secrets.token_hex(32)}\n" for number in range(count))
        write(world, "".join(entries) + LINE + "\n")
        before = world.cpu()
        with world.http(Authorization="Bearer " + "x" * 49) as http:
            for _ in range(200):
                assert http.get("/v2/models/detect_faces/ready").status_code == 401
        return world.cpu() - before

    assert cost(5000) < 0.6
    assert status(world, KEY) == 503
