"""Events of real runs as AG-UI's events."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pytest
from ag_ui.core import BaseEvent, UserMessage
from agents.items import TResponseOutputItem

from tests.http.recorded import (
    RESET,
    Events,
    agent,
    forecast,
    recorded,
    recorded_approval,
    with_approvals,
)
from tests.http.speaking import call, text, thought
from tests.scripted import Script
from turnwise.http.wires.ag_ui_events import (
    RECONNECT,
    EventEncoder,
    interrupt_id,
    split_interrupt_id,
)

ASKED = UserMessage(id="asked", role="user", content="go")
Sent = list[dict[str, Any]]


def encoder(held: Iterable[str] | None = None, version: str | None = "1.0.0") -> EventEncoder:
    return EventEncoder("thread", "run", "t", [ASKED], held=held, version=version)


def encoded(events: Events, made: EventEncoder | None = None) -> Sent:
    made = made or encoder()
    found: list[BaseEvent] = made.start()
    for event_id, event in events:
        if not made.is_over:
            found += made.encode(event_id, event)
    return [each.model_dump(by_alias=True, exclude_none=True, mode="json") for each in found]


def outline(sent: Sent) -> list[str]:
    """Each event in a word or two, texts as a whole."""
    words: list[str] = []
    for event in sent:
        kind = event["type"].lower()
        if "delta" not in event:
            named = event.get("toolCallId") or event.get("messageId") or event.get("stepName", "")
            words.append(f"{kind} {named}".strip())
        elif words[-1].startswith(f"{kind}: "):
            words[-1] += event["delta"]
        else:
            words.append(f"{kind}: {event['delta']}")
    return words


def shown(sent: Sent) -> dict[str, Any]:
    """What a client shows at the end: texts and calls by their ids."""
    found: dict[str, Any] = {"asked": "go"}
    for event in sent:
        kind = event["type"]
        if kind == "MESSAGES_SNAPSHOT":
            thoughts = {name: said for name, said in found.items() if name.startswith("thought ")}
            named = {_named(message): message.get("content") for message in event["messages"]}
            found = thoughts | named
        elif kind == "REASONING_MESSAGE_CONTENT":
            _grow(found, f"thought {event['messageId']}", event["delta"])
        elif kind == "TEXT_MESSAGE_CONTENT":
            _grow(found, event["messageId"], event["delta"])
        elif kind == "TOOL_CALL_ARGS":
            _grow(found, f"call {event['toolCallId']}", event["delta"])
        elif kind == "TOOL_CALL_RESULT":
            found[event["messageId"]] = event["content"]
    return {name: said for name, said in found.items() if said}


def _named(message: Any) -> str:
    return f"thought {message['id']}" if message["role"] == "reasoning" else str(message["id"])


def _grow(found: dict[str, Any], name: str, delta: str) -> None:
    found[name] = found.get(name, "") + delta


async def test_an_answer_in_pieces() -> None:
    message = {"messageId": "t-text-1"}
    assert encoded(await recorded(agent([text("It is sunny.")]))) == [
        {"type": "RUN_STARTED", "threadId": "thread", "runId": "run"},
        {"type": "STEP_STARTED", "stepName": "step 1"},
        {"type": "TEXT_MESSAGE_START", "role": "assistant", **message},
        {"type": "TEXT_MESSAGE_CONTENT", "delta": "It", **message},
        {"type": "TEXT_MESSAGE_CONTENT", "delta": " is", **message},
        {"type": "TEXT_MESSAGE_CONTENT", "delta": " sunny.", **message},
        {"type": "TEXT_MESSAGE_END", **message},
        {"type": "STEP_FINISHED", "stepName": "step 1"},
        {
            "type": "RUN_FINISHED",
            "threadId": "thread",
            "runId": "run",
            "outcome": {"type": "success"},
        },
    ]


async def test_each_response_of_a_model_is_a_step_with_what_its_tools_return() -> None:
    sent = encoded(await recorded(forecast()))
    assert outline(sent) == [
        "run_started",
        "step_started step 1",
        "reasoning_start t-reasoning-1",
        "reasoning_message_start t-reasoning-1",
        "reasoning_message_content: where is it",
        "reasoning_message_end t-reasoning-1",
        "reasoning_end t-reasoning-1",
        "text_message_start t-text-2",
        "text_message_content: Let me see.",
        "text_message_end t-text-2",
        "tool_call_start c1",
        'tool_call_args: {"city": "Oslo"}',
        "tool_call_end c1",
        "tool_call_result c1",
        "step_finished step 1",
        "step_started step 2",
        "tool_call_start c2",
        'tool_call_args: {"city": "Bergen"}',
        "tool_call_end c2",
        "tool_call_start c3",
        'tool_call_args: {"city": "Bod\\u00f8"}',
        "tool_call_end c3",
        "tool_call_result c2",
        "tool_call_result c3",
        "step_finished step 2",
        "step_started step 3",
        "text_message_start t-text-3",
        "text_message_content: It is sunny.",
        "text_message_end t-text-3",
        "step_finished step 3",
        "run_finished",
    ]
    parents = [event.get("parentMessageId") for event in sent if event["type"] == "TOOL_CALL_START"]
    assert parents == ["t-text-2", None, None]


async def test_a_model_that_does_not_stream_and_a_turn_without_events_give_the_same() -> None:
    replies: list[list[TResponseOutputItem]] = [
        [thought("hm"), text("So."), call("weather", "c1", city="Oslo")],
        [text("Sunny.")],
    ]
    streamed = shown(encoded(await recorded(agent(*replies))))
    assert len(streamed) == 6
    whole = agent()
    whole.model = Script(*replies)
    assert shown(encoded(await recorded(whole))) == streamed
    items = [
        {"type": "reasoning", "summary": [{"type": "summary_text", "text": "hm"}]},
        text("So.").model_dump(),
        call("weather", "c1", city="Oslo").model_dump(),
        {"type": "function_call_output", "call_id": "c1", "output": "sunny in Oslo"},
        text("Sunny.").model_dump(),
    ]
    assert shown(encoded([("", {"type": "turn.items", "items": items})])) == streamed


@pytest.mark.parametrize("last", ["It rains.", "It rains. Often.", "It is dry."])
async def test_no_void_text_stays(last: str) -> None:
    """Wherever the worker dies, and whatever the next one says."""
    dead, next_one = await recorded(forecast("It rains.")), await recorded(forecast(last))
    clean = shown(encoded(next_one))
    for cut in range(len(dead)):
        sent = encoded([*dead[:cut], *RESET, *next_one])
        assert shown(sent) == clean, cut
        has_said = len(encoded(dead[:cut])) > 1
        snapshots = [event for event in sent if event["type"] == "MESSAGES_SNAPSHOT"]
        assert len(snapshots) == int(has_said), cut
        begun = [event["stepName"] for event in sent if event["type"] == "STEP_STARTED"]
        ended = [event["stepName"] for event in sent if event["type"] == "STEP_FINISHED"]
        assert begun == ended, cut


async def test_a_call_that_is_void_is_ended() -> None:
    first = await recorded(agent([call("weather", "c1", city="Oslo")], [text("Sunny.")]))
    kinds = [event.get("data", {}).get("type") for _, event in first]
    begun = kinds.index("response.function_call_arguments.delta")
    other = await recorded(agent([text("I do not know.")]))
    words = outline(encoded([*first[: begun + 1], *RESET, *other]))
    ended = words.index("tool_call_end c1")
    assert words[ended : ended + 3] == [
        *("tool_call_end c1", "step_finished step 1", "messages_snapshot")
    ]


async def test_a_parked_turn_ends_its_run_with_interrupts() -> None:
    calls = [call("refund", "c1", order="A-1"), call("refund", "c2", order="A-2")]
    events, asked = await recorded_approval(agent(calls, [text("Done.")]))
    finished = encoded(with_approvals(events, asked))[-1]
    outcome = finished["outcome"]
    assert (finished["type"], outcome["type"]) == ("RUN_FINISHED", "interrupt")
    assert [each["toolCallId"] for each in outcome["interrupts"]] == ["c1", "c2"]
    parked = with_approvals(events, asked)[-1][0]
    names = [split_interrupt_id(each["id"]) for each in outcome["interrupts"]]
    assert names == [(one.id, parked, one.turn_id) for one in asked]


def test_what_is_no_interrupt_s_id() -> None:
    assert split_interrupt_id("one.two") is None


async def test_a_turn_s_id_with_dots_in_it() -> None:
    _, asked = await recorded_approval(agent([call("refund", "c1", order="A")], [text("No.")]))
    made = interrupt_id(asked[0], "1-3").replace(asked[0].turn_id, "a.b.c")
    assert split_interrupt_id(made) == (asked[0].id, "1-3", "a.b.c")


async def approved() -> tuple[Events, int]:
    """A turn that went on after an approval, and the place behind which it did."""
    events, asked = await recorded_approval(
        agent([call("refund", "c1", order="A-1")], [text("Done.")])
    )
    return events, len(with_approvals(events, asked))


async def test_after_approvals_only_what_follows_is_sent() -> None:
    events, parked = await approved()
    words = outline(encoded(events[parked:], encoder(held=["c1"])))
    assert words == [
        "run_started",
        "tool_call_result c1",
        "step_started step 1",
        "text_message_start t-text-1",
        "text_message_content: Done.",
        "text_message_end t-text-1",
        "step_finished step 1",
        "run_finished",
    ]


async def test_who_followed_from_the_beginning_sees_all_of_it_once() -> None:
    events, parked = await approved()
    clean = shown(encoded(events))
    assert [said for said in clean.values() if said.startswith(("refunded", "Done"))] == [
        *("refunded A-1", "Done.")
    ]
    for cut in range(parked, len(events)):  # a resume that failed is void
        again = [*events[:cut], *events[parked:]]
        sent = encoded(again)
        assert shown(sent) == clean or sent[-1]["code"] == RECONNECT.code, cut


async def test_what_is_void_behind_an_approval_asks_the_client_to_connect_again() -> None:
    events, parked = await approved()
    sent = encoded([*RESET, *events], encoder(held=["c1"]))
    assert [event["type"] for event in sent] == ["RUN_STARTED", "RUN_ERROR"]
    assert sent[-1]["code"] == RECONNECT.code
    told = encoded([*events[parked:-1], *events[parked:]], encoder(held=["c1"]))
    assert told[-1]["code"] == RECONNECT.code


@pytest.mark.parametrize(
    ("event", "version", "last"),
    [
        (
            {"type": "turn.finished", "state": "cancelled"},
            "1.0.0",
            {"type": "RUN_FINISHED", "outcome": {"type": "cancelled"}},
        ),
        (
            {"type": "turn.finished", "state": "cancelled"},
            None,
            {"type": "RUN_ERROR", "code": "cancelled"},
        ),
        (
            {"type": "turn.finished", "state": "dead", "error": "OSError: a secret"},
            "1.0.0",
            {"type": "RUN_ERROR", "code": "OSError", "message": "The turn failed."},
        ),
        (
            {"type": "turn.stopped", "error": "OSError: a secret"},
            "1.0.0",
            {"type": "RUN_ERROR", "code": "OSError", "message": "The turn failed."},
        ),
    ],
)
async def test_how_a_turn_ends_otherwise(event: Any, version: str | None, last: Any) -> None:
    events = await recorded(agent([text("It is sunny.")]))
    made = encoder(version=version)
    sent = encoded([*events[:-1], ("1-99", event), *events], made)
    assert last.items() <= sent[-1].items()
    assert made.is_over
    assert "secret" not in str(sent)


async def test_the_same_events_give_the_same_on_any_replica() -> None:
    events = [*await recorded(forecast()), *RESET, *await recorded(forecast("It is dry."))]
    assert encoded(events) == encoded(events)
