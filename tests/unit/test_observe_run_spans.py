"""One trace for each turn: its span, and in it the SDK's spans of its run."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest
from agents import (
    Agent,
    GuardrailFunctionOutput,
    RunConfig,
    UserError,
    function_tool,
    input_guardrail,
    trace,
)
from agents.testing import ScriptedModel, assistant_message, function_call
from agents.tracing import custom_span, gen_trace_id
from opentelemetry import context as otel_context
from opentelemetry.trace import StatusCode, get_tracer

from tests.unit.spans import Exported, attributes, sdk_tracing
from turnwise import MemorySession, Runner
from turnwise.hooks import (
    TurnBegunEvent,
    TurnLostEvent,
)
from turnwise.observe.opentelemetry import RunSpans, TurnSpans, sdk_trace_id

SECRET = "nobody's business"


@pytest.fixture
def exported() -> Exported:
    return Exported()


@pytest.fixture(autouse=True)
def tracing(exported: Exported) -> Iterator[None]:
    with sdk_tracing(RunSpans(exported.provider)):
        yield
    assert otel_context.get_current() == {}


@pytest.fixture
def session(exported: Exported) -> MemorySession:
    return MemorySession(hooks=(TurnSpans(exported.provider),))


@function_tool
async def look_up(order: str) -> str:
    """Look up an order."""
    with get_tracer("application", tracer_provider=_provider()).start_as_current_span("query"):
        return SECRET


def _provider() -> Any:
    """That of the tool's own span: whoever is around."""
    return otel_context.get_value("provider")


@input_guardrail
async def polite(*_: Any) -> GuardrailFunctionOutput:
    return GuardrailFunctionOutput(output_info=None, tripwire_triggered=False)


def model(*steps: Any) -> ScriptedModel:
    """One that makes spans as those of providers do."""
    return ScriptedModel(list(steps), emit_traces=True)


def desk() -> Agent[Any]:
    """An agent that calls a tool, then hands over to another one."""
    clerk: Agent[Any] = Agent(name="clerk", model=model([assistant_message(SECRET)]))
    steps = model(
        [function_call("look_up", '{"order": "7"}', call_id="call_1")],
        [function_call("transfer_to_clerk", "{}", call_id="call_2")],
    )
    return Agent(
        name="desk",
        model=steps,
        tools=[look_up],
        handoffs=[clerk],
        input_guardrails=[polite],
    )


@pytest.mark.parametrize("streamed", [False, True], ids=["run", "stream"])
async def test_a_run_with_a_tool_and_a_handoff_is_one_trace(
    session: MemorySession, exported: Exported, streamed: bool
) -> None:
    token = otel_context.attach(otel_context.set_value("provider", exported.provider))
    try:
        if streamed:
            result = Runner.run_streamed(desk(), SECRET, session=session, session_id="user-1")
            async for _ in result.stream_events():
                pass
        else:
            await Runner.run(desk(), SECRET, session=session, session_id="user-1")
    finally:
        otel_context.detach(token)
    assert len(exported.traces) == 1
    assert sorted(exported.names) == sorted(
        [
            "turn",
            "run Agent workflow",
            "invoke_agent desk",
            "step 1",
            "guardrail polite",
            "chat",
            "execute_tool look_up",
            "query",
            "step 2",
            "chat",
            "handoff",
            "invoke_agent clerk",
            "step 3",
            "chat",
        ]
    )
    turn = exported.one("turn")
    agents = [exported.one("invoke_agent desk"), exported.one("invoke_agent clerk")]
    around = ["run Agent workflow", "turn"] if streamed else ["turn", "run Agent workflow"]
    assert [exported.path(agent) for agent in agents] == [
        [*around, "invoke_agent desk"],
        [*around, "invoke_agent clerk"],
    ]
    desk_path = [*around, "invoke_agent desk"]
    tool = [*desk_path, "step 1", "execute_tool look_up"]
    assert exported.path(exported.one("execute_tool look_up")) == tool
    assert exported.path(exported.one("query")) == [*tool, "query"]
    assert exported.path(exported.one("handoff")) == [*desk_path, "step 2", "handoff"]
    found = attributes(turn)
    assert (found["turnwise.session_id"], found["turnwise.outcome"]) == ("user-1", "committed")
    assert found["turnwise.items"] == len(await session.bind("user-1").get_items())
    assert SECRET not in repr([span.to_json() for span in exported.spans])


