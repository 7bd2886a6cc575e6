"""Turnwise's errors as exceptions of the SDK, which passes its own through tools and guardrails.

It turns any other exception of a tool into a UserError, or into a text for the model.
"""

from __future__ import annotations

from functools import cache
from typing import Any, TypeVar

from agents import AgentsException

from turnwise.errors import TurnwiseError

Error = TypeVar("Error", bound=TurnwiseError)


def as_agents_exception(error: Error) -> Error:
    """Make the error an AgentsException as well, and return it.

    Its class changes: the turn has kept this very object as the reason why it was lost.
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
