"""The command `turnwise`. It needs the extra `turnwise[cli]`."""

from __future__ import annotations

import sys


def main() -> None:
    """Run the command line, or say what is missing."""
    try:
        from turnwise.cli.app import app
    except ModuleNotFoundError as error:
        if error.name != "typer":
            raise
        sys.exit("the command line needs typer: install turnwise with its extra [cli]")
    app()