async def test_streamed_or_not_every_model_call_is_in_its_step(
    session: MemorySession, exported: Exported
) -> None:
    result = Runner.run_streamed(desk(), "hi", session=session, session_id="user-1")
    async for _ in result.stream_events():
        pass
    parents = [exported.path(span)[-2] for span in exported.spans if span.name == "chat"]
    assert parents == ["step 1", "step 2", "step 3"]


async def test_content_on_request(session: MemorySession, exported: Exported) -> None:
    with sdk_tracing(RunSpans(exported.provider, content=True)):
        await Runner.run(desk(), "where is it?", session=session, session_id="user-1")
    tool = attributes(exported.one("execute_tool look_up"))
    assert tool["openai.agents.input"] == '{"order": "7"}'
    assert tool["openai.agents.output"] == SECRET


async def test_an_error_in_a_tool_is_not_recorded_in_full(
    session: MemorySession, exported: Exported
) -> None:
    @function_tool(failure_error_function=None)
    async def fails() -> str:
        raise ValueError(SECRET)

    script = model([function_call("fails", "{}", call_id="call_1")])
    desk: Agent[Any] = Agent(name="desk", model=script, tools=[fails])
    with pytest.raises(UserError, match=SECRET):
        await Runner.run(desk, "hi", session=session, session_id="user-1")
    assert exported.one("execute_tool fails").status.status_code is StatusCode.ERROR
    turn = exported.one("turn")
    assert turn.status.status_code is StatusCode.ERROR
    assert attributes(turn)["error.type"] == "UserError"
    assert attributes(turn)["turnwise.outcome"] == "rolled_back"
    assert SECRET not in repr([span.to_json() for span in exported.spans])


async def test_a_turn_has_the_id_of_the_sdk_trace_around_it(
    session: MemorySession, exported: Exported
) -> None:
    trace_id = gen_trace_id()
    with trace("support", trace_id=trace_id):
        for _ in range(2):
            await Runner.run(desk(), "hi", session=session, session_id="user-1")
    assert [f"trace_{number:032x}" for number in exported.traces] == [trace_id]
    assert exported.names.count("turn") == 2
    found = {attributes(span).get("openai.agents.trace_id") for span in exported.spans}
    assert found == {None, trace_id}


async def test_without_the_processor_too(session: MemorySession, exported: Exported) -> None:
    trace_id = gen_trace_id()
    with sdk_tracing(), trace("support", trace_id=trace_id):
        async with session.turn("user-1"):
            pass
    assert exported.names == ["turn"]
    assert [f"trace_{number:032x}" for number in exported.traces] == [trace_id]


async def test_a_trace_id_of_the_applications_own(
    session: MemorySession, exported: Exported
) -> None:
    for _ in range(2):
        with trace("support", trace_id="trace_mine"):
            async with session.turn("user-1"):
                pass
    assert len(exported.traces) == 1


async def test_a_span_of_the_application_is_the_parent(
    session: MemorySession, exported: Exported
) -> None:
    tracer = get_tracer("application", tracer_provider=exported.provider)
    with tracer.start_as_current_span("request"):
        config = RunConfig(trace_id=sdk_trace_id())
        await Runner.run(desk(), "hi", session=session, session_id="user-1", run_config=config)
        assert attributes(exported.one("invoke_agent desk"))["openai.agents.trace_id"] == (
            sdk_trace_id()
        )
    assert exported.path(exported.one("turn")) == ["request", "turn"]
    assert len(exported.traces) == 1
    assert sdk_trace_id() is None


