"""The encoder alone: the same events give the same stream, whatever attempts there were."""

from __future__ import annotations

from typing import Any

import pytest
from openai.types.responses import Response, ResponseStreamEvent
from pydantic import TypeAdapter

from turnwise.http.wires.responses.encoder import ResponseEncoder
from turnwise.http.wires.responses.ids import Mode, ResponseId
from turnwise.http.wires.responses.item_events import Wire
from turnwise.http.wires.responses.objects import response_object
from turnwise.http.wires.responses.output import ATTEMPT_STEP

EVENT: TypeAdapter[ResponseStreamEvent] = TypeAdapter(ResponseStreamEvent)
RID = ResponseId("s", "t", Mode.STORE | Mode.STREAM)
Event = dict[str, Any]


def encoder(part: int = 0, tools: tuple[str, ...] = ()) -> ResponseEncoder:
    base = response_object(RID, {"model": "m", "created_at": 1}, "in_progress")
    return ResponseEncoder(base, "t", part, tools)


def raw(kind: str, **fields: Any) -> Event:
    return {"type": "raw_response_event", "data": {"type": f"response.{kind}", **fields}}


def said(text: str, index: int = 0, item_id: str = "m1", *, done: bool = True) -> list[Event]:
    """A message in two deltas."""
    part = {"type": "output_text", "text": "", "annotations": []}
    item = {"id": item_id, "type": "message", "role": "assistant", "content": []}
    at = {"output_index": index, "content_index": 0, "item_id": item_id}
    half = len(text) // 2
    events = [
        raw("output_item.added", output_index=index, item=item | {"status": "in_progress"}),
        raw("content_part.added", part=part, **at),
        raw("output_text.delta", delta=text[:half], **at),
    ]
    if not done:
        return events
    whole = part | {"text": text}
    return [
        *events,
        raw("output_text.delta", delta=text[half:], **at),
        raw("output_text.done", text=text, **at),
        raw("content_part.done", part=whole, **at),
        raw("output_item.done", output_index=index, item=item | {"content": [whole]}),
    ]


def call_ended(*output: Any) -> Event:
    usage = {"input_tokens": 3, "output_tokens": 2}
    return raw("completed", response={"output": list(output), "usage": usage})


BEGUN: Event = {"type": "turn.begun", "attempt": 1}
CALL = raw("created", response={})
COMMITTED: Event = {"type": "turn.finished", "state": "committed"}


def attempt(number: int, *events: Event | list[Event]) -> list[tuple[str, Event]]:
    """The events of one attempt, with their ids."""
    flat: list[Event] = []
    for event in (BEGUN, *events):
        flat.extend(event if isinstance(event, list) else [event])
    return [(f"{number}-{place}", event) for place, event in enumerate(flat)]


def encoded(made: ResponseEncoder, *events: tuple[str, Event]) -> list[Wire]:
    wires = [made.created()]
    for event_id, event in events:
        wires += made.encode(event_id, event)
    numbers = [wire["sequence_number"] for wire in wires]
    assert numbers == sorted(set(numbers))
    for wire in wires:
        EVENT.validate_python(wire)
    Response.model_validate(made.response)
    return wires


def kinds(wires: list[Wire]) -> list[str]:
    return [wire["type"].removeprefix("response.") for wire in wires]


def shown(wires: list[Wire]) -> list[tuple[str, str]]:
    """What a client has at the end that puts texts together by their places: status and text."""
    items: dict[int, dict[str, Any]] = {}
    for wire in wires:
        if wire["type"] == "response.output_item.added":
            assert wire["output_index"] == len(items)
            items[wire["output_index"]] = {"text": "", "status": wire["item"].get("status")}
        elif wire["type"] == "response.output_text.delta":
            items[wire["output_index"]]["text"] += wire["delta"]
        elif wire["type"] == "response.output_item.done":
            items[wire["output_index"]]["status"] = wire["item"].get("status")
    return [(item["status"], item["text"]) for item in items.values()]


