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
    Rewritten,
    record_differs,
    unpack_record,
)
from turnwise.results.shared_strings import SharedStrings

RECORD = Record(
    version=1,
    starting_agent="desk",
    input_digest="0123456789ab",
    items=4,
    agents=["desk", ("desk", 1)],
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
    responses=[RecordedResponse("resp_1", None, {"requests": 1}, [0, {"type": "x"}], {"n": 1})],
    usage={"requests": 2},
    final_output="text",
    rewritten=Rewritten([{"role": "user"}], [0], [{"a": 1}, 2]),
    metadata={"k": "v"},
    parked=2,
)
STORED = (
    b"\x9d\x01\xa4desk\xac0123456789ab\x04\x92\xa4desk\x92\xa4desk\x01\x01\x93\x94\xaetool_c"
    b"all_item\x00\x01\x80\x94\xb5tool_call_output_item\x00\x02\x82\xa7is_dic"
    b"t\xc3\xa6output\x82\xa4kind\xa4json\xa5value\x81\xa1n\x01\x94\xb3handoff_outp"
    b"ut_item\x00\xff\x83\xa3raw\x81\xa1a\x01\xa6source\x00\xa6target\x01\x91\x95\xa6resp_1\xc0"
    b"\x81\xa8requests\x01\x92\x00\x81\xa4type\xa1x\x81\xa1n\x01\x81\xa8requests\x02\xa4text\x93\x91\x81"
    b"\xa4role\xa4user\x91\x00\x92\x81\xa1a\x01\x02\x81\xa1k\xa1v\x02"
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
    stored = Zstd().compress(STORED * 10)
    assert stored[:1] in (b"\x11", b"\x12")
    assert unpack_record(stored) is None  # more than one record
    assert unpack_record(Zstd().compress(STORED)) == RECORD
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
