"""Tools that answer from the journal first, where a durable run calls them.

A tool stays the object that it is: what it is called by learns to look where it is called. Outside
of a durable run, and for other runs at the same time, it does what it did before.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from functools import cache, partial, wraps
from types import new_class
from typing import Any

from agents import ApplyPatchTool, CustomTool, FunctionTool, LocalShellTool, ShellTool, Tool
from agents.tool_context import ToolContext

from turnwise.durable import sdk
from turnwise.durable.calls import called
from turnwise.durable.context import Run, here
from turnwise.durable.patches import DurableEditor
from turnwise.durable.proxy import ObjectProxy, make_proxy
from turnwise.process import LOCK


def make_durable(tool: Tool) -> None:
    """Let a tool look into the journal of the run that calls it. Tools of providers stay as is."""
    with LOCK:  # threads share agents, and so their tools
        _make_durable(tool)


def _make_durable(tool: Tool) -> None:
    if isinstance(tool, FunctionTool):
        invoker: Any = tool.on_invoke_tool
        if isinstance(invoker, sdk.FunctionToolInvoker):
            if not isinstance(invoker, _DurableInvoker):
                kind: Any = type(invoker)
                invoker.__class__ = _durable_kind(kind)
        elif not isinstance(invoker, Invoked):
            tool.on_invoke_tool = Invoked(tool, invoker)
    elif isinstance(tool, CustomTool):
        if not isinstance(tool.on_invoke_tool, InvokedWithText):
            tool.on_invoke_tool = InvokedWithText(tool, tool.on_invoke_tool)
    elif isinstance(tool, ShellTool | LocalShellTool):
        executor: Any = tool.executor
        if executor is not None and not _is_durable(executor):
            tool.executor = _durable_executor(tool, executor)
    elif isinstance(tool, ApplyPatchTool) and not isinstance(tool.editor, DurableEditor):
        tool.editor = make_proxy(tool.editor, DurableEditor, tool)


def _run_here() -> Run | None:
    """The run that calls; None outside of one, and inside a tool, which is journaled as a whole."""
    place = here()
    return place if isinstance(place, Run) else None


async def _invoked(tool: FunctionTool, call: Callable[..., Any], context: Any, text: str) -> Any:
    run = _run_here()
    call_id = getattr(context, "tool_call_id", None)
    if run is None or call_id is None:
        return await call(context, text)
    if getattr(context, "run_config", None) is not None:
        context.run_config = run.original
    tool_call = getattr(context, "tool_call", None)
    return await called(
        run, tool, call_id, partial(call, context, text), context=context, call=tool_call
    )


class _DurableInvoker(sdk.FunctionToolInvoker):
    """What a function tool is called by. The arguments are checked for approvals as before."""

    async def __call__(self, ctx: ToolContext[Any], input: str) -> Any:
        return await _invoked(sdk.tool_of(self), super().__call__, ctx, input)


@cache
def _durable_kind(kind: type[Any]) -> Any:
    if kind is sdk.FunctionToolInvoker:
        return _DurableInvoker
    names = {"__module__": kind.__module__, "__qualname__": kind.__qualname__}
    return new_class(kind.__name__, (_DurableInvoker, kind), {}, lambda space: space.update(names))


async def _outcome(made: Any) -> Any:
    return await made if inspect.isawaitable(made) else made


_OWN = ("_tool", "_inner", "__annotations__", "__signature__", "__wrapped__")
"""Its own while it is being copied, and where the SDK asks which context it is to be given."""


class _Around:
    """A callable of the application's in a tool of its own. Everything else is the callable's."""

    def __init__(self, tool: Any, inner: Callable[..., Any]) -> None:
        self._tool = tool
        self._inner = inner

    def __getattr__(self, name: str) -> Any:
        if name in _OWN:
            raise AttributeError(name)
        return getattr(self._inner, name)

    async def _outcome(self, *args: Any) -> Any:
        return await _outcome(self._inner(*args))


class Invoked(_Around, sdk.RebindingInvoker):
    """What a hand-written function tool is called by."""

    async def __call__(self, ctx: ToolContext[Any], input: str) -> Any:
        return await _invoked(self._tool, self._narrowed, ctx, input)

    async def _narrowed(self, context: ToolContext[Any], text: str) -> Any:
        return await self._outcome(sdk.invoke_context(self._inner, context), text)

    def bound_to(self, tool: FunctionTool) -> Invoked:
        if tool is self._tool:
            return self
        inner: Any = self._inner
        if inspect.ismethod(inner) and inner.__self__ is self._tool:
            inner = inner.__func__.__get__(tool, type(tool))
        return Invoked(tool, inner)


class InvokedWithText(_Around):
    """What a custom tool is called by."""

    async def __call__(self, ctx: Any, input: str) -> Any:
        run = _run_here()
        call_id = getattr(ctx, "tool_call_id", None)
        make = partial(self._outcome, ctx, input)
        if run is None or call_id is None:
            return await make()
        return await called(run, self._tool, call_id, make, context=ctx)


def _durable_executor(tool: Any, executor: Any) -> Any:
    """What carries out the commands of a shell tool: a function for a function, else a shadow."""
    if not inspect.isroutine(executor):
        return make_proxy(executor, DurableExecutor, tool)

    @wraps(executor)
    async def durable(request: Any) -> Any:
        return await _executed(tool, executor, request)

    vars(durable)["_turnwise_original"] = executor
    return durable


def _is_durable(executor: Any) -> bool:
    marks = getattr(executor, "__dict__", {})
    return isinstance(executor, DurableExecutor) or "_turnwise_original" in marks


class DurableExecutor(ObjectProxy):
    """An object that carries out commands. Everything else is its own."""

    __slots__ = ()

    async def __call__(self, request: Any) -> Any:
        return await _executed(self._turnwise_context, self._turnwise_original, request)


async def _executed(tool: Any, executor: Callable[[Any], Any], request: Any) -> Any:
    run = _run_here()

    async def make() -> Any:
        return await _outcome(executor(request))

    if run is None:
        return await make()
    return await called(run, tool, request.data.call_id, make)
