"""The agents of `turnwise dev`: one as `served` has it, and one whose tools do not end."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

from agents import Agent, function_tool
from agents.items import TResponseOutputItem

from tests.http.served import agents as typists
from tests.http.speaking import Speaker, call


def _never_ends(name: str) -> str:
    (Path(os.environ["FOLDER"]) / name).touch()
    time.sleep(600)
    return "at last"


@function_tool
async def blocks() -> str:
    """It blocks the event loop."""
    return _never_ends("blocks")


@function_tool
def threads() -> str:
    """It blocks a thread."""
    return _never_ends("threads")


def _rule(items: list[Any]) -> list[TResponseOutputItem]:
    return [call(items[-1]["content"], "c1")]


stubborn = Agent[Any](name="stubborn", model=Speaker(_rule), tools=[blocks, threads])
agents = [*typists, stubborn]
