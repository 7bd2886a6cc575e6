"""The agents of workers on a bad night; messages say what is to happen. See `night_lab.Night`.

hello            is answered
wait for NAME    is answered when the file NAME is in the folder
fail until NAME  fails unless that file is there
"""

from __future__ import annotations

import asyncio
import os
from pathlib import Path
from typing import Any

from tests.integration import approval_process
from tests.integration.background_lab import echo
from tests.integration.durable_process import Book
from turnwise.fleet import heartbeat

LEDGER = Path(os.environ["LEDGER"])
book = Book(LEDGER)
vars(heartbeat)["INTERVAL"] = 0.2  # what workers say and hear takes five seconds otherwise


async def act(message: str) -> None:
    book.note(f"said {message}")
    file = LEDGER.parent / message.rpartition(" ")[2]
    if message.startswith("fail until") and not file.exists():
        raise RuntimeError("no such thing")
    while message.startswith("wait for") and not file.exists():
        await asyncio.sleep(0.02)


old: list[Any] = [echo(act), echo(act, name="held"), approval_process.agent_of(book)]
new: list[Any] = [*old, echo(act, name="echo-2")]
hot: list[Any] = [echo(act, name="hot")]
