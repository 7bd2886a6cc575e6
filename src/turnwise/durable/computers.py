"""Computers whose actions are not done twice: each is a call in the journal."""

from __future__ import annotations

import inspect
import logging
import sys
from collections.abc import Callable
from functools import cache, partial, wraps
from types import new_class
from typing import Any

from agents import AsyncComputer, Computer, ComputerTool

from turnwise.durable import sdk
from turnwise.durable.calls import UNKNOWN, called
from turnwise.durable.context import Run, here

_MARK = "_turnwise_durable"
_log = logging.getLogger("turnwise")
_ACTIONS = ("click", "double_click", "scroll", "type", "move", "keypress", "drag")
_HARMLESS = ("screenshot", "wait")


def make_computer_durable(computer: Computer | AsyncComputer) -> None:
    """Let it look into the journal of the run that uses it. It stays the object that it is."""
    kind: Any = type(computer)
    if not getattr(kind, _MARK, False):
        try:
            computer.__class__ = _durable_kind(kind)
        except (TypeError, AttributeError):  # a mock, say
            _log.warning("a %s cannot be made durable: it may do things twice", kind.__qualname__)


@cache
def _durable_kind(kind: type[Any]) -> Any:
    names: dict[str, Any] = {
        "__slots__": (),
        "__module__": kind.__module__,
        "__qualname__": kind.__qualname__,
        "__doc__": kind.__doc__,
        _MARK: True,
    }
    for name in (*_ACTIONS, *_HARMLESS):
        names[name] = _durable_method(getattr(kind, name))
    return new_class(kind.__name__, (kind,), {}, lambda space: space.update(names))


def _durable_method(original: Callable[..., Any]) -> Callable[..., Any]:
    """The method, for a run in the same form as before: the SDK looks at its arguments."""

    @wraps(original)
    def method(computer: Any, *args: Any, **options: Any) -> Any:
        place = here()
        do = partial(original, computer, *args, **options)
        if isinstance(place, Run) and sdk.is_tool_execution(sys._getframe(1)):
            return _done(place, original.__name__, do)
        return do()

    return method


async def _done(run: Run, name: str, do: Callable[[], Any]) -> Any:
    """Do it, unless an earlier attempt did.

    Where nobody knows whether an action was done, neither it nor those of the same response that
    were to follow are: the screenshot of what the screen shows then tells the model.
    """
    tool = next(tool for tool in run.agent.tools if isinstance(tool, ComputerTool))
    call_id = f"{name}.{run.occurrence('computer')}"

    async def outcome() -> Any:
        result = do()
        value = await result if inspect.isawaitable(result) else result
        return value if name == "screenshot" else None

    if name in _HARMLESS:
        return await called(run, tool, call_id, outcome, is_harmless=True)
    if not run.is_doubtful:
        value = await called(run, tool, call_id, outcome)
        run.is_doubtful = value == UNKNOWN
    return None
