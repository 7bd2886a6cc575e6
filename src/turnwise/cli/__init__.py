"""The command `turnwise`. It needs the extra `turnwise[cli]`."""

from __future__ import annotations

import sys


def main() -> None:
    """Run the command line; without typer, exit with a hint."""
    try:
        from turnwise.cli.app import app
    except ModuleNotFoundError as error:
        if error.name != "typer":
            raise
        sys.exit("turnwise: the command line needs typer; install turnwise[cli]")
    app()
