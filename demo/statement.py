"""What the demo says at its end."""

from __future__ import annotations

from collections.abc import Iterator

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from demo.board import Board
from demo.comparison import COMPARED
from demo.ledger import Tally
from demo.recording import Recording
from demo.verdict import Verdict


def is_good(board: Board, verdict: Verdict) -> bool:
    """Whether the store holds the recording, and nothing was done again that had ended.

    Every kill that was to come in mid-tool must have, and that turn been taken over.
    """
    return not any(_complaints(board, verdict))


def statement(board: Board, verdict: Verdict, recording: Recording) -> RenderableType:
    """What is in the store, how it came there, and whether that is well."""
    table = Table.grid(padding=(0, 2))
    for title, text in (*_content(board, verdict), *_run(board, recording)):
        table.add_row(Text(title, style="bold"), text)
    return Group("", table, "", *_end(board, verdict))


def _content(board: Board, verdict: Verdict) -> Iterator[tuple[str, str]]:
    equal = f"{verdict.conversations} of {board.conversations} equal the recording item by item"
    yield "Conversations", f"{equal}: {verdict.items} items, read through a new session object"
    yield "Compared", "; ".join(f"{kind}: {', '.join(of)}" for kind, of in COMPARED.items())
    there = f"{verdict.turns} of {board.turns} are there, each once"
    yield "Turns", f"{there}: sent again, it is refused as committed and answered with its items"


def _run(board: Board, recording: Recording) -> Iterator[tuple[str, str]]:
    served = f"{board.handovers} of {_successions(board)} next turns of a conversation were served"
    yield "Handovers", f"{served} by another process than the turn before"
    killed = f"{board.processes}, {board.kills} of them killed with SIGKILL"
    where = f"{board.kills_in_tool} in mid-tool, {board.kills_in_model} in a model call"
    yield "Processes", f"{killed}: {where}, each with other turns under way"
    yield "Sent again", f"{board.resent} turns: {_what_became_of_them(board)}"
    model, tools = board.ledger.model, board.ledger.tools
    had = f"{model.spared} answers of the model and {tools.spared} outputs of tools"
    yield "Not again", f"{had} were in the journals of turns taken over, and were used"
    yield "Model calls", f"{_calls(model, 'answer')}. Each was given the recorded history so far"
    yield "Tool calls", _calls(tools, "output")
    if tools.cut_off:
        unknown = "Of a tool that was cut off nobody knows what it did. These only look things up:"
        yield "", f"{unknown} they are marked repeatable, so they run again"
    yield "Time", f"{board.seconds:.1f} s, {board.served / board.seconds:.0f} turns/s"
    renamed = sum(conversation.renamed for conversation in recording.conversations)
    if renamed:
        yield "Note", f"{renamed} recorded calls repeat an earlier call_id; here it ends in #2, #3"


def _calls(tally: Tally, of: str) -> str:
    unsaved = f", {tally.unsaved} that had ended too late to be journaled" if tally.unsaved else ""
    return (
        f"{tally.made} for {tally.recorded} recorded {of}s. Made again: "
        f"{tally.cut_off} cut off in mid-call{unsaved}, {tally.repeated} that the journal had"
    )


def _what_became_of_them(board: Board) -> str:
    unbegun = board.resent - board.taken_over - board.known
    return (
        f"{board.taken_over} taken over when the lease had ended, "
        f"{board.known} found committed, {unbegun} not begun before"
    )


def _end(board: Board, verdict: Verdict) -> Iterator[Text]:
    if is_good(board, verdict):
        yield Text("Every conversation in the store equals the recording.", style="bold green")
        if board.tools_taken_over:
            yield Text(
                "No model call and no tool whose end was in the journal was done again.",
                style="bold green",
            )
        return
    for difference in verdict.differences[:1]:
        yield Text(f"First difference: {difference}\n")
    yield Text(f"NOT AS RECORDED: {', '.join(_complaints(board, verdict))}", style="bold red")


def _complaints(board: Board, verdict: Verdict) -> Iterator[str]:
    same = _successions(board) - board.handovers
    if verdict.differences or same:
        differences = f"{len(verdict.differences)} differences"
        yield f"{differences}, {same} turns without a change of process"
    for tally, what in ((board.ledger.model, "model calls"), (board.ledger.tools, "tool calls")):
        if tally.repeated:
            yield f"{tally.repeated} {what} made again that had ended and were in the journal"
        if tally.missing:
            yield f"{tally.missing} {what} that are recorded and were not made"
    missed = board.kills_in_tool - board.tools_taken_over
    if missed:
        yield f"{missed} turns were struck in mid-tool, and not taken over from there"


def _successions(board: Board) -> int:
    return board.turns - board.conversations
