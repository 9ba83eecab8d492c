"""``aurum gateway``: run nginx in front of a public server and manage its API keys."""

from __future__ import annotations

from typing import Annotated

import typer

from aurum.cli import print_stderr
from aurum.gateway import keys, run
from aurum.settings import Settings

gateway = typer.Typer(
    help="Run the gateway (nginx) in front of a public server: TLS, API keys, limits."
)
key = typer.Typer(help="Manage API keys; changes take effect with the next request.")
gateway.add_typer(key, name="keys")

Id = Annotated[
    str, typer.Argument(help="Who the key is for; the access log shows this id, never the key.")
]


@gateway.command()
def up() -> None:
    """Run nginx in the foreground; Ctrl-C or SIGTERM finishes requests in flight, then stops."""
    raise typer.Exit(run.serve(Settings.from_env()))


@gateway.command()
def reload() -> None:
    """Reload settings and certificate in the running gateway; no request fails."""
    run.reload(Settings.from_env())


@gateway.command()
def check() -> None:
    """Write nginx's configuration, test it, and print the command that would start nginx."""
    print(" ".join(run.command(Settings.from_env())))


@key.command()
def add(name: Id) -> None:
    """Create a key and print it once; the file AURUM_GATEWAY_KEYS keeps only its sha256."""
    print(keys.add(Settings.from_env().gateway_keys, name))


@key.command(name="list")
def show() -> None:
    """List the ids and the first digits of each key's sha256."""
    path = Settings.from_env().gateway_keys
    known = keys.read(path)
    for name, digest in known:
        print(name, digest[:12])
    if not known:
        print_stderr(f"{path} has no keys; to create one: aurum gateway keys add ID")


@key.command()
def remove(
    name: Id,
    digest: Annotated[
        str, typer.Argument(help="First digits of the key's sha256. Default: all keys of the id.")
    ] = "",
) -> None:
    """Revoke keys."""
    count = keys.remove(Settings.from_env().gateway_keys, name, digest)
    print(f"removed {count} {'key' if count == 1 else 'keys'} of {name}")
