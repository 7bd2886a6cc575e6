"""The record of a committed turn: its stored form is frozen; what cannot be read is no record."""

from __future__ import annotations

import msgspec

from turnwise.codec import Zstd
from turnwise.journal_entries import ToolOutput
from turnwise.results.record import (
    ItemDetails,
    Record,
    RecordedItem,
    RecordedResponse,
    record_differs,
    unpack_record,
)
from turnwise.results.shared_strings import SharedStrings

RECORD = Record(
    version=1,
    starting_agent="desk",
    input_digest="0123456789ab",
    items=4,
    agents=["desk", "clerk"],
    last_agent=1,
    new_items=[
        RecordedItem("tool_call_item", 0, 1, ItemDetails()),
        RecordedItem(
            "tool_call_output_item",
            0,
            2,
            ItemDetails(is_dict=True, output=ToolOutput("json", {"n": 1})),
        ),
        RecordedItem("handoff_output_item", 0, -1, ItemDetails(raw={"a": 1}, source=0, target=1)),
    ],
    responses=[RecordedResponse("resp_1", None, {"requests": 1}, [0, {"type": "x"}])],
    usage={"requests": 2},
    final_output="text",
)
STORED = (
    b"\x9a\x01\xa4desk\xac0123456789ab\x04\x92\xa4desk\xa5"
    b"clerk\x01\x93\x94\xaetool_call_item\x00\x01\x80\x94\xb5"
    b"tool_call_output_item\x00\x02\x82\xa7is_"
    b"dict\xc3\xa6output\x82\xa4kind\xa4json\xa5valu"
    b"e\x81\xa1n\x01\x94\xb3handoff_output_item\x00\xff"
    b"\x83\xa3raw\x81\xa1a\x01\xa6source\x00\xa6target\x01\x91\x94\xa6"
    b"resp_1\xc0\x81\xa8requests\x01\x92\x00\x81\xa4type\xa1x"
    b"\x81\xa8requests\x02\xa4text"
)


def test_stored_bytes_are_frozen() -> None:
    assert msgspec.msgpack.encode(RECORD) == STORED
    assert unpack_record(STORED) == RECORD


def test_a_final_output_may_be_a_value() -> None:
    value = ToolOutput("structured", ["ToolOutputText", {"text": "x"}])
    record = msgspec.structs.replace(RECORD, final_output=value, usage=None)
    assert unpack_record(msgspec.msgpack.encode(record)) == record


def test_long_strings_of_the_items_are_stored_as_their_places() -> None:
    long, longer = "long " * 100, "longer" * 1000
    items = [{"content": [{"text": long}]}, {"output": f"It says: {longer}."}]
    value = {"a": [long, "short"], "b": {"c": longer}}
    shared = SharedStrings(items)
    record = msgspec.structs.replace(RECORD, final_output=ToolOutput("json", shared.without(value)))
    stored = msgspec.msgpack.encode(record)
    assert len(stored) < len(STORED) + 100
    found = unpack_record(stored, items)
    assert found is not None
    assert found.final_output == ToolOutput("json", value)
    assert unpack_record(stored, items[:1]) is None
    assert not record_differs(stored, ("desk", "0123456789ab"))


def test_a_compressed_record_is_read() -> None:
    stored = Zstd().shrink(STORED * 10)
    assert stored[:1] in (b"\x11", b"\x12")
    assert unpack_record(stored) is None  # more than one record
    assert unpack_record(Zstd().shrink(STORED)) == RECORD
    assert unpack_record(stored[:-1]) is None


def test_what_this_version_cannot_read_is_no_record() -> None:
    later = msgspec.structs.replace(RECORD, version=2)
    for payload in (b"", b"\x00", STORED[:-1], msgspec.msgpack.encode(later)):
        assert unpack_record(payload) is None
        assert not record_differs(payload, ("desk", "another"))


def test_another_agent_or_input_is_another_turn() -> None:
    assert not record_differs(STORED, ("desk", "0123456789ab"))
    assert record_differs(STORED, ("clerk", "0123456789ab"))
    assert record_differs(STORED, ("desk", "ba9876543210"))
