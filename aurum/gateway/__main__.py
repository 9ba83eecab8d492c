"""``python -m aurum.gateway [reload]``: run or reload the gateway without typer installed."""

import sys

from aurum.errors import OperatorError, text
from aurum.gateway import run
from aurum.settings import Settings

if __name__ == "__main__":
    try:
        if sys.argv[1:] == ["reload"]:
            run.reload(Settings.from_env())
        else:
            sys.exit(run.serve(Settings.from_env()))
    except OperatorError as error:
        sys.exit(f"aurum.gateway: {error}")
    except OSError as error:
        sys.exit(f"aurum.gateway: {text(error)}")
