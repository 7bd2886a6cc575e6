"""One open turn as a session of the Agents SDK."""

from __future__ import annotations

import dataclasses
from typing import Any, cast

from agents.items import TResponseInputItem
from agents.memory.session_settings import SessionSettings, coerce_session_settings

from turnwise.approvals import BlockRuns
from turnwise.durable import checked_items, input_of_beginning_run
from turnwise.errors import UsageError
from turnwise.turns import Turn

Items = list[TResponseInputItem]
SDKSettings = SessionSettings | dict[str, Any] | None


class TurnSession:
    """One open turn as the SDK's session: what is added here becomes history with the turn.

    A run is given what a model accepts: its first `get_items` leaves halves of pairs out. Any other
    `get_items` returns the raw end of the history and the turn: the SDK's run loop compares them
    with what it added.
    """

    def __init__(
        self,
        turn: Turn,
        settings: SessionSettings | None,
        *,
        shared: bool = False,
        runs: BlockRuns | None = None,
    ) -> None:
        self.session_id = turn.session_id
        self.session_settings = settings
        self.turn = turn
        self.runs: BlockRuns | None = runs
        self._shared = shared

    @property
    def durable_turn(self) -> Turn:
        """What makes the SDK's runs with this session durable."""
        return self.turn

    async def open_turn(self) -> Turn:
        return self.turn

    @property
    def turn_id(self) -> str:
        """The turn's id: the caller's, or a random one."""
        return self.turn.turn_id

    @property
    def attempt(self) -> int:
        """Counts from 1; more if the turn was taken over or resumed."""
        return self.turn.attempt

    async def get_items(self, limit: int | None = None) -> Items:
        """The last `limit` items of the history and this turn; None for all."""
        last = effective_limit(limit, self.session_settings)
        follows = input_of_beginning_run(self.turn)
        if follows is None:
            return cast(Items, await self.turn.items(last, shared=self._shared))
        return cast(Items, await self.turn.given(last, follows, shared=self._shared))

    async def add_items(self, items: Items) -> None:
        """Add items to the turn.

        Raises:
            InvalidItem, ItemTooLarge, TurnTooLarge: None of the items was added.
            TurnError: The turn was ended from outside.
        """
        self._check()
        await self.turn.add(checked_items(self.session_id, items))

    async def pop_item(self) -> TResponseInputItem | None:
        """Remove and return the last item of the turn, or of the history before it."""
        self._check()
        return cast(TResponseInputItem | None, await self.turn.pop())

    async def clear_session(self) -> None:
        """Remove all items, those of the history before the turn too."""
        self._check()
        await self.turn.clear()

    def _check(self) -> None:
        if self.runs is not None:
            self.runs.check()


def effective_limit(limit: int | None, settings: SessionSettings | None) -> int | None:
    """How many of the last items a caller wants; None for all, as for a negative limit."""
    if limit is None and settings is not None:
        limit = settings.limit
    check_limit(limit)
    return None if limit is None or limit < 0 else limit


def check_limit(limit: object) -> None:
    """Raise UsageError unless it can be a limit."""
    if limit is not None and type(limit) is not int:
        raise UsageError(f"limit={limit!r}: use a whole number of items, or None for all")


def merged_settings(limit: int | None, settings: SDKSettings) -> SessionSettings:
    """A copy of the settings, since the SDK's are mutable; `limit` overrides theirs."""
    check_limit(limit)
    try:
        known = SessionSettings() if settings is None else coerce_session_settings(settings)
    except (TypeError, ValueError) as error:
        raise UsageError(f"session_settings={settings!r}: {error}") from None
    return dataclasses.replace(known, limit=known.limit if limit is None else limit)
