"""What the demo says at its end."""

from __future__ import annotations

from collections.abc import Iterator

from rich.text import Text

from demo.board import Board
from demo.comparison import COMPARED
from demo.recording import Recording
from demo.verdict import Verdict


def is_good(board: Board, verdict: Verdict) -> bool:
    return not verdict.differences and board.handovers == _successions(board)


def statement(
    board: Board, verdict: Verdict, recording: Recording, good: bool
) -> Iterator[Text]:
    """Line by line: what is in the store, how it came there, and the verdict."""
    yield from _content(board, verdict)
    yield from _run(board)
    renamed = sum(conversation.renamed for conversation in recording.conversations)
    if renamed:
        yield _line("Note", f"{renamed} calls repeat an earlier call_id; #2, #3 … is appended to it")
    for difference in verdict.differences[:1]:
        yield Text(f"First difference: {difference}")
    count = len(verdict.differences)
    yield (
        Text("Every conversation in the store equals the recording.", style="bold green")
        if good
        else Text(f"NOT AS RECORDED: {count} conversations differ.", style="bold red")
    )


def _content(board: Board, verdict: Verdict) -> Iterator[Text]:
    yield _line(
        "Conversations",
        f"{verdict.conversations} of {board.conversations} equal the recording item by item: "
        f"{verdict.items} items, read back by a new session object",
    )
    yield _line(
        "Compared", "; ".join(f"{kind}: {', '.join(names)}" for kind, names in COMPARED.items())
    )
    yield _line(
        "Turns",
        f"{verdict.turns} of {board.turns} are there once: sent again, each was refused as "
        "committed and answered with its items",
    )


def _run(board: Board) -> Iterator[Text]:
    yield _line(
        "Handovers",
        f"{board.handovers} of {_successions(board)} turns that follow another were served by "
        "another process than it",
    )
    yield _line(
        "Processes",
        f"{board.processes}, {board.kills} killed by SIGKILL in mid-turn; {board.resent} turns sent "
        f"again: {board.taken_over} taken over, {board.known} found committed",
    )
    yield _line(
        "Time",
        f"{board.seconds:.1f} s, {board.served / board.seconds:.0f} turns/s, "
        f"{board.model_calls} model calls, {board.tool_calls} tool calls",
    )


def _successions(board: Board) -> int:
    return board.turns - board.conversations


def _line(title: str, text: str) -> Text:
    return Text.assemble((f"{title:<15}", "bold"), text)
