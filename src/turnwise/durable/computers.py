"""Computers of computer tools. Each action is a tool call in the journal: none runs twice."""

from __future__ import annotations

import inspect
import logging
import sys
from collections.abc import Callable
from functools import partial, wraps
from types import new_class
from typing import Any

from agents import AsyncComputer, Computer, ComputerTool

from turnwise.durable import sdk
from turnwise.durable.calls import OUTCOME_UNKNOWN, call_tool
from turnwise.durable.context import Run, current_run
from turnwise.durable.proxy import recently_derived

_MARK = "_turnwise_durable"
_log = logging.getLogger("turnwise")
_ACTIONS = ("click", "double_click", "scroll", "type", "move", "keypress", "drag")
_WITHOUT_EFFECT = ("screenshot", "wait")


def make_computer_durable(computer: Computer | AsyncComputer) -> None:
    """Let the computer consult the journal of the run that uses it.

    Its class changes, not the object: the tool, and the application, have this very one.
    """
    kind: Any = type(computer)
    if not getattr(kind, _MARK, False):
        try:
            computer.__class__ = _durable_class(kind)
        except (TypeError, AttributeError):  # a mock, say
            _log.warning("a %s cannot be made durable: it may do things twice", kind.__qualname__)


@recently_derived
def _durable_class(kind: type[Any]) -> Any:
    names: dict[str, Any] = {
        "__slots__": (),
        "__module__": kind.__module__,
        "__qualname__": kind.__qualname__,
        "__doc__": kind.__doc__,
        _MARK: True,
    }
    for name in (*_ACTIONS, *_WITHOUT_EFFECT):
        names[name] = _durable_method(getattr(kind, name))
    return new_class(kind.__name__, (kind,), {}, lambda space: space.update(names))


def _durable_method(original: Callable[..., Any]) -> Callable[..., Any]:
    """The method with the same signature, which the SDK inspects."""

    @wraps(original)
    def method(computer: Any, *args: Any, **options: Any) -> Any:
        run = current_run()
        act = partial(original, computer, *args, **options)
        if run is not None and sdk.is_tool_execution(sys._getframe(1)):
            return _call(run, original.__name__, act)
        return act()

    return method


async def _call(run: Run, name: str, act: Callable[[], Any]) -> Any:
    """Act, unless an earlier attempt did.

    If the outcome of an action is unknown, the later actions of the same response are skipped. The
    screenshot then shows the model what is on the screen.
    """
    tool = next(tool for tool in run.agent.tools if isinstance(tool, ComputerTool))
    call_id = f"{name}.{run.occurrence('computer')}"

    async def execute() -> Any:
        result = act()
        value = await result if inspect.isawaitable(result) else result
        return value if name == "screenshot" else None

    if name in _WITHOUT_EFFECT:
        return await call_tool(run, tool, call_id, execute, has_effect=False)
    if not run.is_outcome_unknown:
        value = await call_tool(run, tool, call_id, execute)
        run.is_outcome_unknown = value == OUTCOME_UNKNOWN
    return None
