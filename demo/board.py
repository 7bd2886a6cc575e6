"""What there is to see while the demo runs."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

from demo.ledger import Ledger
from demo.process import WorkerProcess

AT_ONCE = 8
"""Turns that a worker runs at the same time."""

LINES = 10
"""Events that can be seen."""


@dataclass
class Board:
    """Counts, recent events, and the worker processes that are alive.

    `tools_taken_over` counts the turns that a worker was killed for in mid-tool, and that another
    worker then found with that tool's start in the journal, and without its end.
    """

    turns: int
    conversations: int
    ledger: Ledger
    served: int = 0
    finished: int = 0
    handovers: int = 0
    processes: int = 0
    kills_in_tool: int = 0
    kills_in_model: int = 0
    tools_taken_over: int = 0
    resent: int = 0
    taken_over: int = 0
    known: int = 0
    workers: list[WorkerProcess] = field(default_factory=list)
    lines: deque[str] = field(default_factory=lambda: deque(maxlen=LINES))
    on_line: Callable[[str], None] = lambda line: None
    _started: float = field(default_factory=time.monotonic)
    _ended: float | None = None

    @property
    def kills(self) -> int:
        return self.kills_in_tool + self.kills_in_model

    @property
    def seconds(self) -> float:
        return (self._ended or time.monotonic()) - self._started

    def stop_clock(self) -> None:
        self._ended = time.monotonic()

    def log(self, text: str) -> None:
        line = f"{self.seconds:5.1f} s  {text}"
        self.lines.append(line)
        self.on_line(line)
