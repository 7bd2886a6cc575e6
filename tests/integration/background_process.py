"""The agents of workers that are processes of their own; what they do stands in a ledger.

The environment names it (LEDGER); see `durable_process`.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from tests.integration.background_lab import echo
from tests.integration.durable_process import Book, agent_of

book = Book(Path(os.environ["LEDGER"]))


async def note(message: str) -> None:
    book.note(f"said {message}")
    if message == "bad":
        raise RuntimeError("no such thing")


agents: list[Any] = [agent_of(book), echo(note)]
