"""One tool call of a durable run: its output comes from the journal, or the tool makes it now."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

from agents import ApplyPatchTool, CustomTool, FunctionTool, ShellTool, ToolTimeoutError
from agents.tool import default_tool_timeout_error_message

from turnwise.durable import sdk
from turnwise.durable.agents_exceptions import as_agents_exception
from turnwise.durable.context import Call, Run, entered
from turnwise.durable.keys import is_repeatable
from turnwise.durable.progress import EndedCall
from turnwise.durable.responses import pack_usage, unpack_usage
from turnwise.durable.tool_outputs import pack_error, pack_output, unpack_error, unpack_output
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

OUTCOME_UNKNOWN = (
    "The outcome of this call is unknown: the worker that ran it died before the call ended. It "
    "may have done its work, or a part of it, or nothing. It was not run again. Find out what it "
    "did before you repeat it."
)
"""What the model gets as the output of a call that had begun when its worker died."""

_RETURNS_ERRORS = (ApplyPatchTool, CustomTool, ShellTool)
"""Tools whose exceptions the model gets as output. Any other tool's exception ends the run."""

_MOMENT = 0.001
Execute = Callable[[], Awaitable[Any]]


async def call_tool(
    run: Run,
    tool: Any,
    call_id: str,
    execute: Execute,
    *,
    context: Any = None,
    call: Any = None,
    unknown: Any = OUTCOME_UNKNOWN,
    has_effect: bool = True,
) -> Any:
    """The output of a tool call, journaled.

    Args:
        run: the run that makes the call.
        tool: the tool.
        call_id: the model's id of the call.
        execute: executes the call.
        context: the SDK's tool context, where there is one.
        call: the model's call, where the SDK passes it on.
        unknown: the output if a worker died in the call, and the tool may not run again.
        has_effect: False if the call only looks at something, so that it may always be repeated.

    Raises:
        Exception: what the tool raises, now or in an earlier attempt.
        TurnwiseError: what ended the turn.
    """
    replay = await run.open()
    run.check()
    replay.progress.acted = True
    sdk.name_call(call_id)
    this = _ToolCall(run, tool, call_id, context, call)
    key = run.path, this.name
    ended = replay.ended.get(key)
    if ended is not None and not (key in replay.failed_calls and this.may_repeat()):
        replay.turn.emit_replayed("tool", run.agent.name, tool.name)
        with this.noting_final_errors():
            return await this.replayed(ended.outcome)
    await replay.check()
    if sdk.is_agent_tool(tool):
        return await this.execute_agent(execute)
    started = replay.started.get(key)
    if started is not None and not this.may_repeat():
        return await this.end_as_unknown(unknown)
    if started is None and has_effect:
        await this.journal_start()
    with this.noting_final_errors():
        return await this.execute(execute)


def note_output(run: Run, tool: Any, output: Any, context: Any) -> None:
    """Note the output that a call has for the SDK; a cancelled turn keeps it.

    After a timeout the SDK makes it itself, and guardrails replace it.
    """
    call_id = getattr(context, "tool_call_id", None)
    if run.turn is None or call_id is None or not isinstance(tool, FunctionTool):
        return
    progress, name = run.replay.progress, f"{run.responses}.{call_id}"
    before = progress.ended_call(run.path, name)
    if before is None or before.value is not output:
        is_error_text = before is not None or tool.timeout_error_function is None
        call = getattr(context, "tool_call", None)
        before = EndedCall(tool, output, call, is_error_text)
    progress.call_ended(run.path, name, replace(before, passed=True))


def note_rejection(run: Run, call_id: str, text: object) -> None:
    """Note the application's text for a rejected call; a cancelled turn keeps it."""
    if run.turn is not None and isinstance(text, str):
        ended = EndedCall(None, text, is_error_text=True)
        run.replay.progress.call_ended(run.path, f"{run.responses}.{call_id}", ended)


