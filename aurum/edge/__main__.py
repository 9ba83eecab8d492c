"""``python -m aurum.edge [reload]``: `aurum edge up` or `reload` where there is no typer."""

import sys

from aurum.edge import run
from aurum.errors import OperatorError
from aurum.settings import Settings

if __name__ == "__main__":
    try:
        if sys.argv[1:] == ["reload"]:
            run.reload(Settings.from_env())
        else:
            sys.exit(run.serve(Settings.from_env()))
    except OperatorError as error:
        sys.exit(f"aurum.edge: {error}")
