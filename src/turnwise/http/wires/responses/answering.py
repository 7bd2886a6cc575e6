"""Answers are given to the turn that asked, once: who sends them again gets the same response."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from typing import Any

from turnwise.errors import NoPendingApproval
from turnwise.http.gateway import Gateway
from turnwise.http.principals import Principal
from turnwise.http.wires.responses.answered import Answered, answered
from turnwise.http.wires.responses.answers import Answers, decisions
from turnwise.http.wires.responses.errors import OpenAIError, invalid, locked
from turnwise.http.wires.responses.ids import Mode, ResponseId
from turnwise.http.wires.responses.turns import Turns
from turnwise.types import Info

LOOK_BACK = 16
"""Among how many turns of a conversation that is looked for which the answers are for."""

_ENDED_OTHERWISE = ("abandoned", "cancelled", "dead")


class Answering:
    """Gives the answers of one request.

    Args:
        gateway: Knows the turns.
        principal: Who answers.
        answers: The answers.
        mode: How the response to them is asked for.
        expect: Called with that response's id before anything is decided.
    """

    def __init__(
        self,
        gateway: Gateway,
        principal: Principal,
        answers: Answers,
        mode: Mode,
        expect: Callable[[ResponseId], Awaitable[None]],
    ) -> None:
        self._gateway = gateway
        self._principal = principal
        self._answers = answers
        self._mode = mode
        self._expect = expect
        self._turns = Turns(gateway, principal)

    async def turn_in(self, session_id: str, info: Info) -> tuple[Answered, int] | None:
        """The turn of the conversation, and its part, that asked for them; None if none is known.

        First the open turn, then those that ended last.
        """
        async for turn_id in self._candidates(session_id, info):
            turn = await answered(self._turns, ResponseId(session_id, turn_id, self._mode))
            if (part := turn.part_of(self._answers)) is not None:
                return turn, part
        return None

    async def _candidates(self, session_id: str, info: Info) -> AsyncIterator[str]:
        if info.open_turn is not None:
            yield info.open_turn.turn_id
        for turn in reversed(await self._turns.last(session_id, LOOK_BACK)):
            if turn.kind in _ENDED_OTHERWISE or _has_outputs(turn.items):
                yield turn.turn_id

    async def answer(self, turn: Answered, part: int) -> ResponseId:
        """Decide what the part asked, if nobody has; the response that follows.

        Raises:
            OpenAIError: 400: it asked for something else, was answered otherwise before, or waits
                no more. Nothing was decided.
        """
        if not self._answers.alone and (turn.is_late or not turn.pending):
            raise locked()  # it goes on, or is about to end
        if not 0 <= part < turn.parts:
            raise invalid("The response waits for no answers.", "input")
        turn.check(part, self._answers)
        rid = ResponseId(turn.rid.session_id, turn.rid.turn_id, self._mode, part)
        following = rid.following(self._mode)
        if turn.waits_at(part):
            await self._decide(turn, part, following)
        else:
            await self._expect(following)
        return following

    async def _decide(self, turn: Answered, part: int, following: ResponseId) -> None:
        """Where all is decided, the turn is offered to the workers once more."""
        if turn.is_late and turn.pending:
            raise _late()
        made = decisions(turn.pending, turn.left(self._answers), turn.client_tools)
        await self._expect(following)
        try:
            await self._gateway.decide(
                self._principal, turn.rid.session_id, approve=made.approve, reject=made.reject
            )
        except NoPendingApproval:  # somebody else answers at the same time
            now = await answered(self._turns, turn.rid)
            now.check(part, self._answers)
            if now.waits_at(part) and now.pending:
                raise _late() from None


def _has_outputs(items: Sequence[Mapping[str, Any]]) -> bool:
    """Whether a turn called anything: else it was never parked."""
    return any(str(item.get("type")).endswith("_output") for item in items)


def _late() -> OpenAIError:
    return invalid("The response was not answered in time.", "input")