class _ToolCall:
    def __init__(self, run: Run, tool: Any, call_id: str, context: Any, call: Any) -> None:
        self.name = f"{run.responses}.{call_id}"
        self._run = run
        self._tool = tool
        self._context = context
        self._call = call
        self._scope = Call(run, self.name, tool.name)

    def may_repeat(self) -> bool:
        run, name = self._run.path, self.name
        started = self._run.replay.started.get((run, name)) or self._start_entry()
        return is_repeatable(self._tool) or self._run.may_repeat([started])

    @contextmanager
    def noting_final_errors(self) -> Iterator[None]:
        """If the tool may not run again, every attempt raises the block's error."""
        try:
            yield
        except TurnwiseError:
            raise
        except Exception as error:
            if not self.may_repeat():
                self._run.replay.final_errors.append(error)
            raise

    def _start_entry(self) -> ToolStartedEntry:
        return ToolStartedEntry(
            run=self._run.path,
            call=self.name,
            tool=self._tool.name,
            repeatable=is_repeatable(self._tool),
        )

    async def journal_start(self) -> None:
        self._run.replay.has_run_tools = True
        await self._run.replay.write(self._start_entry())

    async def journal_end(self, outcome: ToolOutcome) -> None:
        """Return when the end is in the journal.

        If a call beside this one fails meanwhile, the SDK cancels this one, though it has ended.
        """
        replay = self._run.replay
        entry = ToolEndedEntry(run=self._run.path, call=self.name, outcome=outcome)
        replay.note_end(entry)
        try:
            await replay.write(entry)
        except asyncio.CancelledError:
            if self._run.is_stopping:
                raise
            write = asyncio.create_task(replay.settled(), name="turnwise-journal")
            # The SDK waits for a cancelled call only while that sleeps, and then counts its output.
            while not write.done():  # noqa: ASYNC110
                await asyncio.sleep(_MOMENT)
            await write

    async def execute(self, execute: Execute) -> Any:
        try:
            with entered(self._scope), self._run.replay.progress.running(self._tool):
                value = await execute()
        except asyncio.CancelledError:
            await self._cancelled()
            raise
        except TurnwiseError:
            raise
        except Exception as error:
            self._note_error(error)
            await self.journal_end(pack_error(error))
            await self._run.replay.settled()  # with the ends of the calls beside it
            raise
        self._note_value(value)
        await self.journal_end(self._returned(value))
        self._check_size()
        return value

    async def execute_agent(self, execute: Execute) -> Any:
        """The agent's steps have entries of their own. With its end, they need no replay."""
        try:
            with entered(self._scope):
                value = await execute()
        except asyncio.CancelledError:
            await self._cancelled()
            raise
        except Exception:
            await self._run.replay.settled()
            raise
        await self._run.replay.check()  # the SDK may have made a text of an error that ended it
        if not self._scope.is_interrupted:
            self._note_value(value)
            usage = pack_usage(self._scope.usage)
            await self.journal_end(self._returned(value, usage=usage))
            self._check_size()
        return value

    def _note_value(self, value: Any, *, is_error_text: bool = False) -> None:
        """Note the output; a cancelled turn keeps it, though the SDK has not added it yet."""
        is_error_text = is_error_text or sdk.is_error_text(self._context)
        ended = EndedCall(self._tool, value, self._call, is_error_text)
        self._run.replay.progress.call_ended(self._run.path, self.name, ended)

    def _check_size(self) -> None:
        """Raise LimitError if the history cannot take the output, so that nothing else is paid.

        Output guardrails and wrapped sessions may yet make it smaller.
        """
        run, tool = self._run, self._tool
        ended = run.replay.progress.ended_call(run.path, self.name)
        if not run.adds_items or ended is None or ended.call is None:
            return
        if not isinstance(tool, FunctionTool) or tool.tool_output_guardrails:
            return
        try:
            run.replay.turn.check_can_add([ended.item()])
        except TurnwiseError as error:
            run.replay.progress.forget_call(run.path, self.name)  # the turn can still be committed
            raise as_agents_exception(error) from None

    def _note_error(self, error: Exception) -> None:
        if isinstance(self._tool, _RETURNS_ERRORS):
            self._note_value(str(error) or type(error).__name__, is_error_text=True)

    def _returned(self, value: Any, usage: dict[str, Any] | None = None) -> Returned:
        return Returned(
            output=pack_output(value, self._tool, self._call),
            is_error_text=sdk.is_error_text(self._context),
            usage=usage,
        )

    async def _cancelled(self) -> None:
        """Journal the end if the tool cancelled itself or timed out: the model sees both.

        If the run was cancelled from outside, the call has not ended.
        """
        task = asyncio.current_task()
        if task is None or not task.cancelling():
            await self.journal_end(Cancelled())
            await self._run.replay.settled()
        elif getattr(self._tool, "timeout_seconds", None) is not None and not self._run.is_stopping:
            await self._run.replay.check()
            await self.journal_end(TimedOut())
            await self._run.replay.settled()

    async def end_as_unknown(self, value: Any) -> Any:
        self._note_value(value, is_error_text=True)
        await self.journal_end(Returned(output=ToolOutput("json", value), is_error_text=True))
        sdk.mark_error_text(self._context)
        return value

    async def replayed(self, outcome: ToolOutcome) -> Any:
        """What the call returned or raised in an earlier attempt."""
        if sdk.is_agent_tool(self._tool):
            sdk.forget_interrupted_run(self._call, self._context)
        match outcome:
            case Cancelled():
                raise asyncio.CancelledError
            case TimedOut():
                return await self._timeout_output()
            case Raised():
                error = unpack_error(outcome)
                self._note_error(error)
                raise error
            case Returned():
                return self._replayed_value(outcome)

    def _replayed_value(self, returned: Returned) -> Any:
        if returned.is_error_text:
            sdk.mark_error_text(self._context)
        if returned.usage is not None and self._context is not None:
            usage = unpack_usage(returned.usage)
            self._context.usage.add(usage)
            self._run.add_usage_to_parents(usage)
        value = unpack_output(returned.output)
        self._note_value(value)
        return value

    async def _timeout_output(self) -> Any:
        """What the SDK does after a timeout. It does so outside of the call, so nothing has it."""
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
