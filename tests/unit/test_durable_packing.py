"""What is packed for the journal comes out as it was."""

from __future__ import annotations

import json
from typing import Any

import pytest
from agents import (
    AgentsException,
    FunctionTool,
    ModelResponse,
    ToolOutputFileContent,
    ToolOutputImage,
    ToolOutputText,
    Usage,
    function_tool,
)
from agents.testing import assistant_message, function_call
from agents.tool import ShellCallOutcome, ShellCommandOutput, ShellResult
from hypothesis import given
from hypothesis import strategies as st
from openai.types.responses import (
    ResponseCustomToolCall,
    ResponseFileSearchToolCall,
    ResponseOutputMessage,
    ResponseOutputRefusal,
    ResponseReasoningItem,
)
from openai.types.responses.response_reasoning_item import Summary
from pydantic import BaseModel

from turnwise.codec import Codec
from turnwise.durable.agents_exceptions import as_agents_exception
from turnwise.durable.digests import input_digest, input_shape
from turnwise.durable.responses import pack_response, pack_usage, unpack_response, unpack_usage
from turnwise.durable.stream_events import response_events
from turnwise.durable.tool_outputs import pack_error, pack_output, unpack_error, unpack_output
from turnwise.errors import LeaseLost, ReplayMismatch, StoreUnavailable, TurnwiseError
from turnwise.journal_entries import (
    Entry,
    Raised,
    ResponseEntry,
    Returned,
    StoredResponse,
    ToolEndedEntry,
    ToolOutcome,
    ToolOutput,
    decode_entries,
    encode_entry,
)

CODEC = Codec()


def stored(output: ToolOutput) -> ToolOutput:
    """What a tool returned, after a journal kept it."""
    outcome = journaled(Returned(output=output))
    assert isinstance(outcome, Returned)
    return outcome.output


def journaled(outcome: ToolOutcome) -> ToolOutcome:
    entry = through_store(ToolEndedEntry(run=("a", "digest", 0), call="1.c", outcome=outcome))
    assert isinstance(entry, ToolEndedEntry)
    return entry.outcome


def stored_response(response: StoredResponse) -> StoredResponse:
    entry = through_store(
        ResponseEntry(
            run=("a", "digest", 0), number=0, agent="a", tools=[], input="shape", response=response
        )
    )
    assert isinstance(entry, ResponseEntry)
    return entry.response


def through_store(entry: Entry) -> Entry:
    (again,) = decode_entries(CODEC, [encode_entry(CODEC, entry)])
    return again


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=20,
)


@given(JSON)
def test_json_values_are_exact(value: Any) -> None:
    again = unpack_output(stored(pack_output(value, None, None)))
    assert repr(again) == repr(value)


@pytest.mark.parametrize(
    "value",
    [
        ToolOutputText(text="x"),
        ToolOutputImage(file_id="f", detail="high"),
        [ToolOutputText(text="x"), ToolOutputFileContent(file_url="u")],
        ShellResult([ShellCommandOutput("a", "b", ShellCallOutcome("timeout"))], 3, {"x": 1}),
    ],
)
def test_structured_outputs_are_exact(value: Any) -> None:
    assert unpack_output(stored(pack_output(value, None, None))) == value


class Text(str):
    __slots__ = ()

    def __str__(self) -> str:
        return "shown"


class City(BaseModel):
    name: str


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (("a", 1), "('a', 1)"),
        ({1: "a"}, "{1: 'a'}"),
        (b"raw", "b'raw'"),
        (Text("kept"), "kept"),
        (City(name="Oslo"), "name='Oslo'"),
        ([City(name="Oslo")], "[City(name='Oslo')]"),
    ],
)
def test_other_values_are_what_the_model_saw(value: Any, text: str) -> None:
    tool: FunctionTool = function_tool(lambda: value, name_override="t")
    call: Any = function_call("t", "{}", call_id="c")
    assert unpack_output(stored(pack_output(value, tool, call))) == text


def test_a_typed_output_is_the_json_that_the_model_saw() -> None:
    tool = function_tool(lambda: City(name="Oslo"), name_override="t", output_type=City)
    call: Any = function_call("t", "{}", call_id="c")
    packed = pack_output(City(name="Oslo"), tool, call)
    assert json.loads(unpack_output(stored(packed))) == {"name": "Oslo"}


def test_errors_read_the_same() -> None:
    for error in (ValueError("no"), AgentsException("no")):
        raised = journaled(pack_error(error))
        assert isinstance(raised, Raised)
        again = unpack_error(raised)
        assert (type(again).__name__, str(again)) == (type(error).__name__, "no")
        assert isinstance(again, AgentsException) == isinstance(error, AgentsException)


def refusal() -> Any:
    part = ResponseOutputRefusal(refusal="no", type="refusal")
    return ResponseOutputMessage(
        id="m", content=[part], role="assistant", status="completed", type="message"
    )