RESET = ("", {"type": "turn.reset"})


def test_a_turn_is_a_response() -> None:
    wires = encoded(encoder(), *attempt(1, CALL, said("hello you"), call_ended(), COMMITTED))
    assert kinds(wires) == [
        "created",
        "in_progress",
        "output_item.added",
        "content_part.added",
        "output_text.delta",
        "output_text.delta",
        "output_text.done",
        "content_part.done",
        "output_item.done",
        "completed",
    ]
    assert [wire["sequence_number"] for wire in wires] == list(range(10))
    response = wires[-1]["response"]
    assert response["output"][0]["content"][0]["text"] == "hello you"
    assert response["usage"]["total_tokens"] == 5
    assert response["status"] == "completed"


def test_a_model_that_does_not_stream_gives_the_same_items() -> None:
    item = said("hello you")[-1]["data"]["item"]
    wires = encoded(encoder(), *attempt(1, call_ended(item), COMMITTED))
    assert shown(wires) == [("completed", "hello you")]


def test_a_model_that_streams_text_only_gives_the_same_items() -> None:
    deltas = [event for event in said("hello you") if "delta" in event["data"]["type"]]
    item = said("hello you")[-1]["data"]["item"]
    wires = encoded(encoder(), *attempt(1, deltas, call_ended(item), COMMITTED))
    assert shown(wires) == [("completed", "hello you")]
    assert kinds(wires).count("content_part.done") == 1


def test_a_model_that_does_not_say_that_a_call_begins_gives_the_same_items() -> None:
    """Each call of it has the same places in its output."""
    tool = {"type": "function_call", "call_id": "c", "name": "f", "arguments": "{}", "id": "i"}
    deltas = [event for event in said("hello you") if "delta" in event["data"]["type"]]
    item = said("hello you")[-1]["data"]["item"]
    events = attempt(1, call_ended(tool), deltas, call_ended(item), COMMITTED)
    wires = encoded(encoder(), *events)
    assert shown(wires) == [("completed", "hello you")]
    assert [one["type"] for one in wires[-1]["response"]["output"]] == ["message"]


def test_void_text_is_ended_as_incomplete_and_new_text_is_a_new_item() -> None:
    first = attempt(1, CALL, said("half of it", done=False))
    second = attempt(2, CALL, said("all of it", item_id="m2"), call_ended(), COMMITTED)
    wires = encoded(encoder(), *first, RESET, *second)
    assert shown(wires) == [("incomplete", "half "), ("completed", "all of it")]
    assert [item["id"] for item in wires[-1]["response"]["output"]] == ["m2"]
    ends = [wire for wire in wires if wire["type"] == "response.output_text.done"]
    assert [wire["text"] for wire in ends] == ["half ", "all of it"]


def test_what_comes_again_as_it_was_is_told_once() -> None:
    step = [CALL, *said("the first"), call_ended()]
    first = attempt(1, step, CALL, said("half", item_id="m2", done=False))
    again = attempt(2, step, CALL, said("whole", item_id="m3"), call_ended(), COMMITTED)
    wires = encoded(encoder(), *first, RESET, *again)
    texts = ["the first", "ha", "whole"]
    assert [text for _, text in shown(wires)] == texts
    assert [status for status, _ in shown(wires)] == ["completed", "incomplete", "completed"]
    output = wires[-1]["response"]["output"]
    assert [item["id"] for item in output] == ["m1", "m3"]


@pytest.mark.parametrize("item_id", ["m9", "m1", "__fake_id__"])
def test_a_whole_item_that_comes_otherwise_is_void(item_id: str) -> None:
    first_id = "__fake_id__" if item_id == "__fake_id__" else "m1"
    first = attempt(1, CALL, said("the first", item_id=first_id))
    second = attempt(2, CALL, said("another", item_id=item_id), call_ended(), COMMITTED)
    wires = encoded(encoder(), *first, RESET, *second)
    assert shown(wires) == [("incomplete", "the first"), ("completed", "another")]
    ids = [wire["item"]["id"] for wire in wires if wire["type"] == "response.output_item.added"]
    assert len(set(ids)) == 2
    assert [item["id"] for item in wires[-1]["response"]["output"]] == ids[1:]


