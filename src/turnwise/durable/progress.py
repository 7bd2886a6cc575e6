"""How far this attempt of a turn has come: what a cancelled turn keeps, and which tools run."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from agents import FunctionTool, ItemHelpers
from agents.tool import ShellResult

from turnwise.call_pairs import open_calls, text_output
from turnwise.durable import sdk
from turnwise.durable.tool_outputs import shell_outputs
from turnwise.journal_entries import RunPath

Item = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class LastResponse:
    """The last response of a run at the top of the turn.

    `responses` counts those of the run, with this one: the names of its calls begin with that.
    `changes` counts how often items had been added to the turn before it.
    """

    run: RunPath
    responses: int
    output: Sequence[Any]
    changes: int


@dataclass(frozen=True, slots=True)
class EndedCall:
    """A tool call that has ended.

    `is_error_text`: `value` is the SDK's text about an error. `passed`: the tool's output
    guardrails, which run last, let it pass.
    """

    tool: object
    value: Any
    call: Any = None
    is_error_text: bool = False
    passed: bool = False

    @property
    def may_be_shown(self) -> bool:
        """Whether no guardrail can keep the output from the model any more."""
        return self.passed or not getattr(self.tool, "tool_output_guardrails", None)

    def item(self) -> dict[str, Any]:
        """The output of a function tool as an item."""
        schema: dict[str, Any] = {}
        if isinstance(self.tool, FunctionTool) and not self.is_error_text:
            schema = sdk.output_schema(self.tool)
        return dict(ItemHelpers.tool_call_output_item(self.call, self.value, **schema))


class Progress:
    """What an attempt has done, with what it replayed of earlier ones.

    `exited` says whether something in a run called `sys.exit`, which ends this process; `acted`,
    whether the last response has made a tool call.
    """

    def __init__(self) -> None:
        self.exited = False
        self.acted = False
        self._response: LastResponse | None = None
        self._steps: list[tuple[RunPath, int]] = []
        self._ended: dict[tuple[RunPath, str], EndedCall] = {}
        self._running: dict[object, str] = {}
        self._quiet = asyncio.Event()

    def responded(self, response: LastResponse) -> None:
        """A run at the top of the turn has a response: the turn has the items of earlier steps."""
        self._response = response
        self.acted = False
        self._steps = [(response.run, response.responses)]
        self._ended.clear()

    def resumed(self, run: RunPath, rejections: Mapping[str, str]) -> None:
        """A run continues with calls that needed approvals, before it has a response.

        `rejections` has the output of each rejected call, by call id.
        """
        self._steps.append((run, 0))
        for call_id, text in rejections.items():
            self.call_ended(run, f"0.{call_id}", EndedCall(None, text, is_error_text=True))

    def call_ended(self, run: RunPath, name: str, ended: EndedCall) -> None:
        self._ended[run, name] = ended

    def forget_call(self, run: RunPath, name: str) -> None:
        """The history cannot take its output: the call counts as one without an output."""
        self._ended.pop((run, name), None)

    def ended_call(self, run: RunPath, name: str) -> EndedCall | None:
        return self._ended.get((run, name))

    def restarted(self, path: RunPath) -> None:
        """Forget what was done under this path."""
        size = len(path)
        if self._response is not None and self._response.run[:size] == path:
            self._response = None
        self._ended = {key: ended for key, ended in self._ended.items() if key[0][:size] != path}

    @contextmanager
    def running(self, tool: Any) -> Iterator[None]:
        """The block runs a tool. If it is cancelled, a tool in a thread still runs."""
        token = object()
        self._running[token] = tool.name
        try:
            yield
        except asyncio.CancelledError:
            if not sdk.runs_in_thread(tool):
                del self._running[token]
            raise
        except BaseException as error:
            self.exited |= isinstance(error, SystemExit)
            del self._running[token]
            raise
        else:
            del self._running[token]
        finally:
            if not self._running:
                self._quiet.set()

    @property
    def running_tools(self) -> list[str]:
        return sorted(set(self._running.values()))

    async def quiet(self, seconds: float) -> None:
        """Return when no tool runs, at the latest after so many seconds."""
        if self._running:
            self._quiet.clear()
            try:
                async with asyncio.timeout(seconds):
                    await self._quiet.wait()
            except TimeoutError:
                return

    def unsaved(self, added: Sequence[Item], changes: int, *, failed: bool = False) -> list[Any]:
        """What is finished of the last step and not among the items `added` to the turn.

        `changes` counts how often items were added to the turn: the SDK adds a response when its
        calls have ended. `failed`: see `turns.cancelled.Work`.
        """
        items = self._unsaved_of_response(added, changes, failed=failed)
        outputs = (self._output_item(call) for call in open_calls([*added, *items]))
        return [*items, *(output for output in outputs if output is not None)]

    def _unsaved_of_response(
        self, added: Sequence[Item], changes: int, *, failed: bool
    ) -> list[Item]:
        if self._response is None or (failed and not self.acted):
            return []
        output = list(self._response.output)
        if self._response.changes == changes:
            return output
        # Of a step that an error ends, the SDK adds the calls that had ended before.
        left = open_calls([*output, *added]) if failed else []
        return [call for call in left if any(call is own for own in output)]

    def _output_item(self, call: Item) -> Any:
        """The output of a call, as an item; None if the call has not ended."""
        names = ((run, f"{number}.{call.get('call_id')}") for run, number in self._steps)
        found = (self.ended_call(*name) for name in names)
        ended = next((ended for ended in found if ended is not None), None)
        if ended is None or not ended.may_be_shown:
            return None
        value = ended.value
        if call["type"] == "function_call" and ended.call is not None:
            return ended.item()
        if call["type"] == "apply_patch_call":
            return _patch_output(call, value, failed=ended.is_error_text)
        output = text_output(call, str(value))
        if output is not None and isinstance(value, ShellResult):
            output["output"] = shell_outputs(value)
        return output


def _patch_output(call: Item, value: Any, *, failed: bool) -> Any:
    """The output item of a patch; `value` is what the editor returned."""
    result = value if isinstance(value, Mapping) else {"output": value}
    text, status = result.get("output"), result.get("status")
    output = text_output(call, text or "")
    if output is not None:
        output["status"] = "failed" if failed else status or "completed"
        if not text:
            del output["output"]
    return output