async def test_a_span_of_the_sdk_is_the_parent(session: MemorySession, exported: Exported) -> None:
    with trace("support"), custom_span("triage", {"secret": SECRET}):
        await Runner.run(desk(), "hi", session=session, session_id="user-1")
    path = ["triage", "turn", "run Agent workflow", "invoke_agent desk"]
    assert exported.path(exported.one("invoke_agent desk")) == path


async def test_runs_outside_of_turns_and_disabled_tracing(exported: Exported) -> None:
    trace_id = gen_trace_id()
    await Runner.run(desk(), "hi", run_config=RunConfig(trace_id=trace_id))
    assert [f"trace_{number:032x}" for number in exported.traces] == [trace_id]
    known = len(exported.spans)
    session = MemorySession(hooks=(TurnSpans(exported.provider),))
    quiet = RunConfig(tracing_disabled=True)
    await Runner.run(desk(), "hi", session=session, session_id="user-1", run_config=quiet)
    assert exported.names[known:] == ["turn"]


async def test_turns_at_the_same_time_keep_apart(
    session: MemorySession, exported: Exported
) -> None:
    ids = [f"user-{number}" for number in range(5)]
    await asyncio.gather(
        *(Runner.run(desk(), "hi", session=session, session_id=session_id) for session_id in ids)
    )
    assert len(exported.traces) == len(ids)
    for turn in [span for span in exported.spans if span.name == "turn"]:
        same = [s for s in exported.spans if s.context.trace_id == turn.context.trace_id]
        assert sum(span.name == "invoke_agent clerk" for span in same) == 1


async def test_a_span_that_ends_out_of_order(exported: Exported) -> None:
    with trace("support"):
        first, second = custom_span("first"), custom_span("second")
        first.start()
        second.start()
        first.finish()
        with custom_span("third"):
            second.finish()
        assert otel_context.get_current() == {}
    assert [exported.path(exported.one(n)) for n in ("first", "second", "third")] == [
        ["first"],
        ["second"],
        ["third"],
    ]
    assert len(exported.traces) == 1


async def test_a_span_that_ends_in_another_task(exported: Exported) -> None:
    async def finish(span: Any) -> None:
        span.finish()

    with trace("support"), custom_span("around"):
        span = custom_span("elsewhere")
        span.start(mark_as_current=False)
        await asyncio.create_task(finish(span))
        with custom_span("after"):
            pass
    assert exported.path(exported.one("after")) == ["around", "after"]


async def test_a_turn_that_ends_in_another_task(exported: Exported) -> None:
    spans = TurnSpans(exported.provider)

    async def end() -> None:
        spans(TurnLostEvent("s", "t", reason="LeaseLost", seconds=1.0))

    tracer = get_tracer("application", tracer_provider=exported.provider)
    with tracer.start_as_current_span("request"), trace("support"):
        spans(TurnBegunEvent("s", "t", 1, items=0, waited=0.0, reloaded=False))
        with custom_span("in"):
            pass
        await asyncio.create_task(end())
        with custom_span("after"):
            pass
    assert exported.path(exported.one("in")) == ["request", "turn", "in"]
    assert exported.path(exported.one("after")) == ["request", "after"]


async def test_the_text_of_an_error_is_content(exported: Exported) -> None:
    for content in (False, True):
        with (
            sdk_tracing(RunSpans(exported.provider, content=content)),
            trace("support"),
            custom_span("work", {"secret": 1}) as span,
        ):
            span.set_error({"message": SECRET, "data": None})
    assert [span.status.description for span in exported.spans] == [None, SECRET]
    assert [attributes(span).get("openai.agents.data") for span in exported.spans] == [
        None,
        '{"secret": 1}',
    ]


async def test_nothing_is_kept_of_what_has_ended(exported: Exported) -> None:
    runs, turns = RunSpans(exported.provider), TurnSpans(exported.provider)
    session = MemorySession(hooks=(turns,))
    with sdk_tracing(runs):
        result = Runner.run_streamed(desk(), "hi", session=session, session_id="user-1")
        assert any([bool(runs._bases) async for _ in result.stream_events()])
    assert (runs._bases, runs._open, turns._open) == ({}, {}, {})
