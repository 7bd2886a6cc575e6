"""The state of a running demo, as the terminal shows it."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

from demo.call_tracker import CallTracker
from demo.worker_process import WorkerProcess

MAX_EVENTS = 10
"""How many recent events are shown."""


@dataclass
class Status:
    """Counters, recent events, and the worker processes that are alive.

    `tool_takeovers` counts takeovers of a turn whose worker was killed in a tool, and whose journal
    has the start of that tool but not its result.
    """

    total_turns: int
    total_conversations: int
    calls: CallTracker
    completed_turns: int = 0
    completed_conversations: int = 0
    worker_switches: int = 0
    workers_started: int = 0
    tool_kills: int = 0
    model_kills: int = 0
    retries: int = 0
    takeovers: int = 0
    tool_takeovers: int = 0
    already_committed: int = 0
    workers: list[WorkerProcess] = field(default_factory=list)
    events: deque[str] = field(default_factory=lambda: deque(maxlen=MAX_EVENTS))
    on_event: Callable[[str], None] = lambda event: None
    _started: float = field(default_factory=time.monotonic)
    _stopped: float | None = None

    @property
    def kills(self) -> int:
        return self.tool_kills + self.model_kills

    @property
    def follow_up_turns(self) -> int:
        """All turns but the first of each conversation."""
        return self.total_turns - self.total_conversations

    @property
    def seconds(self) -> float:
        return (self._stopped or time.monotonic()) - self._started

    def stop_clock(self) -> None:
        self._stopped = time.monotonic()

    def log(self, text: str) -> None:
        event = f"{self.seconds:5.1f} s  {text}"
        self.events.append(event)
        self.on_event(event)
