"""Many tasks on few sessions, with random cancellations and lost connections: turns stay whole."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from tests.integration.fault_lab import (
    LONG,
    AnySession,
    assert_free,
    connections_in_use,
    message,
    other_tasks,
    session_on,
)
from turnwise import RedisSession
from turnwise.errors import AlreadyCommitted, OutcomeUnknown, StoreUnavailable
from turnwise.testing.proxy import HANDSHAKE, Command, DropRequest, Fault, FaultProxy, LoseReply
from turnwise.testing.servers import ValkeyServer

pytestmark = pytest.mark.asyncio(loop_scope="module")

SESSIONS = ["user-1", "user-2"]
SENDERS, TURNS, WIDTH = 8, 12, 3


@pytest_asyncio.fixture(loop_scope="module", params=["memory", "sqlite", "valkey", "cut off"])
async def sessions(
    server: ValkeyServer, tmp_path: Path, request: pytest.FixtureRequest
) -> AsyncIterator[list[AnySession]]:
    """Of two workers, where the store may have as many; behind a proxy that cuts off the second."""
    if request.param == "cut off":
        prefix = f"{tmp_path.name}:"
        async with (
            FaultProxy.before(
                server.url, faults=now_and_then(random.Random(random.getrandbits(32)))
            ) as proxy,
            RedisSession.from_url(proxy.url, key_prefix=prefix) as one,
            session_on("valkey", tmp_path, server) as other,
        ):
            yield [one, other]
            proxy.faults = None
    else:
        async with (
            session_on(request.param, tmp_path, server) as one,
            session_on(request.param, tmp_path, server) as other,
        ):
            yield [one, one if request.param == "memory" else other]


def now_and_then(rng: random.Random) -> Any:
    def faults(command: Command) -> Fault | None:
        if command.name in HANDSHAKE or rng.random() > 0.1:
            return None
        return rng.choice([LoseReply(), DropRequest()])

    return faults


class Sender:
    """Sends turns one by one, each until it is committed, and is cancelled now and then."""

    def __init__(self, number: int, sessions: list[AnySession]) -> None:
        self.number = number
        self.committed: list[tuple[str, str]] = []
        self.answers: list[tuple[str, list[Any]]] = []
        self._sessions = sessions
        self._rng = random.Random(random.getrandbits(32))

    async def send_all(self) -> None:
        for number in range(TURNS):
            session_id, turn_id = self._rng.choice(SESSIONS), f"{self.number}.{number}"
            while not await self._sent(session_id, turn_id):
                pass
            self.committed.append((session_id, turn_id))

    async def _sent(self, session_id: str, turn_id: str) -> bool:
        """Whether the turn is committed; False if it must be sent again."""
        task = asyncio.create_task(self._send(session_id, turn_id))
        if self._rng.random() < 0.5:
            for _ in range(self._rng.randrange(40)):
                await asyncio.sleep(0)
            task.cancel()
        try:
            await task
        except (asyncio.CancelledError, OutcomeUnknown, StoreUnavailable):
            return False
        except AlreadyCommitted as error:
            self.answers.append((turn_id, error.items))
        return True

    async def _send(self, session_id: str, turn_id: str) -> None:
        session = self._rng.choice(self._sessions)
        async with session.turn(session_id, turn_id=turn_id, timeout=LONG) as turn:
            before = await turn.get_items()
            for item in items_of(turn_id):
                await turn.add_items([item])
                await asyncio.sleep(0)
            assert await turn.get_items() == [*before, *items_of(turn_id)]


def items_of(turn_id: str) -> list[Any]:
    return [message(f"{turn_id}/{number}") for number in range(WIDTH)]


async def test_turns_stay_whole_and_happen_once(sessions: list[AnySession]) -> None:
    senders = [Sender(number, sessions) for number in range(SENDERS)]
    await asyncio.gather(*(sender.send_all() for sender in senders))
    committed = Counter(turn for sender in senders for turn in sender.committed)
    stored: Counter[tuple[str, str]] = Counter()
    for session_id in SESSIONS:
        history: list[Any] = await sessions[1].bind(session_id).get_items()
        for first in range(0, len(history), WIDTH):
            turn_id = str(history[first]["content"]).partition("/")[0]
            assert history[first : first + WIDTH] == items_of(turn_id)
            stored[session_id, turn_id] += 1
        await assert_free(sessions[1], session_id)
        assert await sessions[0].bind(session_id).get_items() == history
    assert stored == committed
    assert set(stored.values()) == {1}
    assert len(stored) == SENDERS * TURNS
    answers = [answer for sender in senders for answer in sender.answers]
    assert all(items == items_of(turn_id) for turn_id, items in answers)
    assert not other_tasks()
    assert all(connections_in_use(session) == 0 for session in sessions)
