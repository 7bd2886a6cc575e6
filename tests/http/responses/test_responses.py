"""The Responses API by OpenAI's own client, at a real server, on each kind of store."""

from __future__ import annotations

from collections.abc import AsyncIterator
from types import SimpleNamespace
from typing import Any

import openai
import pytest

from tests.http.responses.door import Door, checked, door_to, read, text_of
from tests.http.responses.writer import text, thought, writer
from tests.http.test_chat import Pace
from tests.integration.durable_lab import Lab
from tests.integration.fault_lab import other_tasks
from tests.integration.stores import Sessions, new_sessions_of
from turnwise import OutcomeUnknown, Session
from turnwise.http.wires.responses.ids import ResponseId

sessions = new_sessions_of(["memory", "sqlite", "valkey"])


@pytest.fixture
def pace() -> Pace:
    return Pace()


@pytest.fixture
async def door(sessions: Sessions, pace: Pace) -> AsyncIterator[Door]:
    agents = [writer(pace=pace), writer([thought("hm"), text("so")], name="thinker")]
    async with door_to(sessions.worker(), agents) as door:
        yield door
    assert not other_tasks()


def texts(items: Any) -> list[str]:
    return [item.content[0].text for item in items]


async def test_an_agent_answers(door: Door) -> None:
    response = checked(
        await door.responses.create(
            model="writer", input="hello", metadata={"a": "b"}, instructions="Be brief."
        )
    )
    assert (response.output_text, response.status) == ("re: hello", "completed")
    assert response.usage is not None
    assert (response.usage.input_tokens, response.usage.output_tokens) == (7, 5)
    assert response.usage.input_tokens_details.cached_tokens == 2
    assert (response.metadata, response.instructions) == ({"a": "b"}, "Be brief.")
    again = checked(await door.responses.retrieve(response.id))
    assert again.model_dump(exclude={"completed_at"}) == response.model_dump(
        exclude={"completed_at"}
    )


async def test_an_answer_streams(door: Door) -> None:
    stream = await door.responses.create(model="writer", input="one two three", stream=True)
    events = await read(stream)
    assert text_of(events) == "re: one two three"
    assert [events[0].type, events[1].type] == ["response.created", "response.in_progress"]
    last = events[-1]
    assert (last.type, last.response.output_text) == ("response.completed", "re: one two three")
    assert (await door.responses.retrieve(last.response.id)).output == last.response.output


async def test_the_client_s_stream_helper(door: Door) -> None:
    async with door.responses.stream(model="thinker", input="why?") as stream:
        async for _ in stream:
            pass
        final = await stream.get_final_response()
    assert [item.type for item in final.output] == ["reasoning", "message"]
    assert final.output_text == "so"


async def test_in_the_background_it_can_be_asked_for_from_the_beginning(
    door: Door, pace: Pace
) -> None:
    created = await door.responses.create(model="writer", input="a slow one", background=True)
    assert created.status == "queued"
    await pace.is_slow()
    running = checked(await door.responses.retrieve(created.id))
    assert running.status == "in_progress"
    pace.go.set()
    ended = checked(await door.over(created.id))
    assert ended.output_text == "re: a slow one"
    assert ended.background is True


async def test_a_stream_in_the_background_goes_on_after_any_event(door: Door, pace: Pace) -> None:
    stream = await door.responses.create(
        model="writer", input="a slow one", background=True, stream=True
    )
    seen: list[Any] = []
    async for event in stream:
        seen.append(event)
        if event.type == "response.output_text.delta" and event.delta == " slow":
            break
    await stream.close()
    response_id = seen[0].response.id
    partial = await door.responses.retrieve(response_id)
    assert (partial.status, partial.output_text) == ("in_progress", "re: a slow")
    pace.go.set()
    cursor = seen[-1].sequence_number
    rest = await read(
        await door.responses.retrieve(response_id, stream=True, starting_after=cursor)
    )
    assert text_of(seen) + text_of(rest) == "re: a slow one"
    assert [event.sequence_number for event in [*seen, *rest]] == list(range(len(seen) + len(rest)))
    all_again = await read(await door.responses.retrieve(response_id, stream=True))
    assert [event.model_dump() for event in all_again[len(seen) :]] == [
        event.model_dump() for event in rest
    ]


async def test_the_stream_helper_goes_on_by_its_number(door: Door) -> None:
    stream = await door.responses.create(
        model="writer", input="one two", background=True, stream=True
    )
    events = await read(stream)
    response_id = events[0].response.id
    async with door.responses.stream(response_id=response_id, starting_after=3) as again:
        numbers = [event.sequence_number async for event in again]
        final = await again.get_final_response()
    assert numbers == list(range(4, len(events)))
    assert final.output_text == "re: one two"


