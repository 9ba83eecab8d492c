"""`aurum gateway`: nginx before a public server, and the API keys that it lets in."""

from __future__ import annotations

from typing import Annotated

import typer

from aurum.gateway import keys, run
from aurum.settings import Settings

gateway = typer.Typer(
    help="The gateway in front of a public server: TLS, API keys, limits (nginx)."
)
key = typer.Typer(help="API keys; a change counts from the next request, without a restart.")
gateway.add_typer(key, name="keys")

Id = Annotated[str, typer.Argument(help="Whom the key is for; it stands in the access log.")]


@gateway.command()
def up() -> None:
    """Run nginx in the foreground. Ctrl-C or SIGTERM finish what is in flight, then stop."""
    raise typer.Exit(run.serve(Settings.from_env()))


@gateway.command()
def reload() -> None:
    """Have the running gateway take these settings and the certificate anew; no request fails."""
    run.reload(Settings.from_env())


@gateway.command()
def check() -> None:
    """Write nginx's configuration and let nginx check it; print the command that would start."""
    print(" ".join(run.command(Settings.from_env())))


@key.command()
def add(name: Id) -> None:
    """Make a key and print it, this once: the file (AURUM_GATEWAY_KEYS) keeps only its sha256."""
    print(keys.add(Settings.from_env().gateway_keys, name))


@key.command(name="list")
def show() -> None:
    """Ids, and how the sha256 of each key begins."""
    for name, digest in keys.read(Settings.from_env().gateway_keys):
        print(name, digest[:12])


@key.command()
def remove(
    name: Id,
    digest: Annotated[str, typer.Argument(help="How its sha256 begins; all of the id's.")] = "",
) -> None:
    """Take keys back."""
    count = keys.remove(Settings.from_env().gateway_keys, name, digest)
    print(f"removed {count} of {name}")
