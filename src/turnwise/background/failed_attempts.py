"""What follows a failed attempt at a message: another attempt, or a dead letter."""

from __future__ import annotations

import logging
from dataclasses import replace

from turnwise.approvals import ResumedTurn, resumed_turn
from turnwise.background.attempt_log import log_failed
from turnwise.background.dead_letters import encode_dead_letter, error_text
from turnwise.background.event_publisher import OTHERS_MAY_CONTINUE, EventPublisher
from turnwise.background.policy import UNFIT, Policy
from turnwise.errors import TurnCancelled, WorkersDied
from turnwise.turns import (
    Commit,
    DeadLetter,
    Release,
    RollBack,
    Runtime,
    Stop,
    Turn,
    end,
    is_lasting,
)

_MAX_LAST_ERRORS = 1000
_MAX_UNFIT = 100_000


class FailedAttempts:
    """Ends the turns of failed attempts as the policy says."""

    def __init__(self, runtime: Runtime, policy: Policy) -> None:
        self._runtime = runtime
        self._policy = policy
        self._last_errors: dict[tuple[str, str], str] = {}
        self._unfit_since: dict[tuple[str, str, int], float] = {}

    async def handle(self, turn: Turn, publisher: EventPublisher, error: BaseException) -> bool:
        """End the turn, or release it for the next attempt; True if the turn is finished."""
        if isinstance(error, TurnCancelled):
            await end(turn, RollBack(error))  # which ends it as the cancel request asks
            await publisher.close({"type": "turn.finished", "state": "cancelled"}, last=True)
            return True
        if isinstance(error, OTHERS_MAY_CONTINUE) or turn.ended:
            self.remember(turn, error)
            log_failed(turn, error, "another worker may continue it")
            await end(turn, Release(error, delay=self.backoff(turn)))
            await publisher.close()
            return False
        if self._is_for_others(turn, error):
            await end(turn, Release(error, counted=False))
            await publisher.close({"type": "turn.retry", "error": type(error).__name__})
            return False
        if (resumed := resumed_turn(turn)) is not None:
            if (ended := await self._resumption_failed(resumed, publisher, error)) is not None:
                return ended
        elif self._is_last(turn, error) or is_lasting(turn, error):
            return await self._dead_letter(turn, publisher, error)
        log_failed(turn, error, f"another one follows in {self.backoff(turn):g} s")
        await publisher.close({"type": "turn.retry", "error": type(error).__name__})
        await end(turn, Release(error, delay=self.backoff(turn)))
        return False

    def is_given_up(self, turn: Turn) -> bool:
        """Whether it failed too often, or its workers died, the last one of nothing else."""
        if turn.failures >= self._policy.max_attempts:
            return True
        return turn.deaths >= self._policy.max_deaths and turn.grant.died_alone

    def backoff(self, turn: Turn) -> float:
        """Seconds until the next attempt, if this one failed."""
        return self._policy.backoff_after(turn.failures + 1)

    def remember(self, turn: Turn, error: BaseException) -> None:
        """Keep the error for the dead letter, in case this worker is the one that writes it."""
        self._last_errors[turn.session_id, turn.turn_id] = error_text(error)
        if len(self._last_errors) > _MAX_LAST_ERRORS:
            del self._last_errors[next(iter(self._last_errors))]

    def forget(self, turn: Turn) -> None:
        """Drop what was kept of a turn that ended well."""
        self._last_errors.pop((turn.session_id, turn.turn_id), None)

    def _is_for_others(self, turn: Turn, error: BaseException) -> bool:
        """Whether to leave the turn to workers of another version.

        They have `deploy_timeout` since this worker saw it first, or since they did more of it.
        """
        if not isinstance(error, UNFIT):
            return False
        now, state = self._runtime.now(), (*turn.names, len(turn.grant.journal))
        if state not in self._unfit_since:
            log_failed(turn, error, "it is left to workers of another version")
        since = self._unfit_since.setdefault(state, now)
        if len(self._unfit_since) > _MAX_UNFIT:
            del self._unfit_since[next(iter(self._unfit_since))]
        return now - since < self._policy.deploy_timeout

    async def _resumption_failed(
        self, resumed: ResumedTurn, publisher: EventPublisher, error: BaseException
    ) -> bool | None:
        """A decided turn failed: end it, or give it to others; None if it is to be retried.

        It is not dead-lettered: what approved tools did would be lost with it.
        """
        turn, outcome = resumed.turn, resumed.failure(error)
        if isinstance(outcome, Commit):
            await end(turn, outcome)
            await publisher.close({"type": "turn.finished", "state": "committed"}, last=True)
            return True
        if not self._is_last(turn, error):
            return None
        what = "its turn stays parked for Runner.resume or a cancel"
        log_failed(turn, error, what, logging.ERROR)
        await publisher.close({"type": "turn.parked", "approvals": []})
        await end(turn, replace(outcome, decided=False))
        return True

    def _is_last(self, turn: Turn, error: BaseException) -> bool:
        """Whether no attempt follows this one, which failed by the error."""
        return isinstance(error, WorkersDied) or turn.failures + 1 >= self._policy.max_attempts

    async def _dead_letter(
        self, turn: Turn, publisher: EventPublisher, error: BaseException
    ) -> bool:
        """Dead-letter the message, or stop its session; True if the turn is finished."""
        attempts = turn.failures + turn.deaths + (0 if isinstance(error, WorkersDied) else 1)
        why = error_text(error)
        if isinstance(error, WorkersDied):
            why = self._last_errors.pop((turn.session_id, turn.turn_id), why)
        number, _ = publisher.cursor
        letter = encode_dead_letter(turn, attempts, number, why)
        reason = why.partition(":")[0]
        stops = self._policy.on_dead == "stop"
        what = "its session stops there" if stops else "its message becomes a dead letter"
        log_failed(turn, error, what, logging.ERROR)
        if stops:
            await end(turn, Stop(letter, attempts, reason))
            await publisher.close({"type": "turn.stopped", "error": why})
            return False
        await end(turn, DeadLetter(letter, attempts, reason))
        event = {"type": "turn.finished", "state": "dead", "error": why}
        await publisher.close(event, last=True)
        return True


def workers_died(turn: Turn) -> WorkersDied:
    return WorkersDied(
        f"{turn.deaths} workers that ran turn {turn.turn_id!r} died or lost its lease before they "
        "could report why; one of them ran nothing else",
        session_id=turn.session_id,
    )
