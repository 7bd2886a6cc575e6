"""The scripted agent: the texts of turns, and a model whose reply follows from its input.

A turn begins with a question that names its operation and its plan of tool calls: `op 17 plan rn/n`
is a step with a repeatable and another call in parallel, then a step with one call. It ends with an
answer that states how many items the turn saw and which operation wrote the last of them: `op 17
saw 40 after 16 attempt 1`. So a stored history shows by itself whether each turn saw exactly the
items before it.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Sequence
from typing import Any

from agents import Model, ModelResponse, Usage
from agents.items import TResponseStreamEvent
from agents.testing import assistant_message, function_call
from openai.types.responses import Response, ResponseCompletedEvent, ResponseTextDeltaEvent

TOOLS = {"r": "look_up", "n": "charge", "a": "pay"}
"""By letter in a plan: one is repeatable, one is not, one needs an approval."""
ALWAYS_FAILS = "x"
"""The plan of a run that raises in each attempt."""
REJECTED = "not approved"
NO_OP = "-"

_QUESTION = re.compile(r"op (\S+) plan (\S*)")
_ANSWER = re.compile(r"op (\S+) saw (\d+) after (\S+) attempt (\d+)")
_OP = re.compile(r"^op (\S+)")

Items = Sequence[Any]


def question(op: str, plan: str = "") -> str:
    return f"op {op} plan {plan}"


def answer(op: str, items: Items, attempt: int = 0) -> str:
    """The last text of a turn; `items` are those before it. Attempt 0: the run does not know."""
    return f"op {op} saw {len(items)} after {last_op(items)} attempt {attempt}"


def user(text: str) -> Any:
    return {"role": "user", "content": text}


def assistant(text: str) -> Any:
    content = [{"type": "output_text", "text": text, "annotations": []}]
    return {"type": "message", "role": "assistant", "status": "completed", "content": content}


def text_of(item: Any) -> str:
    """The text of a message; nothing for other items."""
    content = item.get("content") or ""
    return str(content if isinstance(content, str) else content[0].get("text", ""))


def op_of(item: Any) -> str | None:
    """The operation that an item names, in its text or in its call id."""
    found = _OP.match(text_of(item))
    if found:
        return found[1]
    return str(item["call_id"]).partition(".")[0] if "call_id" in item else None


def last_op(items: Items) -> str:
    """The operation that the last item names."""
    return (op_of(items[-1]) if items else None) or NO_OP


def is_question(text: str) -> bool:
    return _QUESTION.match(text) is not None


def parse_question(text: str) -> tuple[str, list[str]]:
    """The operation, and the steps of its plan."""
    found = _QUESTION.match(text)
    assert found is not None, text
    return found[1], [step for step in found[2].split("/") if step]


def parse_answer(text: str) -> tuple[str, int, str, int] | None:
    """Operation, number of items seen, operation of the last one, attempt."""
    found = _ANSWER.match(text)
    return (found[1], int(found[2]), found[3], int(found[4])) if found else None


def output(call_id: str, invocation: int) -> str:
    """What a tool returns in one invocation of its operation."""
    return f"{call_id} done by invocation {invocation}"


def call_ids(op: str, step: int, tools: str) -> list[tuple[str, str]]:
    """Tool and call id of each call of a step. A run that always fails makes none."""
    letters = "" if tools == ALWAYS_FAILS else tools
    return [(TOOLS[letter], f"{op}.{step}{n}") for n, letter in enumerate(letters)]


def reply(given: str | Items) -> list[Any]:
    """What the model answers."""
    items: Items = [user(given)] if isinstance(given, str) else given
    asked = max(i for i, item in enumerate(items) if item.get("role") == "user")
    op, plan = parse_question(text_of(items[asked]))
    if plan == [ALWAYS_FAILS]:
        raise RunFailed(op)
    outputs = sum(item.get("type") == "function_call_output" for item in items[asked:])
    for step, tools in enumerate(plan):
        if outputs == 0:
            return [
                function_call(tool, "{}", call_id=name) for tool, name in call_ids(op, step, tools)
            ]
        outputs -= len(tools)
    return [assistant_message(answer(op, items[:asked]))]


class RunFailed(Exception):
    """The error of a run whose plan is `ALWAYS_FAILS`."""


class Overloaded(Exception):
    """The error of a provider that may answer the next time."""


class ToolFailed(Exception):
    """The error of a tool that ends an attempt of a message."""


class ScriptedModel(Model):
    """A model whose reply follows from its input alone."""

    async def get_response(self, *args: Any, **options: Any) -> ModelResponse:
        output = reply(options["input"] if "input" in options else args[1])
        return ModelResponse(output=output, usage=Usage(), response_id="scripted")

    async def stream_response(
        self, *args: Any, **options: Any
    ) -> AsyncIterator[TResponseStreamEvent]:
        output = reply(options["input"] if "input" in options else args[1])
        for index, item in enumerate(output):
            if item.type == "message":
                yield delta(item, index, item.content[0].text)
        yield completed(output)


def delta(item: Any, index: int, text: str) -> ResponseTextDeltaEvent:
    """A piece of a message, as a stream has it."""
    return ResponseTextDeltaEvent(
        type="response.output_text.delta",
        delta=text,
        item_id=item.id,
        content_index=0,
        output_index=index,
        sequence_number=0,
        logprobs=[],
    )


def completed(output: list[Any]) -> ResponseCompletedEvent:
    """What ends a stream."""
    response = Response(
        id="scripted",
        created_at=0,
        model="scripted",
        object="response",
        output=output,
        parallel_tool_calls=True,
        tool_choice="auto",
        tools=[],
    )
    return ResponseCompletedEvent(type="response.completed", sequence_number=0, response=response)
