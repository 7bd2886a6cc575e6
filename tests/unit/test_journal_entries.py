"""The stored form of a journal's entries is frozen: each test here guards data that is kept."""

from __future__ import annotations

from typing import Any, get_args

import pytest

from turnwise.codec import Codec, DecodeError, EncodeError
from turnwise.errors import UndecodableJournal
from turnwise.journal_entries import (
    AttemptFailedEntry,
    Cancelled,
    DecidedEntry,
    Entry,
    ParkedEntry,
    Raised,
    ResponseEntry,
    RestartedEntry,
    Returned,
    StoredResponse,
    TimedOut,
    ToolEndedEntry,
    ToolOutput,
    ToolStartedEntry,
    decode_entries,
    encode_entry,
    read_journal,
    read_parked,
)
from turnwise.types import PendingApproval

CODEC = Codec(compression=False)
RUN = ("desk", "0123456789ab", 0)
INNER = (*RUN, "1.call_a", "clerk", "ba9876543210", 1)

SNAPSHOTS: list[tuple[Entry, bytes]] = [
    (
        ResponseEntry(
            run=RUN,
            number=0,
            agent="desk",
            tools=["look_up"],
            input="aabbccddeeff",
            response=StoredResponse(output=[{"type": "message"}], usage={}),
        ),
        (
            b'{"entry":"response","run":["desk","0123456789ab",0],"number":0,"agent":"desk",'
            b'"tools":["look_up"],"input":"aabbccddeeff",'
            b'"response":{"output":[{"type":"message"}],"usage":{}}}'
        ),
    ),
    (
        ResponseEntry(
            run=INNER,
            number=2,
            agent="clerk",
            tools=[],
            input="aabbccddeeff",
            response=StoredResponse(
                output=[{"type": "x"}],
                usage={"requests": 1},
                dicts=[0],
                response_id="resp_1",
                request_id="req_1",
                raw_usage={"prompt_tokens": 3},
                model="gpt",
            ),
        ),
        (
            b'{"entry":"response","run":["desk","0123456789ab",0,"1.call_a","clerk","ba9876543210",1],'
            b'"number":2,"agent":"clerk","tools":[],"input":"aabbccddeeff",'
            b'"response":{"output":[{"type":"x"}],"usage":{"requests":1},"dicts":[0],'
            b'"response_id":"resp_1","request_id":"req_1","raw_usage":{"prompt_tokens":3},'
            b'"model":"gpt"}}'
        ),
    ),
    (
        ToolStartedEntry(run=RUN, call="1.call_a", tool="look_up"),
        (
            b'{"entry":"tool_started","run":["desk","0123456789ab",0],"call":"1.call_a",'
            b'"tool":"look_up"}'
        ),
    ),
    (
        ToolStartedEntry(run=RUN, call="1.call_a", tool="look_up", repeatable=True),
        (
            b'{"entry":"tool_started","run":["desk","0123456789ab",0],"call":"1.call_a",'
            b'"tool":"look_up","repeatable":true}'
        ),
    ),
    (
        ToolEndedEntry(
            run=RUN, call="1.call_a", outcome=Returned(output=ToolOutput("json", False))
        ),
        (
            b'{"entry":"tool_ended","run":["desk","0123456789ab",0],"call":"1.call_a",'
            b'"outcome":{"how":"returned","output":{"kind":"json","value":false}}}'
        ),
    ),
    (
        ToolEndedEntry(
            run=RUN,
            call="1.call_a",
            outcome=Returned(
                output=ToolOutput("structured", ["ToolOutputText", {"text": "é"}]),
                is_error_text=True,
                usage={"requests": 2},
            ),
        ),
        (
            b'{"entry":"tool_ended","run":["desk","0123456789ab",0],"call":"1.call_a",'
            b'"outcome":{"how":"returned","output":{"kind":"structured",'
            b'"value":["ToolOutputText",{"text":"\xc3\xa9"}]},"is_error_text":true,'
            b'"usage":{"requests":2}}}'
        ),
    ),
    (
        ToolEndedEntry(
            run=RUN,
            call="1.call_a",
            outcome=Raised(error="ValueError", message="no", from_sdk=True),
        ),
        (
            b'{"entry":"tool_ended","run":["desk","0123456789ab",0],"call":"1.call_a",'
            b'"outcome":{"how":"raised","error":"ValueError","message":"no","from_sdk":true}}'
        ),
    ),
    (
        ToolEndedEntry(run=RUN, call="1.call_a", outcome=TimedOut()),
        (
            b'{"entry":"tool_ended","run":["desk","0123456789ab",0],"call":"1.call_a",'
            b'"outcome":{"how":"timed_out"}}'
        ),
    ),
    (
        ToolEndedEntry(run=RUN, call="1.call_a", outcome=Cancelled()),
        (
            b'{"entry":"tool_ended","run":["desk","0123456789ab",0],"call":"1.call_a",'
            b'"outcome":{"how":"cancelled"}}'
        ),
    ),
    (AttemptFailedEntry(), b'{"entry":"attempt_failed"}'),
    (AttemptFailedEntry(ask_again=True), b'{"entry":"attempt_failed","ask_again":true}'),
    (RestartedEntry(RUN), b'{"entry":"restarted","run":["desk","0123456789ab",0]}'),
    (
        ParkedEntry(
            approvals=[PendingApproval("id", "pay", "{}", "desk", "call_a", "t")],
            kept=4,
            items=[{"role": "user", "content": "pay"}],
            began=("desk", "0123456789ab"),
            state={"$schemaVersion": "1.21"},
            context_type="Wallet",
            expires_at=1700000000.5,
            event=(2, 17),
        ),
        (
            b'{"entry":"parked","approvals":[{"id":"id","tool_name":"pay","arguments":"{}",'
            b'"agent_name":"desk","call_id":"call_a","turn_id":"t"}],"kept":4,'
            b'"items":[{"role":"user","content":"pay"}],"began":["desk","0123456789ab"],'
            b'"state":{"$schemaVersion":"1.21"},"context_type":"Wallet","expires_at":1700000000.5,'
            b'"event":[2,17]}'
        ),
    ),
    (
        DecidedEntry(approve=["a"], reject={"b": None, "c": "no"}),
        b'{"entry":"decided","approve":["a"],"reject":{"b":null,"c":"no"}}',
    ),
]


