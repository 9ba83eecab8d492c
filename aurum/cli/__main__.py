"""``python -m aurum.cli``: the command, where its script is not installed."""

from aurum.cli.app import main

if __name__ == "__main__":
    main()
