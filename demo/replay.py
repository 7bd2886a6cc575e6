"""How far the replay of one conversation has got."""

from __future__ import annotations

from demo.process import WorkerProcess
from demo.recording import Conversation, RecordedTurn


class Replay:
    """`turn` is next, or under way at the last of `sent_to`; `served_by` had the turn before."""

    def __init__(self, conversation: Conversation) -> None:
        self._left = list(reversed(conversation.turns))
        self.sent_to: list[WorkerProcess] = []
        self.served_by: WorkerProcess | None = None

    @property
    def turn(self) -> RecordedTurn:
        return self._left[-1]

    @property
    def finished(self) -> bool:
        return not self._left

    def advance(self, worker: WorkerProcess) -> None:
        self._left.pop()
        self.sent_to = []
        self.served_by = worker
