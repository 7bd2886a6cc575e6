"""The SDK's compaction works on Turnwise sessions; inside a turn it is part of the turn."""

from __future__ import annotations

from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any, cast

import agents
import pytest
import pytest_asyncio
from agents import function_tool
from agents.memory import OpenAIResponsesCompactionSession
from agents.memory import Session as SDKSession

from tests.integration.stores import KINDS, Sessions, sessions_of
from tests.items import assistant, call, output, user
from tests.scripted import agent, calls, outline, says
from turnwise import Runner
from turnwise.errors import OutcomeUnknown, StoreUnavailable, TurnwiseError
from turnwise.session import Session

pytestmark = pytest.mark.asyncio(loop_scope="module")
OLD: list[Any] = [user("one"), assistant("two"), user("three"), assistant("four")]
SUMMARY = {"type": "compaction", "id": "cmp_1", "encrypted_content": "all of it"}


sessions = sessions_of(KINDS)


@pytest_asyncio.fixture(loop_scope="module")
async def session(sessions: Sessions) -> Session:
    session = sessions.worker().bind(sessions.new_id())
    await session.add_items(OLD)
    return session


class Compactor:
    """In place of the API's client: makes one item of all its input."""

    def __init__(self, output: Sequence[Any] = (SUMMARY,)) -> None:
        self.given: list[list[str]] = []
        self._output = list(output)
        self.responses = SimpleNamespace(compact=self._compact)

    async def _compact(self, *, model: str, input: list[Any]) -> Any:
        self.given.append(outline(input))
        return SimpleNamespace(output=self._output, usage=None)


def compacting(session: SDKSession, client: Compactor) -> OpenAIResponsesCompactionSession:
    return OpenAIResponsesCompactionSession(
        "compacting",
        session,
        client=cast(Any, client),
        compaction_mode="input",
        should_trigger_compaction=lambda _: True,
    )


async def test_compaction_between_turns(session: Session) -> None:
    client = Compactor()
    await compacting(session, client).run_compaction({"force": True})
    assert await session.get_items() == [SUMMARY]
    assert client.given == [["one", "two", "three", "four"]]


@pytest.mark.parametrize("runner", [agents.Runner, Runner])
async def test_compaction_after_a_run_of_the_plain_sdk(session: Session, runner: Any) -> None:
    client = Compactor()
    await runner.run(agent(says("six")), "five", session=compacting(session, client))
    assert client.given == [["one", "two", "three", "four", "five", "six"]]
    assert await session.get_items() == [SUMMARY]


async def test_compaction_waits_for_an_approval(session: Session) -> None:
    @function_tool(needs_approval=True)
    def pay() -> str:
        return "paid"

    client = Compactor()
    compacted = compacting(session, client)
    helper = agent(calls("pay"), says("done"), tools=[pay])
    state = (await agents.Runner.run(helper, "pay", session=compacted)).to_state()
    state.approve(state.get_interruptions()[0])
    assert client.given == []
    result = await agents.Runner.run(helper, state, session=compacted)
    assert result.final_output == "done"
    assert [given[-4:] for given in client.given] == [
        ["pay", "call call_1", "output call_1: paid", "done"]
    ]


async def test_a_compaction_that_fails_keeps_the_call_that_waits(session: Session) -> None:
    waits: list[Any] = [user("pay"), call("waits")]
    await session.add_items(waits)
    client = Compactor(output=[{"type": "no item", "content": object()}])
    with pytest.raises(TurnwiseError):
        await compacting(session, client).run_compaction({"force": True})
    await session.add_items([cast(Any, output("waits"))])
    assert await session.get_items() == [*OLD, *waits, output("waits")]


async def test_a_state_is_resumed_after_an_unknown_outcome(
    session: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    @function_tool(needs_approval=True)
    def pay() -> str:
        return "paid"

    helper = agent(calls("pay"), says("done"), tools=[pay])
    state = (await agents.Runner.run(helper, "pay", session=session)).to_state()
    state.approve(state.get_interruptions()[0])
    append = session.runtime.store.append

    async def unacknowledged(*args: Any) -> Any:
        await append(*args)
        raise StoreUnavailable("the reply is lost")

    with monkeypatch.context() as faulty:
        faulty.setattr(session.runtime.store, "append", unacknowledged)
        with pytest.raises(OutcomeUnknown):
            await agents.Runner.run(helper, state, session=session)
    result = await agents.Runner.run(helper, state, session=session)
    assert result.final_output == "done"
    assert outline((await session.get_items())[-4:]) == [
        "pay",
        "call call_1",
        "output call_1: paid",
        "done",
    ]


async def test_compaction_in_a_turn_is_committed_with_it(
    sessions: Sessions, session: Session
) -> None:
    other, client = sessions.worker().bind(session.session_id), Compactor()
    async with session.turn() as turn:
        await agents.Runner.run(agent(says("six")), "five", session=compacting(turn, client))
        assert await turn.get_items() == [SUMMARY]
        assert await other.get_items() == OLD
        await turn.add_items([cast(Any, user("seven"))])
    assert client.given == [["one", "two", "three", "four", "five", "six"]]
    for worker in (session, other, sessions.worker().bind(session.session_id)):
        assert await worker.get_items() == [SUMMARY, user("seven")]


async def test_compaction_in_a_turn_is_rolled_back_with_it(session: Session) -> None:
    client = Compactor()
    with pytest.raises(ZeroDivisionError):
        async with session.turn() as turn:
            await compacting(turn, client).run_compaction({"force": True})
            raise ZeroDivisionError
    assert client.given
    assert await session.get_items() == OLD