async def test_an_event_log_that_has_expired_is_made_good(
    door: Door, monkeypatch: pytest.MonkeyPatch
) -> None:
    events = await read(
        await door.responses.create(model="thinker", input="x", background=True, stream=True)
    )
    last = events[-1].response
    log = door.session.runtime.store.events
    before = log.read

    async def nothing(*args: Any, **options: Any) -> Any:
        found = await before(*args, **options)
        found.events.clear()
        return found

    monkeypatch.setattr(log, "read", nothing)
    again = await door.responses.retrieve(last.id)
    assert (again.output, again.usage) == (last.output, last.usage)


async def test_it_goes_on_from_the_last_response(door: Door) -> None:
    first = await door.responses.create(model="writer", input="one")
    second = await door.responses.create(model="writer", input="two", previous_response_id=first.id)
    assert second.previous_response_id == first.id
    given = await door.responses.input_items.list(second.id, order="asc")
    assert texts(given.data) == ["one", "re: one", "two"]
    assert len([one async for one in door.session.scan()]) == 1


async def test_from_an_earlier_response_it_forks(door: Door) -> None:
    first = await door.responses.create(model="writer", input="one")
    second = await door.responses.create(model="writer", input="two", previous_response_id=first.id)
    other = await door.responses.create(
        model="writer", input="three", previous_response_id=first.id
    )
    given = await door.responses.input_items.list(other.id, order="asc")
    assert texts(given.data) == ["one", "re: one", "three"]
    third = await door.responses.create(
        model="writer", input="four", previous_response_id=second.id
    )
    given = await door.responses.input_items.list(third.id)
    assert len(given.data) == 5
    for response in (first, second, other, third):
        assert (await door.responses.retrieve(response.id)).output == response.output


async def test_what_is_asked_at_once_from_one_response_is_never_mixed(
    door: Door, pace: Pace
) -> None:
    first = await door.responses.create(model="writer", input="one")
    slow = await door.responses.create(
        model="writer", input="a slow one", previous_response_id=first.id, background=True
    )
    await pace.is_slow()
    with pytest.raises(openai.BadRequestError) as refused:
        await door.responses.create(model="writer", input="x", previous_response_id=slow.id)
    assert refused.value.code == "conversation_locked"
    with pytest.raises(openai.BadRequestError) as busy:
        await door.responses.create(model="writer", input="x", previous_response_id=first.id)
    assert busy.value.code == "conversation_locked"
    pace.go.set()
    await door.over(slow.id)
    other = await door.responses.create(model="writer", input="x", previous_response_id=first.id)
    assert len((await door.responses.input_items.list(other.id)).data) == 3


async def test_a_request_that_is_sent_again_is_answered_once(door: Door, pace: Pace) -> None:
    key = {"Idempotency-Key": "k1"}
    first = await door.responses.create(model="writer", input="one", extra_headers=key)
    again = await door.responses.create(model="writer", input="one", extra_headers=key)
    assert (again.id, again.output) == (first.id, first.output)
    follow = {"Idempotency-Key": "k2"}
    second = await door.responses.create(
        model="writer", input="two", previous_response_id=first.id, extra_headers=follow
    )
    repeated = await door.responses.create(
        model="writer", input="two", previous_response_id=first.id, extra_headers=follow
    )
    assert repeated.id == second.id
    assert pace.asked["model"] == 2
    with pytest.raises(openai.BadRequestError):
        await door.responses.create(model="writer", input="other", extra_headers=key)


@pytest.mark.parametrize("seconds", [0, 7])
async def test_a_request_may_be_sent_again_while_its_turn_runs(
    door: Door, pace: Pace, monkeypatch: pytest.MonkeyPatch, seconds: int
) -> None:
    key = {"Idempotency-Key": "k"}
    asked: dict[str, Any] = {"model": "writer", "input": "a slow one", "extra_headers": key}
    first = await door.responses.create(**asked, background=True)
    later = SimpleNamespace(time=lambda: first.created_at + seconds)
    monkeypatch.setattr("turnwise.http.wires.responses.creating.time", later)
    again = await door.responses.create(**asked, background=True)
    assert (again.id, again.created_at) == (first.id, first.created_at)
    with pytest.raises(openai.BadRequestError):
        await door.responses.create(**asked | {"input": "a slow other"}, background=True)
    pace.go.set()
    assert (await door.over(first.id)).output_text == "re: a slow one"


