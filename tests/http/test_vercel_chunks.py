"""Events of real runs as chunks of the AI SDK's UI message stream."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import pytest
from agents import Agent
from agents.items import TResponseOutputItem

from tests.http.recorded import (
    RESET,
    Events,
    agent,
    forecast,
    recorded,
    recorded_approval,
    researcher,
    with_approvals,
)
from tests.http.speaking import call, text, thought
from tests.scripted import Script
from turnwise.http.wires.vercel_chunks import RESUME, ChunkEncoder

Chunks = list[dict[str, Any]]

REPLIES: list[list[TResponseOutputItem]] = [
    [thought("hm"), text("So."), call("weather", "c1", city="Oslo")],
    [text("Sunny.")],
]


def encoded(events: Events, ai_sdk: Any = 6, held: Iterable[str] | None = None) -> Chunks:
    encoder = ChunkEncoder("t", ai_sdk=ai_sdk, held=held)
    chunks = encoder.start()
    for event_id, event in events:
        if not encoder.is_over:
            chunks += encoder.encode(event_id, event)
    return chunks


def outline(chunks: Chunks) -> list[str]:
    """Each chunk in a word or two, texts as a whole."""
    words: list[str] = []
    for chunk in chunks:
        kind, said = chunk["type"], chunk.get("delta", chunk.get("inputTextDelta"))
        if said is None:
            named = chunk.get("toolCallId", chunk.get("id", ""))
            words.append(f"{kind} {named}".strip())
        elif words[-1].startswith(f"{kind}: "):
            words[-1] += said
        else:
            words.append(f"{kind}: {said}")
    return words


async def test_an_answer_in_pieces() -> None:
    chunks = encoded(await recorded(agent([text("It is sunny.")])))
    assert chunks == [
        {"type": "start", "messageId": "answer-t"},
        {"type": "start-step"},
        {"type": "text-start", "id": "text-1"},
        {"type": "text-delta", "id": "text-1", "delta": "It"},
        {"type": "text-delta", "id": "text-1", "delta": " is"},
        {"type": "text-delta", "id": "text-1", "delta": " sunny."},
        {"type": "text-end", "id": "text-1"},
        {"type": "finish-step"},
        {"type": "finish", "finishReason": "stop"},
    ]


async def test_each_response_of_a_model_is_a_step_with_what_its_tools_return() -> None:
    chunks = encoded(await recorded(forecast()))
    assert outline(chunks) == [
        "start",
        "start-step",
        "reasoning-start reasoning-1",
        "reasoning-delta: where is it",
        "reasoning-end reasoning-1",
        "text-start text-2",
        "text-delta: Let me see.",
        "text-end text-2",
        "tool-input-start c1",
        'tool-input-delta: {"city": "Oslo"}',
        "tool-input-available c1",
        "tool-output-available c1",
        "finish-step",
        "start-step",
        "tool-input-start c2",
        'tool-input-delta: {"city": "Bergen"}',
        "tool-input-available c2",
        "tool-input-start c3",
        'tool-input-delta: {"city": "Bod\\u00f8"}',
        "tool-input-available c3",
        "tool-output-available c2",
        "tool-output-available c3",
        "finish-step",
        "start-step",
        "text-start text-3",
        "text-delta: It is sunny.",
        "text-end text-3",
        "finish-step",
        "finish",
    ]
    available = [chunk for chunk in chunks if chunk["type"] == "tool-input-available"]
    assert available[0]["input"] == {"city": "Oslo"}
    output = [chunk["output"] for chunk in chunks if chunk["type"] == "tool-output-available"]
    assert output == ["sunny in Oslo", "sunny in Bergen", "sunny in Bodø"]


async def test_a_model_that_does_not_stream_gives_the_same_message() -> None:
    streamed = encoded(await recorded(agent(*REPLIES)))
    whole = agent()
    whole.model = Script(*REPLIES)
    assert _without_pieces(encoded(await recorded(whole))) == _without_pieces(streamed)


def _without_pieces(chunks: Chunks) -> list[str]:
    return [word for word in outline(chunks) if not word.startswith("tool-input-delta")]


async def test_a_turn_without_events_gives_its_items() -> None:
    items = [
        {"type": "reasoning", "summary": [{"type": "summary_text", "text": "hm"}]},
        text("So.").model_dump(),
        call("weather", "c1", city="Oslo").model_dump(),
        {"type": "function_call_output", "call_id": "c1", "output": "sunny"},
        text("Sunny.").model_dump(),
    ]
    end: Events = [("", {"type": "turn.items", "items": items})]
    end.append(("", {"type": "turn.finished", "state": "committed"}))
    streamed = encoded(await recorded(agent(*REPLIES)))
    assert _without_pieces(encoded(end)) == _without_pieces(streamed)


async def test_what_the_provider_runs_shows_and_cites() -> None:
    chunks = encoded(await recorded(researcher()))
    hosted = [chunk for chunk in chunks if "toolCallId" in chunk]
    assert all(chunk["providerExecuted"] for chunk in hosted)
    assert [word for word in outline(chunks) if not word.startswith("text")] == [
        *("start", "start-step"),
        *(
            f"tool-{what} {call_id}"
            for call_id in ("ws_1", "ci_1", "mcp_1")
            for what in ("input-start", "input-available", "output-available")
        ),
        *(
            "tool-input-start ig_1",
            "tool-input-available ig_1",
            "file",
            "tool-output-available ig_1",
        ),
        *("source-url", "source-url", "finish-step", "finish"),
    ]
    outputs = {each["toolCallId"]: each["output"] for each in hosted if "output" in each}
    assert outputs["mcp_1"] == {"output": "a leap year"}
    assert outputs["ig_1"] == outputs["ws_1"] == {"status": "completed"}
    (file,) = (chunk for chunk in chunks if chunk["type"] == "file")
    assert (file["url"], file["mediaType"]) == ("data:image/png;base64,aGk=", "image/png")
    sources = [chunk for chunk in chunks if chunk["type"] == "source-url"]
    assert [(each["url"], each["title"]) for each in sources] == [
        ("https://example.com/a", "on https://example.com/a"),
        ("https://example.com/b", "on https://example.com/b"),
    ]
    assert len({each["sourceId"] for each in sources}) == 2


@pytest.mark.parametrize("made", [forecast, researcher])
@pytest.mark.parametrize("ai_sdk", [5, 6, 7])
async def test_what_a_takeover_repeats_is_not_sent_again(
    ai_sdk: int, made: Callable[[], Agent[Any]]
) -> None:
    """The worker died at any point; the next one says the same."""
    events = await recorded(made())
    clean = outline(encoded(events, ai_sdk))
    for cut in range(len(events)):
        again = encoded([*events[:cut], *RESET, *events], ai_sdk)
        assert outline(again) == clean, cut


@pytest.mark.parametrize("ai_sdk", [5, 6])
async def test_void_text_ends_the_stream_where_the_client_cannot_drop_it(ai_sdk: int) -> None:
    dead, next_one = await recorded(forecast("It rains.")), await recorded(forecast("It is dry."))
    clean = outline(encoded(next_one, ai_sdk))
    ended = 0
    for cut in range(len(dead)):
        chunks = encoded([*dead[:cut], *RESET, *next_one], ai_sdk)
        shown = "It rains" in "".join(chunk.get("delta", "") for chunk in chunks)
        if chunks[-1] == {"type": "error", "errorText": RESUME}:
            ended += 1
            assert shown or cut == len(dead) - 1, cut
        else:
            assert outline(chunks) == clean, cut
            assert not shown
    assert ended


async def test_void_text_is_dropped_with_its_step_where_the_client_can() -> None:
    dead, next_one = await recorded(forecast("It rains.")), await recorded(forecast("It is dry."))
    cut = len(dead) - 1
    chunks = encoded([*dead[:cut], *RESET, *next_one], 7)
    words = outline(chunks)
    step = len(words) - words[::-1].index("start-step")
    assert words[step:] == [
        "text-start text-3",
        "text-delta: It rains.",
        "text-end text-3",
        "reset-step",
        "text-start text-3",
        "text-delta: It is dry.",
        "text-end text-3",
        "finish-step",
        "finish",
    ]


async def test_a_call_that_is_void_is_closed_for_version_5() -> None:
    """It keeps a message with an open call when it resumes, and would show everything twice."""
    first = await recorded(agent([call("weather", "c1", city="Oslo")], [text("Sunny.")]))
    begun = next(
        number
        for number, (_, event) in enumerate(first)
        if event.get("data", {}).get("type") == "response.function_call_arguments.delta"
    )
    other = await recorded(agent([text("I do not know.")]))
    kinds = [chunk["type"] for chunk in encoded([*first[: begun + 1], *RESET, *other], 5)]
    assert kinds[-2:] == ["tool-input-error", "error"]


@pytest.mark.parametrize(("ai_sdk", "kind"), [(5, "data-approval"), (6, "tool-approval-request")])
async def test_a_parked_turn_asks_and_finishes(ai_sdk: int, kind: str) -> None:
    calls = [call("refund", "c1", order="A-1"), call("refund", "c2", order="A-2")]
    events, asked = await recorded_approval(agent(calls, [text("Done.")]))
    chunks = encoded(with_approvals(events, asked), ai_sdk)
    requests = [chunk for chunk in chunks if chunk["type"] == kind]
    assert len(requests) == 2
    assert chunks[-1] == {"type": "finish", "finishReason": "tool-calls"}
    if ai_sdk == 5:
        assert requests[0]["data"]["input"] == {"order": "A-1"}
    else:
        assert [chunk["toolCallId"] for chunk in requests] == ["c1", "c2"]


async def test_after_approvals_only_what_follows_is_sent() -> None:
    events, asked = await recorded_approval(
        agent([call("refund", "c1", order="A-1")], [text("Done.")])
    )
    parked = len(with_approvals(events, asked))
    assert outline(encoded(events[parked:], 6, held=["c1"])) == [
        "start",
        "tool-output-available c1",
        "start-step",
        "text-start text-1",
        "text-delta: Done.",
        "text-end text-1",
        "finish-step",
        "finish",
    ]


async def test_a_resume_that_failed_is_void() -> None:
    events, asked = await recorded_approval(
        agent([call("refund", "c1", order="A-1")], [text("Done.")])
    )
    parked = len(with_approvals(events, asked))
    clean = outline(encoded(events))
    for cut in range(parked, len(events)):
        assert outline(encoded([*events[:cut], *events[parked:]])) == clean, cut


async def test_a_reset_behind_an_approval_asks_the_client_to_resume() -> None:
    events, _ = await recorded_approval(agent([call("refund", "c1", order="A-1")], [text("No.")]))
    chunks = encoded([*RESET, *events], 7, held=["c1"])
    assert chunks[1:] == [{"type": "error", "errorText": RESUME}]


@pytest.mark.parametrize(
    ("event", "last"),
    [
        ({"type": "turn.finished", "state": "cancelled"}, {"type": "abort"}),
        (
            {"type": "turn.finished", "state": "dead", "error": "OSError: a secret"},
            {"type": "error", "errorText": "The turn failed (OSError)."},
        ),
        (
            {"type": "turn.stopped", "error": "OSError: a secret"},
            {"type": "error", "errorText": "The turn failed (OSError)."},
        ),
    ],
)
async def test_how_a_turn_ends_otherwise(event: dict[str, Any], last: dict[str, Any]) -> None:
    events = await recorded(agent([text("It is sunny.")]))
    assert encoded([*events[:-1], ("1-99", event)])[-1] == last


async def test_a_call_id_that_is_used_again_is_a_part_of_its_own() -> None:
    """Some models do that."""
    one = call("weather", "c", city="Oslo").model_dump()
    output = {"type": "function_call_output", "call_id": "c", "output": "sunny"}
    items = [one, output, one, {**output, "output": "rainy"}]
    words = outline(encoded([("", {"type": "turn.items", "items": items})]))
    assert words[1:] == [
        *("start-step", "tool-input-start c", "tool-input-available c"),
        *("tool-output-available c", "finish-step"),
        *("start-step", "tool-input-start c", "tool-input-available c"),
        "tool-output-available c",
    ]
