"""What the demo says at its end."""

from __future__ import annotations

from collections.abc import Iterator

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from demo.board import Board
from demo.comparison import COMPARED
from demo.recording import Recording
from demo.verdict import Verdict


def is_good(board: Board, verdict: Verdict) -> bool:
    return not verdict.differences and board.handovers == _successions(board)


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
    yield "Processes", f"{board.processes}, {board.kills} of them killed with SIGKILL in mid-turn"
    yield "Sent again", f"{board.resent} turns: {_what_became_of_them(board)}"
    again = board.model_calls - recording.model_calls
    history = "each was given the recorded history so far, or would have failed"
    yield "Model calls", f"{board.model_calls}, {again} of them again after a kill; {history}"
    again = board.tool_calls - recording.tool_calls
    yield "Tool calls", f"{board.tool_calls}, {again} of them again after a kill"
    yield "Time", f"{board.seconds:.1f} s, {board.served / board.seconds:.0f} turns/s"
    renamed = sum(conversation.renamed for conversation in recording.conversations)
    if renamed:
        yield "Note", f"{renamed} recorded calls repeat an earlier call_id; here it ends in #2, #3"


def _what_became_of_them(board: Board) -> str:
    unbegun = board.resent - board.taken_over - board.known
    return (
        f"{board.taken_over} taken over when the lease had ended, "
        f"{board.known} found committed, {unbegun} not begun before"
    )


def _end(board: Board, verdict: Verdict) -> Iterator[Text]:
    if is_good(board, verdict):
        yield Text("Every conversation in the store equals the recording.", style="bold green")
        return
    for difference in verdict.differences[:1]:
        yield Text(f"First difference: {difference}\n")
    same = _successions(board) - board.handovers
    what = f"{len(verdict.differences)} differences, {same} turns without a change of process"
    yield Text(f"NOT AS RECORDED: {what}", style="bold red")


def _successions(board: Board) -> int:
    return board.turns - board.conversations
