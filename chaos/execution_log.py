"""The log of side effects: a file outside the store to which every tool appends when it runs."""

from __future__ import annotations

import os
from pathlib import Path

import msgspec

from chaos.history import Execution


class ExecutionLog:
    """Many processes append to it: one write per line, so that lines stay whole."""

    def __init__(self, path: str | Path) -> None:
        self._file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)

    def append(self, execution: Execution) -> None:
        os.write(self._file, msgspec.json.encode(execution) + b"\n")

    def close(self) -> None:
        os.close(self._file)


def read(path: Path) -> list[Execution]:
    """All lines; none if no tool ran."""
    if not path.exists():
        return []
    decoder = msgspec.json.Decoder(Execution)
    return [decoder.decode(line) for line in path.read_bytes().splitlines()]
