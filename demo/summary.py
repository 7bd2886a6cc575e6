"""The summary that the demo prints at its end."""

from __future__ import annotations

from collections.abc import Iterator

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from demo.call_tracker import CallCounts
from demo.checks import CheckResult
from demo.comparison import COMPARED_FIELDS
from demo.recording import Recording
from demo.status import Status


def passed(status: Status, result: CheckResult) -> bool:
    """Whether the store equals the recording, and no call with a journaled result ran again.

    Each kill in a tool must also have led to a takeover of that turn, with that tool started.
    """
    return not any(_failures(status, result))


def summary(status: Status, result: CheckResult, recording: Recording) -> RenderableType:
    """What the store holds, how it came about, and whether the demo passed."""
    table = Table.grid(padding=(0, 2))
    for title, text in (*_checks(status, result), *_statistics(status, recording)):
        table.add_row(Text(title, style="bold"), text)
    return Group("", table, "", *_conclusion(status, result))


def _checks(status: Status, result: CheckResult) -> Iterator[tuple[str, str]]:
    equal = f"{result.conversations} of {status.total_conversations} equal the recording"
    yield "Conversations", f"{equal} item by item: {result.items} items, read without a cache"
    fields = (f"{kind}: {', '.join(names)}" for kind, names in COMPARED_FIELDS.items())
    yield "Compared", "; ".join(fields)
    committed = f"{result.turns} of {status.total_turns} are committed, each once"
    yield "Turns", f"{committed}: a retry is refused as committed, and returns the turn's items"


def _statistics(status: Status, recording: Recording) -> Iterator[tuple[str, str]]:
    switched = f"{status.worker_switches} of {status.follow_up_turns} follow-up turns"
    yield "Worker switches", f"{switched} ran in another process than the turn before"
    killed = f"{status.workers_started} processes, {status.kills} of them killed with SIGKILL"
    calls = f"{status.tool_kills} in a tool, {status.model_kills} in a model call"
    yield "Workers", f"{killed}: {calls}, each with other turns running"
    yield "Retried", f"{status.retries} turns: {_outcomes_of_retries(status)}"
    model, tools = status.calls.model, status.calls.tools
    reused = f"{model.reused} model responses and {tools.reused} tool outputs"
    yield "Reused", f"{reused}, from the journals of turns taken over"
    yield "Model calls", f"{_calls(model, 'responses')}. Each got the recorded history so far"
    yield "Tool calls", _calls(tools, "outputs")
    if tools.interrupted:
        unknown = "Nobody knows how far an interrupted tool got. These tools only look things up:"
        yield "", f"{unknown} they are marked repeatable, so they run again"
    turns_per_second = status.completed_turns / status.seconds
    yield "Time", f"{status.seconds:.1f} s, {turns_per_second:.0f} turns/s"
    renamed = sum(conversation.renamed_calls for conversation in recording.conversations)
    if renamed:
        yield "Note", f"{renamed} recorded calls repeat an earlier call_id; here it ends in #2, #3"


def _calls(counts: CallCounts, results: str) -> str:
    unjournaled = (
        f", {counts.unjournaled} that ended too late to be journaled" if counts.unjournaled else ""
    )
    return (
        f"{counts.made} for {counts.recorded} recorded {results}. Run again: "
        f"{counts.interrupted} interrupted{unjournaled}, {counts.repeated} in the journal"
    )


def _outcomes_of_retries(status: Status) -> str:
    first = status.retries - status.takeovers - status.already_committed
    return (
        f"{status.takeovers} taken over after their lease expired, "
        f"{status.already_committed} already committed, {first} not begun before"
    )


def _conclusion(status: Status, result: CheckResult) -> Iterator[Text]:
    if passed(status, result):
        yield Text("Every conversation in the store equals the recording.", style="bold green")
        if status.tool_takeovers:
            yield Text(
                "No model call and no tool call with a result in the journal ran again.",
                style="bold green",
            )
        return
    for difference in result.differences[:1]:
        yield Text(f"First difference: {difference}\n")
    yield Text(f"FAILED: {', '.join(_failures(status, result))}", style="bold red")


def _failures(status: Status, result: CheckResult) -> Iterator[str]:
    same_worker = status.follow_up_turns - status.worker_switches
    if result.differences or same_worker:
        differences = f"{len(result.differences)} differences"
        yield f"{differences}, {same_worker} follow-up turns in the same process"
    for counts, calls in ((status.calls.model, "model calls"), (status.calls.tools, "tool calls")):
        if counts.repeated:
            yield f"{counts.repeated} {calls} ran again with their result in the journal"
        if counts.missing:
            yield f"{counts.missing} recorded {calls} were not made"
    not_taken_over = status.tool_kills - status.tool_takeovers
    if not_taken_over:
        yield f"{not_taken_over} turns whose worker was killed in a tool were not taken over there"