def test_a_replica_that_saw_only_the_last_attempt_numbers_it_alike() -> None:
    step = [CALL, *said("the first"), call_ended()]
    first = attempt(1, step, CALL, said("half", item_id="m2", done=False))
    second = attempt(2, step, CALL, said("whole", item_id="m3"), call_ended(), COMMITTED)
    followed = encoded(encoder(), *first, RESET, *second)
    late = encoded(encoder(), *second)
    assert shown(late) == [("completed", "the first"), ("completed", "whole")]
    assert late[-1]["response"] == followed[-1]["response"]
    seen = {wire["sequence_number"]: (wire["type"], wire.get("delta")) for wire in late}
    new = [wire for wire in followed if wire["sequence_number"] >= ATTEMPT_STEP + 1000]
    assert new
    for wire in new:
        assert seen[wire["sequence_number"]] == (wire["type"], wire.get("delta"))


def test_a_client_that_comes_back_after_a_takeover_gets_all_of_the_new_attempt() -> None:
    first = attempt(1, CALL, said("half of it", done=False))
    second = attempt(2, CALL, said("all of it", item_id="m2"), call_ended(), COMMITTED)
    last_seen = encoded(encoder(), *first)[-1]["sequence_number"]
    late = encoded(encoder(), *second)
    rest = [wire for wire in late if wire["sequence_number"] > last_seen]
    assert kinds(rest)[:2] == ["in_progress", "output_item.added"]
    assert rest[0]["response"]["output"] == []


def test_a_tool_of_the_server_is_told_with_its_output() -> None:
    call = {"id": "f1", "type": "function_call", "name": "look", "arguments": "{}", "call_id": "c"}
    output = {"type": "function_call_output", "call_id": "c", "output": "seen"}
    item = {"type": "tool_call_output_item", "agent": "m", "raw_item": output}
    ended: Event = {"type": "run_item_stream_event", "name": "tool_output", "item": item}
    wires = encoded(encoder(), *attempt(1, CALL, call_ended(call), ended, COMMITTED))
    assert "function_call" not in str(wires)
    found = wires[-1]["response"]["output"][0]
    assert (found["type"], found["name"], found["output"]) == ("mcp_call", "look", "seen")


def test_an_approval_ends_a_response_and_its_tool_is_part_of_the_next() -> None:
    call = {"id": "f1", "type": "function_call", "name": "pay", "arguments": "{}", "call_id": "c"}
    asked = {"id": "a", "tool_name": "pay", "arguments": "{}", "agent_name": "m", "call_id": "c"}
    parked: Event = {"type": "turn.parked", "approvals": [asked]}
    output = {"type": "function_call_output", "call_id": "c", "output": "paid"}
    item = {"type": "tool_call_output_item", "agent": "m", "raw_item": output}
    ended: Event = {"type": "run_item_stream_event", "name": "tool_output", "item": item}
    events = attempt(
        *(1, CALL, call_ended(call), parked, {"type": "turn.resumed"}, ended),
        *(CALL, said("done"), call_ended(), COMMITTED),
    )
    first = encoded(encoder(), *events)
    assert [item["type"] for item in first[-1]["response"]["output"]] == ["mcp_approval_request"]
    assert first[-1]["response"]["output"][0]["id"] == "mcpr_a"
    second = encoded(encoder(part=1), *events)
    output_items = second[-1]["response"]["output"]
    assert [item["type"] for item in output_items] == ["mcp_call", "message"]
    assert output_items[0]["approval_request_id"] == "mcpr_a"


