"""The agents of servers and workers that are processes of their own: `WIRE_FOLDER` halts them.

A user's message says what happens: see `_rule`. A word in capitals waits for the file of its name.
"""

from __future__ import annotations

import asyncio
import os
from pathlib import Path
from typing import Any

from agents import Agent, function_tool
from agents.items import TResponseOutputItem

from tests.http.speaking import Speaker, call, text, thought
from turnwise import repeatable

_FOLDER = Path(os.environ["WIRE_FOLDER"])
_ME = os.environ.get("WIRE_WORKER", "one")


@repeatable
@function_tool
async def weather(city: str) -> str:
    """The weather. In GLOOM it takes its time."""
    await _halt(city)
    return f"sunny in {city.lower()}"


@function_tool(needs_approval=True)
def refund(order: str) -> str:
    """Give the money back."""
    return f"refunded {order}"


@function_tool(failure_error_function=None)
def broken() -> str:
    """A tool that fails for good."""
    raise OSError("secret of the server")


async def _halt(word: str) -> None:
    """Wait at a word in capitals until the test has made a file of its name."""
    name = word.strip()
    if len(name) > 2 and name.isupper() and name.isalpha():
        (_FOLDER / f"{name}.reached").touch()
        while not (_FOLDER / name).exists():
            await asyncio.sleep(0.01)


def _rule(items: list[Any]) -> list[TResponseOutputItem]:
    """What the model says.

    "weather CITY": it calls the tool, and tells what that says. "refund ORDER ...": one call for
    each. "think WORDS": reasoning, then the words. "who WORDS": the worker's name, and the words.
    "break": a tool that fails. "use TOOL KEY VALUE": a tool of the client's, and what that says.
    Everything else it says again.
    """
    last = max(n for n, item in enumerate(items) if item.get("role") == "user")
    words, outputs = _words(items[last]), [one for one in items[last:] if _is_output(one)]
    number, count = len(items), sum(item.get("role") == "user" for item in items)
    match words.split():
        case ["weather", *cities] if len(outputs) < len(cities):
            city = cities[len(outputs)]
            return [text("Let me see.", number), call("weather", f"call_{number}", city=city)]
        case ["refund", *orders] if not outputs:
            return [call("refund", f"call_{number}_{order}", order=order) for order in orders]
        case ["use", name, key, value] if not outputs:
            return [call(name, f"call_{number}", **{key: value})]
        case ["weather" | "refund" | "use", *_]:
            return [text(f"It is {' and '.join(str(one['output']) for one in outputs)}.", number)]
        case ["think", *rest]:
            return [thought("well well"), text(" ".join(rest), number)]
        case ["who", *rest]:
            return [text(" ".join([_ME, "says", *rest]), number)]
        case ["break"]:
            return [call("broken", f"call_{number}")]
        case ["count"]:
            return [text(f"message {count}", number)]
    return [text(words, number)]


def _words(item: Any) -> str:
    content = item["content"]
    return str(content if isinstance(content, str) else content[0]["text"])


def _is_output(item: Any) -> bool:
    return bool(item.get("type") == "function_call_output")


agents = [Agent[Any](name="helper", model=Speaker(_rule, _halt), tools=[weather, refund, broken])]
