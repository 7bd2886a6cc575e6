"""Errors of ours that the SDK's run loop lets pass through tools and guardrails."""

from __future__ import annotations

from functools import cache
from typing import Any, TypeVar

from agents import AgentsException

from turnwise.errors import TurnwiseError

Error = TypeVar("Error", bound=TurnwiseError)


def as_agents_exception(error: Error) -> Error:
    """The very error, made one of the SDK's own kind as well.

    What a tool raises becomes a UserError or a text for the model, unless it is the SDK's.
    """
    if not isinstance(error, AgentsException):
        kind: Any = type(error)
        error.__class__ = _agents_exception_kind(kind)
        error.run_data = None  # type: ignore[attr-defined]  # it is an AgentsException now
    return error


@cache
def _agents_exception_kind(kind: type[Any]) -> Any:
    names = {
        "__module__": kind.__module__,
        "__qualname__": kind.__qualname__,
        "__doc__": kind.__doc__,
    }
    return type(kind.__name__, (kind, AgentsException), names)