def test_what_a_failed_resumption_said_is_void() -> None:
    asked = {"id": "a", "tool_name": "pay", "arguments": "{}", "agent_name": "m", "call_id": "c"}
    parked: Event = {"type": "turn.parked", "approvals": [asked]}
    events = attempt(
        *(1, parked, {"type": "turn.resumed"}, CALL, said("half of it", done=False)),
        *({"type": "turn.retry", "error": "OSError"}, {"type": "turn.resumed"}),
        *(CALL, said("all of it", item_id="m2"), call_ended(), COMMITTED),
    )
    wires = encoded(encoder(part=1), *events)
    assert shown(wires) == [("incomplete", "half "), ("completed", "all of it")]


@pytest.mark.parametrize(
    ("event", "last", "status"),
    [
        ({"type": "turn.finished", "state": "cancelled"}, "failed", "cancelled"),
        ({"type": "turn.finished", "state": "dead", "error": "E: no"}, "failed", "failed"),
        ({"type": "turn.stopped", "error": "E: no"}, "failed", "failed"),
        ({"type": "turn.parked", "approvals": []}, "failed", "failed"),
    ],
)
def test_a_turn_that_fails_or_is_cancelled(event: Event, last: str, status: str) -> None:
    wires = encoded(encoder(), *attempt(1, CALL, said("half", done=False), event))
    assert kinds(wires)[-1] == last
    response = wires[-1]["response"]
    assert (response["status"], response["output"]) == (status, [])
    assert (response["error"] is not None) == (status == "failed")


def test_an_answer_that_was_cut_short_is_incomplete() -> None:
    details = {"reason": "max_output_tokens"}
    cut = raw("incomplete", response={"output": [], "incomplete_details": details})
    wires = encoded(encoder(), *attempt(1, CALL, said("so far"), cut, COMMITTED))
    assert kinds(wires)[-1] == "incomplete"
    assert wires[-1]["response"]["incomplete_details"] == details


def test_ids_stand_for_turns() -> None:
    rid = ResponseId("session:ü/1", "turn 1", Mode.STORE | Mode.BACKGROUND, 3)
    assert ResponseId.parse(str(rid)) == rid
    assert str(rid).startswith("resp_")


@pytest.mark.parametrize("text", ["", "resp_", "resp_x", "msg_1", "resp_" + "a" * 60, "resp_ü"])
def test_what_is_no_id_is_not_found(text: str) -> None:
    with pytest.raises(Exception, match="not found"):
        ResponseId.parse(text)


def test_an_id_that_was_altered_is_not_found() -> None:
    text = str(RID)
    for place in range(5, len(text)):
        altered = text[:place] + ("A" if text[place] != "A" else "B") + text[place + 1 :]
        with pytest.raises(Exception, match="not found"):
            ResponseId.parse(altered)


DELTAS = [
    ("output_text.delta", "message", {"content_index": 0, "logprobs": []}),
    ("refusal.delta", "message", {"content_index": 0}),
    ("reasoning_text.delta", "reasoning", {"content_index": 0}),
    ("reasoning_summary_text.delta", "reasoning", {"summary_index": 0}),
]


@pytest.mark.parametrize(("kind", "item", "at"), DELTAS)
def test_a_part_that_the_model_did_not_begin_is_begun(kind: str, item: str, at: Event) -> None:
    begun = {"id": "i1", "type": item, "role": "assistant"}
    events = [
        raw("output_item.added", output_index=0, item=begun),
        *(raw(kind, delta=text, output_index=0, item_id="i1", **at) for text in ("one", " two")),
    ]
    made = encoder()
    wires = encoded(made, *attempt(1, CALL, events))
    added, *deltas = wires[-3:]
    assert added["type"].endswith("part.added")
    assert [delta["delta"] for delta in deltas] == ["one", " two"]
    shown = made.response["output"][0]
    parts = shown["summary"] if "summary_index" in at else shown["content"]
    assert next(parts[0][name] for name in ("text", "refusal") if name in parts[0]) == "one two"
