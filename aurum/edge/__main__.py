"""``python -m aurum.edge [reload]``: `aurum edge up` or `reload` where there is no typer."""

import sys

from aurum.edge import run
from aurum.errors import OperatorError
from aurum.settings import Settings

if __name__ == "__main__":
    try:
        start = run.reload if sys.argv[1:] == ["reload"] else run.replace_process
        start(Settings.from_env())
    except OperatorError as error:
        sys.exit(f"aurum.edge: {error}")
