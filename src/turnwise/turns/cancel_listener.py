"""Hearing that a turn shall stop, from before it is asked for until it has ended."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack

from turnwise.contracts import Store


class CancelListener:
    """Calls `answer` each time that the token is woken; what came before it was set is `heard`."""

    def __init__(self, store: Store, token: str) -> None:
        self.heard = False
        self._answer: Callable[[], None] | None = None
        self._listening = ExitStack()
        self._listening.enter_context(store.on_wakeup(token, self._hear))

    def to(self, answer: Callable[[], None]) -> None:
        """From now on it is for this one."""
        self._answer = answer
        if self.heard:
            answer()

    def close(self) -> None:
        """Listen no more."""
        self._answer = None
        self._listening.close()

    def _hear(self) -> None:
        self.heard = True
        if self._answer is not None:
            self._answer()
