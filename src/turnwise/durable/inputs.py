"""What callers pass as input and items: checked, and as the SDK takes it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from agents import Agent, RunState
from openai import BaseModel as OpenAIObject
from pydantic import BaseModel

from turnwise.durable.responses import to_json
from turnwise.errors import InvalidItem, UsageError


def checked_input(session_id: str, input: Any) -> Any:
    """The input of a run or a message, with objects of the SDK as dicts.

    Raises:
        UsageError: it is neither text nor a list of items, nor the state of a run.
        InvalidItem: it holds something else than items.
    """
    if isinstance(input, str | RunState):
        return input
    if not isinstance(input, list | tuple):
        hint = "; put a single item into a list" if isinstance(input, Mapping | BaseModel) else ""
        raise UsageError(
            f"the input is {_kind(input)}: pass a text, or a list of items{hint}",
            session_id=session_id,
        )
    return checked_items(session_id, input)


def checked_items(session_id: str, items: Any) -> list[Any]:
    """Items as dicts; those that are objects of the SDK are dumped.

    Raises InvalidItem. The codec checks what is in them.
    """
    if isinstance(items, str | bytes | Mapping | BaseModel) or not hasattr(items, "__iter__"):
        raise InvalidItem(
            f"the items are {_kind(items)}, not a list. Nothing was added", session_id=session_id
        )
    if type(items) is list and all(type(item) is dict for item in items):
        return items
    found = [_as_dict(item) for item in items]
    for index, item in enumerate(found):
        if not isinstance(item, Mapping):
            raise InvalidItem(
                f"item {index} is {_kind(item)}; an item is a dict of JSON values, or an object of "
                "the openai package. Nothing was added. result.to_input_list() gives the items of "
                "a run, and a user's text is {'role': 'user', 'content': text}",
                session_id=session_id,
            )
    return found


def check_agent(session_id: str, agent: object) -> None:
    """Raise UsageError unless it is an agent of the SDK."""
    if not isinstance(agent, Agent):
        raise UsageError(f"the agent is {_kind(agent)}, not an agents.Agent", session_id=session_id)


def agent_name(session_id: str, agent: object) -> str:
    """The name under which a message asks for an agent. Raises UsageError."""
    name = agent.name if isinstance(agent, Agent) else agent
    if not isinstance(name, str) or not name:
        raise UsageError(
            f"agent={name!r}: name the agent that answers, as the worker knows it",
            session_id=session_id,
        )
    return name


def check_options(session_id: str, given: Mapping[str, Any], known: Sequence[str]) -> None:
    """Raise UsageError for an option that does not exist."""
    if unknown := sorted(set(given) - set(known)):
        raise UsageError(
            f"unknown arguments: {', '.join(unknown)}. Besides agent and input there are: "
            f"{', '.join(known)}",
            session_id=session_id,
        )


def plain_items(input: Any) -> Any:
    """The input of a run whose items may be objects, which the SDK takes apart wrongly."""
    return [_as_dict(item) for item in input] if isinstance(input, list) else input


def _as_dict(item: Any) -> Any:
    """An object as JSON. Those of the openai package leave out what was never set: it is null."""
    if isinstance(item, BaseModel) and not isinstance(item, OpenAIObject):
        return item.model_dump(mode="json", exclude_none=True)
    return to_json(item)


def _kind(value: object) -> str:
    return "None" if value is None else f"of the type {type(value).__name__}"
