"""A tool call of a durable run: answered from the journal, or made and journaled."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import Any

from agents import ApplyPatchTool, CustomTool, FunctionTool, ShellTool, ToolTimeoutError
from agents.tool import default_tool_timeout_error_message

from turnwise.durable import sdk
from turnwise.durable.context import Call, Run, being_in
from turnwise.durable.keys import is_repeatable
from turnwise.durable.progress import End
from turnwise.durable.responses import packed_usage, usage_of
from turnwise.durable.tool_outputs import error_of, packed_error, packed_value, value_of
from turnwise.errors import TurnwiseError
from turnwise.journal_entries import (
    Cancelled,
    Raised,
    Returned,
    TimedOut,
    ToolEndedEntry,
    ToolOutcome,
    ToolOutput,
    ToolStartedEntry,
)

UNKNOWN = (
    "The outcome of this call is unknown: the worker that ran it died before the call ended. It "
    "may have done its work, or a part of it, or nothing. It was not run again. Find out what it "
    "did before you repeat it."
)
"""What the model is told of a call that had begun when its worker died."""

_RETURNS_ERRORS = (ApplyPatchTool, CustomTool, ShellTool)
"""Tools whose exceptions the model gets as output. Any other tool's exception ends the run."""

Inner = Callable[[], Awaitable[Any]]


async def called(
    run: Run,
    tool: Any,
    call_id: str,
    inner: Inner,
    *,
    context: Any = None,
    call: Any = None,
    unknown: Any = UNKNOWN,
    is_harmless: bool = False,
) -> Any:
    """The output of a call. `inner` makes it; `context` and `call` are the SDK's, if known.

    `unknown` is the output of one that had begun when its worker died; a harmless one is made
    again then, whatever tool it is of.

    Raises what the tool raises, and what ended the turn.
    """
    replay = await run.open()
    run.check()
    this = _ToolCall(run, tool, call_id, context, call)
    key = run.path, this.name
    ended = replay.ended.get(key)
    if ended is not None and not (key in replay.failed and this.may_repeat()):
        replay.turn.emit_replayed("tool", run.agent.name, tool.name)
        with this.standing():
            return await this.again(ended.outcome)
    await replay.check()
    if sdk.is_agent_tool(tool):
        return await this.made_by_agent(inner)
    started = replay.started.get(key)
    if started is not None and not this.may_repeat():
        return await this.unknown(unknown)
    if started is None and not is_harmless:
        await this.start()
    with this.standing():
        return await this.made(inner)


def output_told(run: Run, tool: Any, output: Any, context: Any) -> None:
    """The SDK says what a call's output is to be.

    It makes it itself after a timeout, and guardrails replace it: an interruption keeps this one.
    """
    call_id = getattr(context, "tool_call_id", None)
    if run.turn is None or call_id is None or not isinstance(tool, FunctionTool):
        return
    progress, name = run.replay.progress, f"{run.responses}.{call_id}"
    before = progress.end(run.path, name)
    if before is None or before.value is not output:
        formatted = before is not None or tool.timeout_error_function is None
        call = getattr(context, "tool_call", None)
        progress.ended(run.path, name, End(tool, output, call, formatted))


def rejection_told(run: Run, call_id: str, text: object) -> None:
    """The application's own text for a call that was rejected."""
    if run.turn is not None and isinstance(text, str):
        end = End(None, text, formatted=True)
        run.replay.progress.ended(run.path, f"{run.responses}.{call_id}", end)


