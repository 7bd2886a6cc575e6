"""The command `turnwise`. It needs the extra `turnwise[cli]`."""

from __future__ import annotations

import sys


def main() -> None:
    """Run the command line; without typer, exit with a hint."""
    try:
        from turnwise.cli.app import app
    except ModuleNotFoundError as error:
        if error.name not in ("typer", "rich"):
            raise
        sys.exit(f"turnwise: the command line needs {error.name}; install turnwise[cli]")
    app()
