"""Answers that are sent again: given once, each gets the same response; others are refused."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from typing import Any

import openai
import pytest
from agents import Agent
from openai.types.responses import Response

from tests.http.responses.door import Door, door_to
from tests.http.responses.test_answers import ADD, decision, requests, shown
from tests.http.responses.writer import call, text, writer
from tests.http.test_chat import Pace
from tests.integration.approval_lab import Clerk
from tests.integration.background_lab import QUICK
from tests.integration.durable_lab import Lab
from tests.integration.stores import Sessions, new_sessions_of
from turnwise import Session
from turnwise.http.wires.responses.ids import ResponseId

sessions = new_sessions_of(["memory", "sqlite", "valkey"])
HOURS = 2 * 3600 * 1000
WHERE = pytest.mark.parametrize("where", ["in a conversation", "after a response"])


@pytest.fixture
def clerk() -> Clerk:
    return Clerk()


@pytest.fixture
def pace() -> Pace:
    return Pace()


def agents_of(clerk: Clerk, pace: Pace) -> list[Agent[Any]]:
    asks = [call("look", call_id="c1"), call("pay", call_id="c2"), call("send", call_id="c3")]
    return [
        writer(asks, shown, name="clerk", tools=clerk.agent().tools),
        writer([call("add", call_id="c1")], shown),
        writer([call("add", call_id="c1")], [call("add", call_id="c2")], shown, name="twice"),
        writer([call("add", call_id="c1")], [text("a slow one")], pace=pace, name="slow"),
        writer(name="plain"),
    ]


@pytest.fixture
async def door(sessions: Sessions, clerk: Clerk, pace: Pace) -> AsyncIterator[Door]:
    async with door_to(sessions.worker(), agents_of(clerk, pace)) as door:
        yield door


class Asker:
    """Asks one agent, and answers what it asks."""

    def __init__(self, door: Door, model: str, conversation: str | None) -> None:
        self._door = door
        self._body: dict[str, Any] = {"model": model}
        self.conversation = conversation
        self.first: Any = None

    async def ask(self, **more: Any) -> Response:
        body: Any = self._body | {"input": "go", "tools": [ADD], **self._where(None), **more}
        first: Response = await self._door.responses.create(**body)
        self.first = first
        return first

    async def answer(
        self, *answers: Any, to: Any = None, key: str | None = None, **more: Any
    ) -> Response:
        headers = {} if key is None else {"Idempotency-Key": key}
        body: Any = self._body | {"input": list(answers), **self._where(to or self.first), **more}
        answered: Response = await self._door.responses.create(**body, extra_headers=headers)
        return answered

    async def refused(self, words: str, *answers: Any, **more: Any) -> None:
        with pytest.raises(openai.BadRequestError, match=words):
            await self.answer(*answers, **more)

    def _where(self, previous: Any) -> dict[str, Any]:
        if self.conversation is not None:
            return {"conversation": self.conversation}
        return {} if previous is None else {"previous_response_id": previous.id}


async def asker(door: Door, model: str, where: str = "in a conversation") -> Asker:
    made = (await door.conversations.create()).id if where == "in a conversation" else None
    return Asker(door, model, made)


def output(call_id: str, said: str) -> Any:
    return {"type": "function_call_output", "call_id": call_id, "output": said}


async def kinds(door: Door, response: Response) -> list[str]:
    """What the history of a response's session has."""
    session_id = ResponseId.parse(response.id).session_id
    items = await door.session.bind(session_id).get_items()
    return [str(item.get("type", "message")) for item in items]


@WHERE
@pytest.mark.parametrize("key", [None, "k"])
async def test_they_are_given_once(door: Door, clerk: Clerk, where: str, key: str | None) -> None:
    asking = await asker(door, "clerk", where)
    answers = [decision(one, True) for one in requests(await asking.ask()).values()]
    second = await asking.answer(*answers, key=key)
    stored = await kinds(door, second)
    again = await asking.answer(*answers, key=key)
    assert (again.id, again.output, again.status) == (second.id, second.output, "completed")
    assert again.created_at == second.created_at == asking.first.created_at
    assert clerk.ran == {"look": 1, "pay": 1, "send": 1}
    assert await kinds(door, second) == stored