OUTPUTS: list[list[Any]] = [
    [],
    [assistant_message("hello")],
    [function_call("one", '{"a": 1}', call_id="c1"), function_call("two", "{}", call_id="c2")],
    [
        ResponseReasoningItem(
            id="rs",
            summary=[Summary(text="because", type="summary_text")],
            type="reasoning",
            encrypted_content="x" * 50,
        ),
        assistant_message("hello"),
    ],
    [ResponseCustomToolCall(call_id="c", input="in", name="t", type="custom_tool_call")],
    [
        ResponseFileSearchToolCall(
            id="f", queries=["q"], status="completed", type="file_search_call"
        )
    ],
    [refusal()],
]


@pytest.mark.parametrize("output", OUTPUTS)
def test_responses_are_exact(output: list[Any]) -> None:
    usage = Usage(requests=1, input_tokens=2, output_tokens=3, total_tokens=5)
    response = ModelResponse(output, usage, "resp_1", "req_1", {"prompt_tokens": 2})
    again = unpack_response(stored_response(pack_response(response)))
    assert again == response
    assert [type(item) for item in again.output] == [type(item) for item in output]


def test_output_that_is_no_object_of_the_sdk_stays_plain() -> None:
    item: Any = {"type": "tool_search_call", "id": "x", "unknown": {"y": [1]}}
    response = ModelResponse([], Usage(), None)
    response.output.append(item)
    assert unpack_response(stored_response(pack_response(response))).output == [item]


def test_unknown_fields_of_responses_are_kept() -> None:
    item: Any = assistant_message("hello")
    item.added_later = {"x": 1}
    (again,) = unpack_response(
        stored_response(pack_response(ModelResponse([item], Usage(), None)))
    ).output
    assert again == item


@pytest.mark.parametrize("output", OUTPUTS)
def test_events_tell_the_whole_response(output: list[Any]) -> None:
    usage = Usage(requests=1, input_tokens=2, output_tokens=3, total_tokens=5)
    response = ModelResponse(output, usage, "resp_1", "req_1")
    events: list[Any] = list(response_events(stored_response(pack_response(response))))
    assert [event.sequence_number for event in events] == list(range(len(events)))
    kinds = [event.type for event in events]
    assert kinds[:2] == ["response.created", "response.in_progress"]
    assert kinds[-1] == "response.completed"
    assert events[-1].response.output == output
    assert events[-1].response.id == "resp_1"
    done = [event.item for event in events if event.type == "response.output_item.done"]
    assert done == output
    added = [event for event in events if event.type == "response.output_item.added"]
    assert [event.output_index for event in added] == list(range(len(output)))


def test_events_have_the_text_in_one_piece() -> None:
    output: list[Any] = [assistant_message("hello"), function_call("t", '{"a": 1}', call_id="c")]
    events: list[Any] = list(response_events(pack_response(ModelResponse(output, Usage(), "r"))))
    by_kind = {event.type: event for event in events}
    assert by_kind["response.output_text.delta"].delta == "hello"
    assert by_kind["response.output_text.done"].text == "hello"
    assert by_kind["response.content_part.added"].part.text == ""
    assert by_kind["response.function_call_arguments.delta"].delta == '{"a": 1}'
    assert by_kind["response.function_call_arguments.done"].name == "t"


USAGES = st.builds(
    Usage,
    requests=st.integers(0, 5),
    input_tokens=st.integers(0, 10**6),
    output_tokens=st.integers(0, 10**6),
    total_tokens=st.integers(0, 10**6),
)


@given(USAGES)
def test_usage_is_exact(usage: Usage) -> None:
    total = Usage()
    total.add(usage)
    for used in (usage, total):
        assert unpack_usage(CODEC.decode(CODEC.encode(pack_usage(used)))) == used


@pytest.mark.parametrize(
    "error",
    [
        LeaseLost("gone", session_id="s"),
        StoreUnavailable("down", session_id="s"),
        ReplayMismatch("no", session_id="s", tools=["t"]),
    ],
)
def test_our_errors_pass_as_what_they_are(error: TurnwiseError) -> None:
    kind = type(error)
    passed = as_agents_exception(error)
    assert passed is error
    assert isinstance(passed, kind)
    assert isinstance(passed, AgentsException)
    assert as_agents_exception(passed) is error
    assert type(passed).__name__ == kind.__name__
    assert passed.session_id == "s"


def test_a_shape_is_of_kinds_and_ids_only() -> None:
    call = {"type": "function_call", "call_id": "c", "name": "t", "arguments": "{}"}
    said = {"role": "user", "content": "a"}
    assert input_shape([said, call]) == input_shape(
        [{**said, "content": "b"}, {**call, "arguments": "[]"}]
    )
    assert input_shape([said, call]) != input_shape([call, said])
    assert input_shape([call]) != input_shape([{**call, "call_id": "d"}])
    assert input_shape([said]) != input_shape([{**said, "role": "system"}])
    assert input_shape([said] * 100) != input_shape([said] * 101)


def test_digests_tell_inputs_apart() -> None:
    assert input_digest("a") != input_digest("b")
    assert input_digest([{"a": 1, "b": 2}]) == input_digest([{"b": 2, "a": 1}])
    assert input_digest([{"content": "é\ud800"}]) == input_digest([{"content": "é\ud800"}])
    assert input_digest("a") != input_digest([{"role": "user", "content": "a"}])
