"""How far the runs of a turn have come here: what an interruption keeps, and what still runs."""

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
class Response:
    """The last one of a run: the `number`th, given when the turn had been added to so often."""

    path: RunPath
    number: int
    output: Sequence[Any]
    changes: int


@dataclass(frozen=True, slots=True)
class End:
    """How a call ended. `formatted`: `value` is the SDK's own text about an error."""

    tool: object
    value: Any
    call: Any = None
    formatted: bool = False


class Progress:
    """What an attempt has done, earlier ones included where they were replayed."""

    def __init__(self) -> None:
        self.response: Response | None = None
        self.exited = False
        """Whether something in a run called `sys.exit`, which ends this process."""
        self._steps: list[tuple[RunPath, int]] = []
        self._ends: dict[tuple[RunPath, str], End] = {}
        self._running: dict[object, str] = {}
        self._quiet = asyncio.Event()

    def responded(self, response: Response) -> None:
        """A run that is not inside another has a response. The calls before it are told of."""
        self.response = response
        self._steps = [(response.path, response.number)]
        self._ends.clear()

    def resumed(self, path: RunPath, rejected: Mapping[str, str]) -> None:
        """A run goes on with calls that waited for approvals, before it has a response.

        Of those that were `rejected`, what the model is told, by the calls' ids.
        """
        self._steps.append((path, 0))
        for call_id, text in rejected.items():
            self.ended(path, f"0.{call_id}", End(None, text, formatted=True))

    def ended(self, path: RunPath, name: str, end: End) -> None:
        self._ends[path, name] = end

    def end(self, path: RunPath, name: str) -> End | None:
        return self._ends.get((path, name))

    def restarted(self, path: RunPath) -> None:
        """What was done under this path is not any more."""
        size = len(path)
        if self.response is not None and self.response.path[:size] == path:
            self.response = None
        self._ends = {key: end for key, end in self._ends.items() if key[0][:size] != path}

    @contextmanager
    def running(self, tool: Any) -> Iterator[None]:
        """A block in which a tool runs. One in a thread runs on when the block is cancelled."""
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
        """Return when no tool runs, or when that much time is over."""
        if self._running:
            self._quiet.clear()
            try:
                async with asyncio.timeout(seconds):
                    await self._quiet.wait()
            except TimeoutError:
                return

    def unsaved(self, added: Sequence[Item], changes: int) -> list[Any]:
        """What is finished of the last step and not among the items `added`.

        `changes` is how often the turn has been added to: the SDK adds what a response led to
        once its calls have ended.
        """
        response = self.response
        is_unsaved = response is not None and response.changes == changes
        items = list(response.output) if response is not None and is_unsaved else []
        outputs = (self._output(call) for call in open_calls([*added, *items]))
        return [*items, *(output for output in outputs if output is not None)]

    def _output(self, call: Item) -> Any:
        """The output of a call that has ended."""
        ends = (self.end(path, f"{number}.{call.get('call_id')}") for path, number in self._steps)
        end = next((end for end in ends if end is not None), None)
        if end is None:
            return None
        value = end.value
        if call["type"] == "function_call" and end.call is not None:
            schema: dict[str, Any] = {}
            if isinstance(end.tool, FunctionTool) and not end.formatted:
                schema = sdk.output_schema(end.tool)
            return dict(ItemHelpers.tool_call_output_item(end.call, value, **schema))
        if call["type"] == "apply_patch_call":
            return _patched(call, value, failed=end.formatted)
        output = text_output(call, str(value))
        if output is not None and isinstance(value, ShellResult):
            output["output"] = shell_outputs(value)
        return output


def _patched(call: Item, value: Any, *, failed: bool) -> Any:
    """The output of a patch; `value` is what its editor said of it."""
    said = value if isinstance(value, Mapping) else {"output": value}
    text, status = said.get("output"), said.get("status")
    output = text_output(call, text or "")
    if output is not None:
        output["status"] = "failed" if failed else status or "completed"
        if not text:
            del output["output"]
    return output