async def test_what_is_not_to_be_stored_leaves_nothing(door: Door) -> None:
    kept = await door.responses.create(model="writer", input="one")
    response = await door.responses.create(
        model="writer", input="two", previous_response_id=kept.id, store=False
    )
    assert response.output_text == "re: two"
    with pytest.raises(openai.NotFoundError):
        await door.responses.retrieve(response.id)
    with pytest.raises(openai.BadRequestError):
        await door.responses.create(model="writer", input="x", previous_response_id=response.id)
    assert len([one async for one in door.session.scan()]) == 1


async def test_a_deleted_response_is_gone_and_later_ones_stay(door: Door) -> None:
    first = await door.responses.create(model="writer", input="one")
    second = await door.responses.create(model="writer", input="two", previous_response_id=first.id)
    await door.responses.delete(first.id)
    for response_id in (first.id,):
        with pytest.raises(openai.NotFoundError):
            await door.responses.retrieve(response_id)
        with pytest.raises(openai.NotFoundError):
            await door.responses.delete(response_id)
    third = await door.responses.create(
        model="writer", input="three", previous_response_id=second.id
    )
    assert len((await door.responses.input_items.list(third.id)).data) == 5
    assert len([one async for one in door.session.scan()]) == 1


async def test_deleting_the_only_response_deletes_its_session(door: Door) -> None:
    response = await door.responses.create(model="writer", input="one")
    await door.responses.delete(response.id)
    with pytest.raises(openai.NotFoundError):
        await door.responses.retrieve(response.id)
    assert not [one async for one in door.session.scan()]


async def test_a_response_that_fails_says_so(sessions: Sessions) -> None:
    def breaks(_: Any) -> Any:
        raise RuntimeError("the secret is 42")

    async with door_to(sessions.worker(), [writer(breaks)]) as door:
        response = checked(await door.responses.create(model="writer", input="x"))
        assert response.status == "failed"
        assert response.error is not None
        assert "42" not in response.error.message
        events = await read(await door.responses.create(model="writer", input="x", stream=True))
        assert events[-1].type == "response.failed"
        again = await door.responses.retrieve(response.id)
        assert again.status == "failed"


async def test_input_items_come_in_pages(door: Door) -> None:
    items: list[Any] = [
        {"id": f"msg_{n}", "role": "user", "content": f"item {n}"} for n in range(25)
    ]
    response = await door.responses.create(model="writer", input=items)
    newest = await door.responses.input_items.list(response.id)
    assert [item.id for item in newest.data][:2] == ["msg_24", "msg_23"]
    assert (len(newest.data), newest.has_more) == (20, True)
    everything = [item.id async for item in door.responses.input_items.list(response.id)]
    assert everything == [f"msg_{n}" for n in range(24, -1, -1)]


async def test_a_client_is_told_not_to_repeat_what_may_be_queued(
    door: Door, pace: Pace, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def lost(*_: Any, **__: Any) -> Any:
        raise OutcomeUnknown("the reply is lost")

    monkeypatch.setattr(door.site.replica.gateway, "send", lost)
    told: list[str | None] = []
    keys: list[dict[str, str]] = [{}, {"Idempotency-Key": "k"}]
    for key in keys:
        body = {"model": "writer", "input": "x"}
        answer = await door.http.post("/v1/responses", json=body, headers=key)
        assert (answer.status_code, answer.json()["error"]["type"]) == (503, "server_error")
        told.append(answer.headers.get("x-should-retry"))
    assert told == ["false", None]


async def test_after_days_a_response_is_still_there_and_a_deleted_one_still_gone() -> None:
    lab = Lab()
    async with door_to(Session(lab.session().runtime), [writer()]) as door:
        first = await door.responses.create(model="writer", input="one", metadata={"k": "v"})
        events = await read(
            await door.responses.create(
                model="writer",
                input="two",
                previous_response_id=first.id,
                background=True,
                stream=True,
            )
        )
        second = events[-1].response
        gone = await door.responses.create(
            model="writer", input="three", previous_response_id=second.id
        )
        await door.responses.delete(gone.id)
        kept = door.session.bind(ResponseId.parse(first.id).session_id)
        for _ in range(3):
            lab.now += 3 * 24 * 3600 * 1000
            await kept.add_items([{"role": "user", "content": "later"}])
        found = await door.responses.retrieve(first.id)
        assert (found.output, found.metadata) == (first.output, {"k": "v"})
        again = await read(await door.responses.retrieve(second.id, stream=True))
        assert again[-1].response.output == second.output
        with pytest.raises(openai.NotFoundError):
            await door.responses.retrieve(gone.id)
        fork = await door.responses.create(model="writer", input="x", previous_response_id=first.id)
        assert len((await door.responses.input_items.list(fork.id)).data) == 3
