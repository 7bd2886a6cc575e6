"""Tools whose output comes from the journal first, when a durable run calls them.

A tool stays the same object. Only what it calls is replaced, and that looks up the scope that it is
called in: outside of a durable run it does what it did before.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from functools import partial, wraps
from types import new_class
from typing import Any

from agents import ApplyPatchTool, CustomTool, FunctionTool, LocalShellTool, ShellTool, Tool
from agents.tool_context import ToolContext

from turnwise.durable import sdk
from turnwise.durable.calls import call_tool
from turnwise.durable.context import current_run
from turnwise.durable.editors import DurableEditor
from turnwise.durable.proxy import ObjectProxy, make_proxy, recently_derived
from turnwise.process import LOCK


def make_durable(tool: Tool) -> None:
    """Let a tool consult the journal of the run that calls it. Hosted tools stay as they are."""
    with LOCK:  # threads share agents, and so their tools
        _make_durable(tool)


def _make_durable(tool: Tool) -> None:
    if isinstance(tool, FunctionTool):
        _make_function_durable(tool)
    elif isinstance(tool, CustomTool):
        if not isinstance(tool.on_invoke_tool, TextInvoker):
            tool.on_invoke_tool = TextInvoker(tool, tool.on_invoke_tool)
    elif isinstance(tool, ShellTool | LocalShellTool):
        executor: Any = tool.executor
        if executor is not None and not _is_durable(executor):
            tool.executor = _durable_executor(tool, executor)
    elif isinstance(tool, ApplyPatchTool) and not isinstance(tool.editor, DurableEditor):
        tool.editor = make_proxy(tool.editor, DurableEditor, tool)


def _make_function_durable(tool: FunctionTool) -> None:
    invoker: Any = tool.on_invoke_tool
    if isinstance(invoker, sdk.FunctionToolInvoker):
        if not isinstance(invoker, _DurableSDKInvoker):
            # Its class changes: only an invoker of the SDK's kind, with the state that the SDK gave
            # it, is asked whether a call with defaulted arguments needs an approval.
            kind: Any = type(invoker)
            invoker.__class__ = _durable_class(kind)
    elif not isinstance(invoker, Invoker):
        tool.on_invoke_tool = Invoker(tool, invoker)


async def _invoke(tool: FunctionTool, invoke: Callable[..., Any], context: Any, text: str) -> Any:
    run = current_run()
    call_id = getattr(context, "tool_call_id", None)
    if run is None or call_id is None:
        return await invoke(context, text)
    if getattr(context, "run_config", None) is not None:
        context.run_config = run.config
    call = getattr(context, "tool_call", None)
    execute = partial(invoke, context, text)
    return await call_tool(run, tool, call_id, execute, context=context, call=call)


class _DurableSDKInvoker(sdk.FunctionToolInvoker):
    """The SDK's invoker of a function tool, journaled."""

    async def __call__(self, ctx: ToolContext[Any], input: str) -> Any:
        return await _invoke(sdk.tool_of(self), super().__call__, ctx, input)


@recently_derived
def _durable_class(kind: type[Any]) -> Any:
    if kind is sdk.FunctionToolInvoker:
        return _DurableSDKInvoker
    names = {"__module__": kind.__module__, "__qualname__": kind.__qualname__}
    return new_class(
        kind.__name__, (_DurableSDKInvoker, kind), {}, lambda space: space.update(names)
    )


async def _result(made: Any) -> Any:
    return await made if inspect.isawaitable(made) else made


_NOT_THE_ORIGINALS = ("_tool", "_original", "__annotations__", "__signature__", "__wrapped__")
"""The wrapper's own: while it is copied, and where the SDK looks up which context to pass."""


class _Wrapper:
    """Wraps the application's callable of a tool. Everything else is the callable's."""

    def __init__(self, tool: Any, original: Callable[..., Any]) -> None:
        self._tool = tool
        self._original = original

    def __getattr__(self, name: str) -> Any:
        if name in _NOT_THE_ORIGINALS:
            raise AttributeError(name)
        return getattr(self._original, name)

    async def _call(self, *args: Any) -> Any:
        return await _result(self._original(*args))


class Invoker(_Wrapper, sdk.RebindingInvoker):
    """The invoker of a function tool that the application made by hand."""

    async def __call__(self, ctx: ToolContext[Any], input: str) -> Any:
        return await _invoke(self._tool, self._call_in_context, ctx, input)

    async def _call_in_context(self, context: ToolContext[Any], text: str) -> Any:
        return await self._call(sdk.invoke_context(self._original, context), text)

    def bound_to(self, tool: FunctionTool) -> Invoker:
        if tool is self._tool:
            return self
        original: Any = self._original
        if inspect.ismethod(original) and original.__self__ is self._tool:
            original = original.__func__.__get__(tool, type(tool))
        return Invoker(tool, original)


class TextInvoker(_Wrapper):
    """The invoker of a custom tool."""

    async def __call__(self, ctx: Any, input: str) -> Any:
        run = current_run()
        call_id = getattr(ctx, "tool_call_id", None)
        execute = partial(self._call, ctx, input)
        if run is None or call_id is None:
            return await execute()
        return await call_tool(run, self._tool, call_id, execute, context=ctx)


def _durable_executor(tool: Any, executor: Any) -> Any:
    """The executor of a shell tool: a function for a function, a proxy for an object."""
    if not inspect.isroutine(executor):
        return make_proxy(executor, DurableExecutor, tool)

    @wraps(executor)
    async def durable(request: Any) -> Any:
        return await _execute(tool, executor, request)

    vars(durable)["_turnwise_original"] = executor
    return durable


def _is_durable(executor: Any) -> bool:
    marks = getattr(executor, "__dict__", {})
    return isinstance(executor, DurableExecutor) or "_turnwise_original" in marks


class DurableExecutor(ObjectProxy):
    """An executor whose commands are journaled. Everything else is the original's."""

    __slots__ = ()

    async def __call__(self, request: Any) -> Any:
        return await _execute(self._turnwise_context, self._turnwise_original, request)


async def _execute(tool: Any, executor: Callable[[Any], Any], request: Any) -> Any:
    run = current_run()

    async def execute() -> Any:
        return await _result(executor(request))

    if run is None:
        return await execute()
    return await call_tool(run, tool, request.data.call_id, execute)
