"""``python -m aurum.edge``: the edge in the foreground, for the container, which has no typer."""

import sys

from aurum.edge import run
from aurum.errors import OperatorError
from aurum.settings import Settings

if __name__ == "__main__":
    try:
        run.replace_process(Settings.from_env())
    except OperatorError as error:
        sys.exit(f"aurum.edge: {error}")