@WHERE
async def test_while_the_turn_goes_on(door: Door, pace: Pace, where: str) -> None:
    asking = await asker(door, "slow", where)
    await asking.ask()
    second = await asking.answer(output("c1", "5"), background=True)
    await pace.is_slow()
    again = await asking.answer(output("c1", "5"), background=True)
    assert again.id == second.id
    await asking.refused("c1 was answered before with another", output("c1", "6"))
    await asking.refused("call_id c9", output("c9", "5"))
    pace.go.set()
    assert (await door.over(second.id)).output_text == "a slow one"
    assert (await asking.answer(output("c1", "5"), background=True)).id == second.id


@WHERE
async def test_before_the_turn_goes_on(sessions: Sessions, where: str) -> None:
    session, agents = sessions.worker(), agents_of(Clerk(), Pace())
    async with door_to(session, agents, works=False) as door:
        asking = await asker(door, "writer", where)
        session_id = ResponseId.parse((await asking.ask(background=True)).id).session_id
        await session.drain(session_id, agents, QUICK)
        second = await asking.answer(output("c1", "5"), background=True)
        assert (await asking.answer(output("c1", "5"), background=True)).id == second.id
        await asking.refused("c1 was answered before with another", output("c1", "6"))
        message = {"role": "user", "content": "and now?"}
        await asking.refused("currently operating", message)
        await session.drain(session_id, agents, QUICK)
        assert (await door.responses.retrieve(second.id)).output_text == "5"


@WHERE
async def test_when_the_turn_is_parked_again(door: Door, where: str) -> None:
    asking = await asker(door, "twice", where)
    await asking.ask()
    second = await asking.answer(output("c1", "5"))
    (asked,) = second.output
    assert asked.type == "function_call"
    again = await asking.answer(output("c1", "5"))
    assert (again.id, again.output, again.tools) == (second.id, second.output, second.tools)
    await asking.refused("c1 was answered before with another", output("c1", "6"))
    third = await asking.answer(output("c2", "7"), to=second)
    assert third.output_text == "5, 7"
    assert (await asking.answer(output("c2", "7"), to=second)).id == third.id
    assert (await asking.answer(output("c1", "5"))).id == second.id
    await asking.refused("c2 was answered before with another", output("c2", "8"), to=second)


@WHERE
async def test_when_other_turns_came_since(door: Door, where: str) -> None:
    asking = await asker(door, "writer", where)
    await asking.ask()
    second = await asking.answer(output("c1", "5"))
    await asking.answer({"role": "user", "content": "and now?"}, to=second)
    stored = await kinds(door, second)
    assert (await asking.answer(output("c1", "5"))).id == second.id
    await asking.refused("c1 was answered before with another", output("c1", "6"))
    assert await kinds(door, second) == stored


@WHERE
async def test_other_decisions_are_refused(door: Door, clerk: Clerk, where: str) -> None:
    asking = await asker(door, "clerk", where)
    asked = requests(await asking.ask())
    pay, send = asked["pay"], asked["send"]
    answers = [decision(pay, False), decision(send, False, "never")]
    second = await asking.answer(*answers)
    assert (await asking.answer(*answers)).id == second.id
    others: Sequence[tuple[str, list[Any]]] = [
        (f"{pay} was answered before with another", [decision(pay, True), answers[1]]),
        (f"{send} was answered before with another", [answers[0], decision(send, False, "no")]),
        ("No approval request found with id mcpr_x", [*answers, decision("mcpr_x", True)]),
        ("No tool call found .* c9", [*answers, output("c9", "5")]),
    ]
    for words, made in others:
        await asking.refused(words, *made)
    assert clerk.ran == {"look": 1}


async def test_a_message_may_be_sent_again_while_its_turn_is_parked(door: Door) -> None:
    asking = await asker(door, "writer")
    key = {"extra_headers": {"Idempotency-Key": "k"}}
    first = await asking.ask(**key)
    again = await asking.ask(**key)
    assert (again.id, again.output) == (first.id, first.output)


