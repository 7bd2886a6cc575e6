"""The steps of a turn: from the journal of an open one, or from the items of one that ended."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

from turnwise.call_pairs import output_of
from turnwise.journal_entries import (
    AttemptFailedEntry,
    DecidedEntry,
    Entry,
    ParkedEntry,
    Raised,
    ResponseEntry,
    RestartedEntry,
    Returned,
    RunPath,
    ToolEndedEntry,
    ToolOutcome,
    ToolStartedEntry,
    usage_in,
)
from turnwise.types import NO_USAGE, TokenUsage

_PATH_OF_A_RUN = 3
"""How many elements of a path name a run; the name of the call in it follows."""
StepKind = Literal["model", "tool", "failed", "restarted", "parked", "decided"]
StepState = Literal["ended", "failed", "running", "unknown"]


@dataclass(frozen=True, slots=True)
class Step:
    """One step of a turn, without content.

    Attributes:
        kind: "model": a model answered. "tool": a tool was called. "failed": an attempt failed.
            "restarted": a run began again, and what it had done is void. "parked": the turn waited
            for approvals. "decided": some were decided.
        name: The agent that asked the model, or the tool.
        state: "ended". "failed": with an error, a timeout or a cancellation. "running": a worker
            holds the turn and the tool has not ended. "unknown": its worker died, or lost the turn.
        attempt: The attempt that took the step; 0 if that is not known.
        depth: 0 for a step of the turn's own runs, 1 for one of an agent that is a tool of theirs.
        started_at, ended_at: In POSIX seconds, by the clock of the worker; None if unknown.
        call_id: The model's id of the call.
        usage: What the model consumed.
        error: The error's name and text; None if there was none.
    """

    kind: StepKind
    name: str = ""
    state: StepState = "ended"
    attempt: int = 0
    depth: int = 0
    started_at: float | None = None
    ended_at: float | None = None
    call_id: str = ""
    usage: TokenUsage = NO_USAGE
    error: str | None = None


def steps_of_journal(entries: Sequence[Entry], *, running_attempt: int) -> list[Step]:
    """What a journal tells, in order. `running_attempt` is the one that is at work; 0 for none."""
    steps: list[Step] = []
    started: dict[tuple[RunPath, str], int] = {}
    for entry in entries:
        if isinstance(entry, ToolStartedEntry):
            is_running = running_attempt == (entry.attempt or 1)
            started[entry.run, entry.call] = len(steps)
            steps.append(_started(entry, "running" if is_running else "unknown"))
        elif isinstance(entry, ToolEndedEntry):
            place = started.pop((entry.run, entry.call), None)
            if place is None:
                steps.append(_ended(Step("tool", **_common(entry)), entry))
            else:
                steps[place] = _ended(steps[place], entry)
        elif isinstance(entry, ParkedEntry):
            steps += steps_of_items(entry.items)
            names = ", ".join(one.tool_name for one in entry.approvals)
            steps.append(Step("parked", names, **_common(entry)))
        else:
            steps.append(_other(entry))
    return steps


def _common(entry: Entry) -> dict[str, Any]:
    return {"attempt": entry.attempt or 1, "ended_at": entry.at}


def _depth(run: RunPath) -> int:
    return max(0, len(run) - 1) // (_PATH_OF_A_RUN + 1)


def _call_id(call: str) -> str:
    return call.partition(".")[2]


def _started(entry: ToolStartedEntry, state: StepState) -> Step:
    return Step(
        *("tool", entry.tool, state, entry.attempt or 1, _depth(entry.run), entry.at),
        call_id=_call_id(entry.call),
    )


def _ended(step: Step, entry: ToolEndedEntry) -> Step:
    state: StepState = "failed" if entry.failed else "ended"
    step = replace(step, state=state, ended_at=entry.at, error=_error(entry.outcome))
    return replace(step, depth=_depth(entry.run), call_id=_call_id(entry.call))


def _error(outcome: ToolOutcome) -> str | None:
    if isinstance(outcome, Raised):
        return f"{outcome.error}: {outcome.message}"
    return None if isinstance(outcome, Returned) else type(outcome).__name__


def _other(entry: Entry) -> Step:
    if isinstance(entry, ResponseEntry):
        began = None if entry.at is None else entry.at - (entry.seconds or 0.0)
        usage, depth = usage_in(entry.response.usage), _depth(entry.run)
        return Step(
            "model", entry.agent, depth=depth, started_at=began, usage=usage, **_common(entry)
        )
    if isinstance(entry, AttemptFailedEntry):
        return Step("failed", state="failed", **_common(entry))
    if isinstance(entry, RestartedEntry):
        return Step("restarted", str(entry.run[-_PATH_OF_A_RUN]), **_common(entry))
    assert isinstance(entry, DecidedEntry)
    decided = f"{len(entry.approve)} approved, {len(entry.reject)} rejected"
    return Step("decided", decided, **_common(entry))


def steps_of_items(
    items: Sequence[Mapping[str, Any]], usages: Sequence[TokenUsage] = ()
) -> list[Step]:
    """What items tell: the answers of models, and the calls in them. They have no times.

    `usages` are those of the responses; they are used if there are as many answers.
    """
    steps, answers, is_answer = list[Step](), list[int](), False
    outputs = {output for item in items if (output := output_of(item)) is not None}
    for item in items:
        was_answer, is_answer = is_answer, _is_of_model(item)
        if is_answer and not was_answer:
            answers.append(len(steps))
            steps.append(Step("model"))
        if is_answer and "call_id" in item:
            name, call_id = str(item.get("name") or item.get("type")), str(item["call_id"])
            state: StepState = "ended" if call_id in outputs else "unknown"
            steps.append(Step("tool", name, state, call_id=call_id))
    if len(usages) == len(answers):
        for place, usage in zip(answers, usages, strict=True):
            steps[place] = replace(steps[place], usage=usage)
    return steps


def _is_of_model(item: Mapping[str, Any]) -> bool:
    kind = item.get("type") or "message"
    if kind == "message":
        return item.get("role") == "assistant"
    return output_of(item) is None


def items_of_journal(entries: Sequence[Entry]) -> list[dict[str, Any]]:
    """The content that a journal has: what models answered, and what tools returned."""
    items: list[dict[str, Any]] = []
    for entry in entries:
        if isinstance(entry, ParkedEntry):
            items += entry.items
        elif isinstance(entry, ResponseEntry):
            items += entry.response.output
        elif isinstance(entry, ToolEndedEntry):
            outcome = entry.outcome
            output = outcome.output.value if isinstance(outcome, Returned) else _error(outcome)
            call_id = _call_id(entry.call)
            items.append({"type": "function_call_output", "call_id": call_id, "output": output})
    return items
