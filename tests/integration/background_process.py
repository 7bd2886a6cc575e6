"""The agents of workers that are processes of their own; what they do stands in a ledger.

The environment names it (LEDGER); see `durable_process`.
"""

from __future__ import annotations

import asyncio
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
    if message.startswith("slow"):
        await let_go()


async def let_go() -> None:
    """Wait until the test says that what is slow may end."""
    gate = Path(os.environ["LEDGER"]).with_suffix(".go")
    while not gate.exists():
        await asyncio.sleep(0.02)


agents: list[Any] = [agent_of(book), echo(note)]
