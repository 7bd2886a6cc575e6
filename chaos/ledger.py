"""The world outside: a file to which every tool adds a line when it does its work."""

from __future__ import annotations

import os
from pathlib import Path

import msgspec

from chaos.history import Execution


class Ledger:
    """Appended to by many processes: one write for each line, so that lines stay whole."""

    def __init__(self, path: str | Path) -> None:
        self._file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)

    def write(self, execution: Execution) -> None:
        os.write(self._file, msgspec.json.encode(execution) + b"\n")

    def close(self) -> None:
        os.close(self._file)


def read(path: Path) -> list[Execution]:
    """All lines; there may be none."""
    if not path.exists():
        return []
    decoder = msgspec.json.Decoder(Execution)
    return [decoder.decode(line) for line in path.read_bytes().splitlines()]
