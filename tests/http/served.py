"""The agents of servers that are processes of their own. The environment names a folder (FOLDER).

A model's "slow" word waits until the file `go` is there; each call of a model is a line of `log`.
"""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

from tests.http.typist import typist

_FOLDER = Path(os.environ["FOLDER"])


async def _pace(so_far: str) -> None:
    if not so_far:
        _note("asked")
    if so_far.endswith("slow"):
        _note("slow")
        while not (_FOLDER / "go").exists():
            await asyncio.sleep(0.02)


def _note(word: str) -> None:
    with (_FOLDER / "log").open("a") as log:
        log.write(f"{word} {os.getpid()}\n")


agents = [typist(_pace)]
