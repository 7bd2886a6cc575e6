"""Webhooks: signed, at least once, whoever dies; read by OpenAI's own client."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from agents import Agent
from openai import InvalidWebhookSignatureError
from openai.types.responses.response import IncompleteDetails

from tests.http.receiver import SECRET, Receiver
from tests.http.responses.door import Door, door_to
from tests.http.responses.writer import Writer, call, writer
from tests.http.test_chat import Pace
from tests.integration.durable_lab import Lab
from tests.integration.fault_lab import other_tasks
from tests.integration.stores import Sessions, new_sessions_of
from turnwise import MemorySession, Session, UsageError
from turnwise.fleet.webhooks import SILENT_MS, PendingWebhooks
from turnwise.hooks import TurnEvent, WebhookGivenUpEvent
from turnwise.http.webhook import Webhook
from turnwise.http.wires.responses import webhooks
from turnwise.http.wires.responses.ids import ResponseId
from turnwise.testing.servers.waiting import until

OTHER = "whsec_YW5vdGhlciBzZWNyZXQgb2YgdGhlIHRlc3Rz"
sessions = new_sessions_of(["memory", "sqlite", "valkey"])


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    receiver = Receiver()
    async with receiver.listening():
        yield receiver


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("_LOOK", "_PAUSE"):
        monkeypatch.setattr(webhooks, name, 0.02)


def fails(_: Any) -> Any:
    raise RuntimeError("the secret is 42")


class CutShort(Writer):
    """A model whose answers are longer than it may say."""

    async def stream_response(self, *args: Any, **options: Any) -> AsyncIterator[Any]:
        async for event in super().stream_response(*args, **options):
            if event.type == "response.completed":
                event.response.incomplete_details = IncompleteDetails(reason="max_output_tokens")
            yield event


@asynccontextmanager
async def telling(
    session: Session, receiver: Receiver, pace: Pace | None = None
) -> AsyncIterator[Door]:
    agents = [
        writer(pace=pace or Pace()),
        writer([call("add")], name="caller"),
        writer(fails, name="breaks"),
        Agent(name="long", model=CutShort()),
    ]
    webhook = Webhook(receiver.url, SECRET)
    async with door_to(session, agents, webhook=webhook) as door:
        yield door
    assert not other_tasks()


async def asked(door: Door, model: str = "writer", **more: Any) -> str:
    """A response in the background; its id."""
    body: dict[str, Any] = {"model": model, "input": "hello", "background": True, **more}
    found: str = (await door.responses.create(**body)).id
    return found


async def left(session: Session) -> list[Any]:
    """What is still to be delivered."""
    return await PendingWebhooks(session.runtime).list()


async def nothing_is_left(session: Session) -> None:
    async def empty() -> bool:
        return not await left(session)

    await until(empty, 30, "nothing is left to be delivered")


async def test_each_end_is_told_once(sessions: Sessions, receiver: Receiver) -> None:
    pace = Pace()
    async with telling(sessions.worker(), receiver, pace) as door:
        tool = {"type": "function", "name": "add", "parameters": {}}
        wanted = {
            await asked(door): "response.completed",
            await asked(door, "breaks"): "response.failed",
            await asked(door, "long"): "response.incomplete",
            await asked(door, "caller", tools=[tool]): "response.completed",  # it waits for outputs
        }
        cancelled = await asked(door, input="a slow one")
        await pace.is_slow()
        await door.responses.cancel(cancelled)
        wanted[cancelled] = "response.cancelled"
        await door.responses.create(model="writer", input="in the foreground")
        events = [webhook.event() for webhook in await receiver.has(len(wanted))]
        assert {event.data.id: event.type for event in events} == wanted
        assert [webhook.id for webhook in receiver.got] == [event.id for event in events]
        await nothing_is_left(door.session)
    assert len(receiver.got) == len(wanted)


async def test_what_a_receiver_does_not_accept_comes_again(
    sessions: Sessions, receiver: Receiver
) -> None:
    receiver.answers += ["500 No", "302 Found\r\nLocation: http://127.0.0.1:1/", "404 Not Found"]
    async with telling(sessions.worker(), receiver) as door:
        first = await asked(door)
        await receiver.has(4)
        await nothing_is_left(door.session)
        assert {webhook.id for webhook in receiver.got} == {receiver.got[0].id}
        assert {webhook.body for webhook in receiver.got} == {receiver.got[0].body}
        assert receiver.got[-1].event().data.id == first
        receiver.answers.append("500 No")
        await asked(door, previous_response_id=first)
        await receiver.has(6)
    assert receiver.got[4].id == receiver.got[5].id != receiver.got[0].id


async def test_after_many_attempts_it_is_given_up_and_told(
    receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(webhooks, "MAX_ATTEMPTS", 3)
    receiver.answers += ["500 No"] * 3
    told: list[TurnEvent] = []
    async with (
        MemorySession(hooks=[told.append]) as session,
        telling(session, receiver) as door,
    ):
        rid = ResponseId.parse(await asked(door))
        await nothing_is_left(door.session)
    given_up = [event for event in told if isinstance(event, WebhookGivenUpEvent)]
    names = rid.session_id, rid.turn_id
    assert given_up == [WebhookGivenUpEvent(*names, receiver.got[0].id, 3, "status 500")]


async def test_what_was_refused_or_deleted_is_forgotten(
    receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(webhooks, "_UNSENT", -1.0)
    pace = Pace()
    async with telling(Session(Lab().session().runtime), receiver, pace) as door:
        conversation = (await door.conversations.create()).id
        slow = await asked(door, input="a slow one", conversation=conversation)
        await pace.is_slow()
        refused = await door.post(input="x", background=True, conversation=conversation)
        assert refused.status_code == 400
        await door.http.delete(f"/v1/conversations/{conversation}")
        pace.go.set()
        await nothing_is_left(door.session)
        assert slow
    assert receiver.got == []


async def test_one_that_cannot_be_read_holds_up_nobody(receiver: Receiver) -> None:
    async with telling(Session(Lab().session().runtime), receiver) as door:
        await PendingWebhooks(door.session.runtime).add("evt_0", {"of": "another version"})
        response = await asked(door)
        assert (await receiver.has(1))[0].event().data.id == response

        async def delivered() -> bool:
            return [webhook.id for webhook in await left(door.session)] == ["evt_0"]

        await until(delivered, 30, "what can be read is delivered")


async def test_another_secret_is_not_believed(receiver: Receiver) -> None:
    await Webhook(receiver.url, SECRET).deliver("evt_1", '{"type": "response.completed"}')
    assert receiver.got[0].event().type == "response.completed"
    with pytest.raises(InvalidWebhookSignatureError):
        receiver.got[0].event(OTHER)
    await Webhook(receiver.url, f"{OTHER}\n{SECRET}\n").deliver("evt_1", "{}")
    for secret in (SECRET, OTHER):  # the new one and the one that it replaces
        receiver.got[1].event(secret)


@pytest.mark.parametrize(
    ("url", "secret"),
    [
        ("ftp://there", SECRET),
        ("https:///path", SECRET),
        ("file:///etc/passwd", SECRET),
        ("https://there", ""),
        ("https://there", "no secret"),
        ("https://there", "whsec_%"),
    ],
)
def test_what_cannot_be_told_is_refused(url: str, secret: str) -> None:
    with pytest.raises(UsageError) as refused:
        Webhook(url, secret)
    assert not secret or secret not in str(refused.value)


async def test_one_process_delivers_and_another_takes_over() -> None:
    lab = Lab()
    one, two = (PendingWebhooks(Session(lab.session().runtime).runtime) for _ in range(2))
    assert [await one.is_mine(), await two.is_mine(), await one.is_mine()] == [False, False, True]
    lab.now += SILENT_MS
    assert [await two.is_mine(), await two.is_mine()] == [False, True]
    assert not await one.is_mine()
    await one.leave()
    assert await two.is_mine()
    await two.leave()
    assert [await one.is_mine(), await one.is_mine()] == [False, True]