@pytest.mark.parametrize("where", ["conversation", "new session", "message before"])
async def test_answers_to_nothing_are_refused_and_not_queued(door: Door, where: str) -> None:
    made = (await door.conversations.create()).id
    before = await door.responses.create(model="plain", input="hi")
    places: dict[str, Any] = {
        "conversation": {"conversation": made},
        "new session": {},
        "message before": {"previous_response_id": before.id},
    }
    there = [one async for one in door.session.scan()]
    message = {"role": "user", "content": "x"}
    for items in ([output("c9", "5")], [message, output("c9", "5")], [decision("mcpr_x", True)]):
        answer = await door.post(**places[where], input=items)
        assert answer.status_code == 400
        assert "No " in answer.json()["error"]["message"] or "waits" in answer.text
    assert [one async for one in door.session.scan()] == there
    assert (await door.conversations.items.list(made)).data == []


async def test_calls_that_come_along_or_are_in_the_conversation_are_no_orphans(
    sessions: Sessions,
) -> None:
    asked: Any = {"type": "function_call", "call_id": "c9", "name": "f", "arguments": "{}"}
    async with door_to(sessions.worker(), [writer(shown)]) as door:
        body: Any = {"model": "writer"}
        whole = await door.responses.create(**body, input=[asked, output("c9", "5")])
        assert whole.output_text == "5"
        made = await door.conversations.create(items=[asked])
        body["conversation"] = made.id
        key = {"Idempotency-Key": "k"}
        for _ in range(2):
            answer = await door.responses.create(
                **body, input=[output("c9", "6")], extra_headers=key
            )
            assert answer.output_text == "6"
        with pytest.raises(openai.BadRequestError, match="No tool call found"):
            await door.responses.create(**body, input=[output("c9", "6")])
        assert len((await door.conversations.items.list(made.id)).data) == 3


@WHERE
async def test_a_turn_that_was_parked_twice_is_answered_hours_later(where: str) -> None:
    lab = Lab()
    async with door_to(Session(lab.session().runtime), agents_of(Clerk(), Pace())) as door:
        asking = await asker(door, "twice", where)
        await asking.ask()
        second = await asking.answer(output("c1", "5"))
        lab.now += HOURS
        await asking.refused("c1 was answered before with another", output("c1", "6"))
        third = await asking.answer(output("c2", "7"), to=second)
        assert (third.output_text, ResponseId.parse(third.id).part) == ("5, 7", 2)


async def test_hours_later_outputs_are_compared_and_decisions_are_not() -> None:
    lab, clerk = Lab(), Clerk()
    async with door_to(Session(lab.session().runtime), agents_of(clerk, Pace())) as door:
        asking = await asker(door, "writer")
        await asking.ask()
        second = await asking.answer(output("c1", "5"))
        lab.now += HOURS
        assert (await asking.answer(output("c1", "5"))).id == second.id
        await asking.refused("c1 was answered before with another", output("c1", "6"))
        deciding = await asker(door, "clerk", "after a response")
        answers = [decision(one, True) for one in requests(await deciding.ask()).values()]
        decided = await deciding.answer(*answers)
        lab.now += HOURS
        assert (await deciding.answer(*answers)).id == decided.id
        deciding.conversation = asking.conversation
        await deciding.refused("No approval request found", *answers)
        assert clerk.ran == {"look": 1, "pay": 1, "send": 1}


async def test_answers_that_come_too_late(sessions: Sessions) -> None:
    session, clerk = sessions.worker(approval_timeout=0.001), Clerk()
    async with door_to(session, agents_of(clerk, Pace())) as door:
        asking = await asker(door, "clerk")
        answers = [decision(one, True) for one in requests(await asking.ask()).values()]
        await asking.refused("not answered in time", *answers)
        assert clerk.ran == {"look": 1}


async def test_only_the_last_response_of_a_turn_can_be_gone_on_from(door: Door) -> None:
    asking = await asker(door, "twice", "after a response")
    first = await asking.ask()
    second = await asking.answer(output("c1", "5"))
    third: Any = None
    for _ in range(2):  # while it waits, and when it has ended
        with pytest.raises(openai.BadRequestError) as refused:
            await asking.answer({"role": "user", "content": "x"}, to=first)
        assert refused.value.code == "conversation_fork_not_supported"
        third = third or await asking.answer(output("c2", "7"), to=second)
    fourth = await asking.answer({"role": "user", "content": "x"}, to=third)
    assert fourth.status == "completed"
    assert len([one async for one in door.session.scan()]) == 1