class _ToolCall:
    def __init__(self, run: Run, tool: Any, call_id: str, context: Any, call: Any) -> None:
        self.name = f"{run.responses}.{call_id}"
        self._run = run
        self._tool = tool
        self._context = context
        self._call = call
        self._place = Call(run, self.name, tool.name)

    def may_repeat(self) -> bool:
        run, name = self._run.path, self.name
        started = self._run.replay.started.get((run, name)) or self._started()
        return is_repeatable(self._tool) or self._run.may_repeat([started])

    @contextmanager
    def standing(self) -> Iterator[None]:
        """A block whose errors another attempt would raise again, if the tool may not repeat."""
        try:
            yield
        except TurnwiseError:
            raise
        except Exception as error:
            if not self.may_repeat():
                self._run.replay.standing.append(error)
            raise

    def _started(self) -> ToolStartedEntry:
        return ToolStartedEntry(
            run=self._run.path,
            call=self.name,
            tool=self._tool.name,
            repeatable=is_repeatable(self._tool),
        )

    async def start(self) -> None:
        await self._run.replay.write(self._started())

    async def _end(self, outcome: ToolOutcome) -> None:
        entry = ToolEndedEntry(run=self._run.path, call=self.name, outcome=outcome)
        self._run.replay.note(entry)
        await self._run.replay.write(entry)

    async def made(self, inner: Inner) -> Any:
        """Make the call, and journal its end."""
        try:
            with being_in(self._place), self._run.replay.progress.running(self._tool):
                value = await inner()
        except asyncio.CancelledError:
            await self._cancelled()
            raise
        except TurnwiseError:
            raise
        except Exception as error:
            self._raised(error)
            await self._end(packed_error(error))
            raise
        self._ended(value)
        await self._end(self._returned(value))
        return value

    def _ended(self, value: Any, *, formatted: bool = False) -> None:
        """An interruption keeps this, though the SDK has not added it yet."""
        end = End(self._tool, value, self._call, formatted or sdk.is_error_text(self._context))
        self._run.replay.progress.ended(self._run.path, self.name, end)

    def _raised(self, error: Exception) -> None:
        if isinstance(self._tool, _RETURNS_ERRORS):
            self._ended(str(error) or type(error).__name__, formatted=True)

    async def made_by_agent(self, inner: Inner) -> Any:
        """An agent's steps are journaled themselves; its end saves the next worker from them."""
        try:
            with being_in(self._place):
                value = await inner()
        except asyncio.CancelledError:
            await self._cancelled()
            raise
        await self._run.replay.check()  # the agent's failure may be a text for the model by now
        if not self._place.is_interrupted:
            self._ended(value)
            await self._end(self._returned(value, usage=packed_usage(self._place.usage)))
        return value

    def _returned(self, value: Any, usage: dict[str, Any] | None = None) -> Returned:
        return Returned(
            output=packed_value(value, self._tool, self._call),
            is_error_text=sdk.is_error_text(self._context),
            usage=usage,
        )

    async def _cancelled(self) -> None:
        """Of cancellations, the model is shown the tool's own and its timeout.

        One that came from around the run is neither: the call has not ended.
        """
        task = asyncio.current_task()
        if task is None or not task.cancelling():
            await self._end(Cancelled())
        elif getattr(self._tool, "timeout_seconds", None) is not None and self._run.goes_on:
            await self._run.replay.check()
            await self._end(TimedOut())

    async def unknown(self, value: Any) -> Any:
        self._ended(value, formatted=True)
        await self._end(Returned(output=ToolOutput("json", value), is_error_text=True))
        sdk.mark_error_text(self._context)
        return value

    async def again(self, outcome: ToolOutcome) -> Any:
        """What the call gave an earlier attempt."""
        if sdk.is_agent_tool(self._tool):
            sdk.forget_interrupted_run(self._call, self._context)
        match outcome:
            case Cancelled():
                raise asyncio.CancelledError
            case TimedOut():
                return await self._timed_out()
            case Raised():
                error = error_of(outcome)
                self._raised(error)
                raise error
            case Returned():
                return self._returned_again(outcome)

    def _returned_again(self, returned: Returned) -> Any:
        if returned.is_error_text:
            sdk.mark_error_text(self._context)
        if returned.usage is not None and self._context is not None:
            usage = usage_of(returned.usage)
            self._context.usage.add(usage)
            self._run.spend(usage)
        value = value_of(returned.output)
        self._ended(value)
        return value

    async def _timed_out(self) -> Any:
        """The text is made again, as the SDK makes it: it is made outside of the call."""
        tool: FunctionTool = self._tool
        seconds = tool.timeout_seconds or 0
        error = ToolTimeoutError(tool_name=tool.name, timeout_seconds=seconds)
        if tool.timeout_behavior == "raise_exception":
            raise error
        if tool.timeout_error_function is None:
            sdk.mark_error_text(self._context)
            return default_tool_timeout_error_message(tool_name=tool.name, timeout_seconds=seconds)
        text = tool.timeout_error_function(self._context, error)
        return await text if inspect.isawaitable(text) else text