@pytest.mark.parametrize(("entry", "stored"), SNAPSHOTS)
def test_stored_bytes_are_frozen(entry: Entry, stored: bytes) -> None:
    assert encode_entry(CODEC, entry) == stored
    assert decode_entries(CODEC, [stored]) == [entry]


def test_every_kind_of_entry_has_a_snapshot() -> None:
    assert {type(entry) for entry, _ in SNAPSHOTS} == set(get_args(Entry))


def test_a_journal_comes_back_in_order() -> None:
    entries = [entry for entry, _ in SNAPSHOTS]
    codec = Codec()
    assert decode_entries(codec, [encode_entry(codec, entry) for entry in entries]) == entries


@pytest.mark.parametrize(
    "value",
    [None, False, 0, "", "\ud800", 2**70, float("inf"), [], {}, {"value": None}, [[[1]]]],
)
def test_tool_outputs_are_exact(value: Any) -> None:
    entry = ToolEndedEntry(run=RUN, call="1.c", outcome=Returned(output=ToolOutput("json", value)))
    (again,) = decode_entries(CODEC, [encode_entry(CODEC, entry)])
    assert repr(again) == repr(entry)


@pytest.mark.parametrize(
    "later",
    [
        b'{"entry":"rewound"}',
        b"{}",
        b'{"entry":"attempt_failed","why":"x"}',
        b'{"entry":"restarted"}',
        b'{"entry":"restarted","run":"desk"}',
        b'{"entry":"tool_ended","run":[],"call":"c","outcome":{"how":"vanished"}}',
        (
            b'{"entry":"tool_ended","run":[],"call":"c",'
            b'"outcome":{"how":"returned","output":{"kind":"video","value":1}}}'
        ),
    ],
)
def test_what_a_newer_version_wrote_is_refused(later: bytes) -> None:
    known = b'{"entry":"attempt_failed"}'
    with pytest.raises(DecodeError, match=r"element 1: .*newer version of Turnwise") as caught:
        decode_entries(CODEC, [known, later])
    assert caught.value.index == 1


def test_a_damaged_entry_is_named() -> None:
    with pytest.raises(DecodeError) as caught:
        decode_entries(CODEC, [b'{"entry":"attempt_failed"}', b'{"entry":'])
    assert caught.value.index == 1


def test_an_undecodable_journal_names_the_turn_and_the_element() -> None:
    for stored in (b'{"entry":"rewound"}', b"\x13 of a newer version"):
        for read in (read_journal, read_parked):
            with pytest.raises(
                UndecodableJournal, match=r"'t'.*\(element 1: (?!element)"
            ) as caught:
                read(CODEC, "s", "t", [b'{"entry":"attempt_failed"}', stored])
            assert (caught.value.session_id, caught.value.turn_id) == ("s", "t")


def test_entries_before_the_last_parked_one_are_not_decoded() -> None:
    (parked, of_parked), *_ = [one for one in SNAPSHOTS if isinstance(one[0], ParkedEntry)]
    decided, of_decided = SNAPSHOTS[-1]
    stored = [of_parked, b"\x13 of a newer version", of_parked, of_decided]
    assert read_parked(CODEC, "s", "t", stored) == [parked, decided]
    assert read_parked(CODEC, "s", "t", [b'{"entry":"attempt_failed"}']) == []
    assert read_parked(CODEC, "s", "t", []) == []


def test_what_is_not_json_is_refused_when_it_is_written() -> None:
    response = StoredResponse(output=[{"at": object()}], usage={})
    entry = ResponseEntry(run=RUN, number=0, agent="a", tools=[], input="", response=response)
    with pytest.raises(EncodeError, match=r"item\['response'\]\['output'\]\[0\]\['at'\]"):
        encode_entry(CODEC, entry)
