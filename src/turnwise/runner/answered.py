"""A turn_id that was committed before: its run is told again instead of run again."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from agents import Agent
from agents.result import RunResultBase

from turnwise.durable import Retelling, packed_answer
from turnwise.errors import AlreadyCommitted
from turnwise.session import Session, effective_limit
from turnwise.turns import Turn


@dataclass
class Answering:
    """One sending of a turn: what its run began with."""

    session: Session
    session_id: str
    turn_id: str | None
    agent: Agent[Any]
    input: object

    def keep(self, turn: Turn, result: RunResultBase) -> None:
        """Let the turn's record hold what a second answer needs; nobody else knows a minted id."""
        if self.turn_id is not None:
            turn.payload = packed_answer(result, self.agent, self.input, turn.added())

    async def again(self, error: AlreadyCommitted) -> Retelling:
        """What the committed turn answers. Raises TurnIdReused, or `error` if it has no answer."""
        ours = self.session_id, self.turn_id
        if (error.session_id, error.turn_id) != ours or not error.payload:
            raise error
        limit = effective_limit(None, self.session.session_settings)
        first = error.end - len(error.items)
        before = await self.session.worker.reader.before(self.session_id, first, limit)
        return Retelling(error, self.agent, self.input, before)
