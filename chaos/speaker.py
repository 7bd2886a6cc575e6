"""The scripted model as one that speaks: word by word, and in each attempt other words."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator
from typing import Any

from agents.items import TResponseStreamEvent

from chaos.script import ScriptedModel, completed, delta, reply

_WORDS = 12
_PAUSES = (0.05, 0.2, 0.5)
"""The longest pause after a word of an answer, in seconds."""


class Speaker(ScriptedModel):
    """So streams break in mid-answer, and what a takeover makes void shows."""

    async def stream_response(
        self, *args: Any, **options: Any
    ) -> AsyncIterator[TResponseStreamEvent]:
        output = reply(options["input"] if "input" in options else args[1])
        pause = random.choice(_PAUSES)
        for index, item in enumerate(output):
            if item.type == "message":
                words = [f" {random.getrandbits(16):04x}" for _ in range(_WORDS)]
                texts = [item.content[0].text, *words]
                item.content[0].text = "".join(texts)
                for text in texts:
                    yield delta(item, index, text)
                    await asyncio.sleep(pause * random.random())
        yield completed(output)
