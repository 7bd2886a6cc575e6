"""The agents of `deploy/app.py`, with a model that types. The environment names a folder (FOLDER).

A message "steps ..." is answered word by word, as far as the number in the file `words` allows.
"""

from __future__ import annotations

import asyncio
import os
from importlib import import_module
from pathlib import Path

from tests.http.typist import Typist

_WORDS = Path(os.environ.get("FOLDER", "."), "words")


async def _pace(so_far: str) -> None:
    if so_far.startswith("re: steps"):
        while int(_WORDS.read_text() or 0) <= so_far.count(" "):
            await asyncio.sleep(0.02)


agents = import_module("app").agents
agents[0].model = Typist(_pace)
