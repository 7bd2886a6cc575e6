"""Attributes and metrics of the SDK's runs are those of the conventions for generative AI."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest
from agents import Agent, UserError, function_tool, trace
from agents.testing import ScriptedModel, assistant_message, function_call
from agents.tracing import generation_span, response_span
from openai.types.responses import Response
from opentelemetry.sdk.trace import ReadableSpan

from tests.unit.spans import Exported, attributes, sdk_tracing
from turnwise import MemorySession, Runner, repeatable
from turnwise.observe.opentelemetry import RunSpans

USAGE = {
    "requests": 1,
    "input_tokens": 1000,
    "output_tokens": 200,
    "total_tokens": 1200,
    "input_tokens_details": {"cached_tokens": 800, "cache_write_tokens": 100},
    "output_tokens_details": {"reasoning_tokens": 150},
}
TOKENS = {
    "gen_ai.usage.input_tokens": 1000,
    "gen_ai.usage.output_tokens": 200,
    "gen_ai.usage.cache_read.input_tokens": 800,
    "gen_ai.usage.cache_creation.input_tokens": 100,
    "gen_ai.usage.reasoning.output_tokens": 150,
}
RESPONSE: dict[str, Any] = {
    "id": "resp_1",
    "object": "response",
    "created_at": 0,
    "model": "gpt-5-2025-08-07",
    "output": [],
    "parallel_tool_calls": False,
    "tool_choice": "auto",
    "tools": [],
}


@pytest.fixture
def exported() -> Iterator[Exported]:
    exported = Exported()
    with sdk_tracing(RunSpans(exported.provider, meter_provider=exported.meters)):
        yield exported


@function_tool
async def look_up(order: str) -> str:
    """Look up an order."""
    return order


@function_tool(failure_error_function=None)
async def fails() -> str:
    """Fail."""
    raise ValueError("no")


def waiting(begun: asyncio.Event) -> Any:
    """A tool whose first call does not end."""

    @repeatable
    @function_tool
    async def waits() -> str:
        if not begun.is_set():
            begun.set()
            await asyncio.Event().wait()
        return "over"

    return waits


def desk(*calls: Any) -> Agent[Any]:
    steps = [[call] for call in calls]
    model = ScriptedModel([*steps, [assistant_message("done")]], emit_traces=True)
    return Agent(name="desk", model=model, tools=[look_up, fails])


def seconds(span: ReadableSpan) -> float:
    assert span.end_time is not None
    assert span.start_time is not None
    return (span.end_time - span.start_time) / 1e9


def test_a_call_of_chat_completions(exported: Exported) -> None:
    config = {"base_url": "https://api.mistral.ai/v1/"}
    with trace("run"), generation_span(model="large", model_config=config) as span:
        span.span_data.usage = USAGE
        span.span_data.output = [{"model": "large-2411", "output": []}]
    assert (
        attributes(exported.one("chat large")).items()
        >= {
            "gen_ai.operation.name": "chat",
            "gen_ai.provider.name": "mistral_ai",
            "gen_ai.request.model": "large",
            "gen_ai.response.model": "large-2411",
            **TOKENS,
        }.items()
    )


def test_a_call_of_the_responses_api(exported: Exported) -> None:
    with trace("run"), response_span() as span:
        span.span_data.response = Response.model_validate(RESPONSE)
        span.span_data.usage = USAGE
    found = attributes(exported.one("chat gpt-5-2025-08-07"))
    assert (
        found.items()
        >= {
            "gen_ai.operation.name": "chat",
            "gen_ai.provider.name": "openai",
            "gen_ai.response.model": "gpt-5-2025-08-07",
            "gen_ai.response.id": "resp_1",
            **TOKENS,
        }.items()
    )
    assert "gen_ai.request.model" not in found  # nobody has told


def test_tokens_are_told_of_a_response_that_is_kept_out_of_traces(exported: Exported) -> None:
    with trace("run"), response_span() as span:
        span.span_data.usage = USAGE
    assert attributes(exported.one("chat")).items() >= TOKENS.items()


@pytest.mark.parametrize(
    ("model", "config", "provider"),
    [
        ("gpt-5", {}, "openai"),
        ("gpt-5", {"base_url": "https://api.openai.com/v1/"}, "openai"),
        ("mine", {"base_url": "https://inference.example/v1"}, "openai"),
        ("mine", {"base_url": "https://[broken"}, "openai"),
        ("gpt", {"base_url": "https://shop.openai.azure.com/openai/"}, "azure.ai.openai"),
        ("gpt", {"base_url": "https://notopenai.azure.com.example/"}, "openai"),
        ("m", {"base_url": "https://bedrock.eu-west-1.amazonaws.com/"}, "aws.bedrock"),
        ("anthropic/claude", {"base_url": "", "model_impl": "litellm"}, "anthropic"),
        ("gemini/pro", {"base_url": "", "model_impl": "litellm"}, "gcp.gemini"),
        ("pro", {"provider": "mistral", "model_impl": "any-llm"}, "mistral_ai"),
        ("pro", {"provider": "own-farm", "model_impl": "any-llm"}, "own-farm"),
    ],
)
def test_providers(exported: Exported, model: str, config: dict[str, Any], provider: str) -> None:
    with trace("run"), generation_span(model=model, model_config=config):
        pass
    assert attributes(exported.one(f"chat {model}"))["gen_ai.provider.name"] == provider


async def test_tools_have_the_model_s_id_of_their_call(exported: Exported) -> None:
    calls = [
        function_call("look_up", '{"order": "7"}', call_id=f"call_{number}") for number in range(2)
    ]
    await Runner.run(desk(*calls), "hi", session=MemorySession(), session_id="s")
    tools = [attributes(span) for span in exported.spans if span.name == "execute_tool look_up"]
    assert [tool["gen_ai.tool.call.id"] for tool in tools] == ["call_0", "call_1"]
    for tool in tools:
        assert (
            tool.items()
            >= {
                "gen_ai.operation.name": "execute_tool",
                "gen_ai.tool.name": "look_up",
                "gen_ai.tool.type": "function",
                "gen_ai.agent.name": "desk",
            }.items()
        )


async def test_a_replayed_tool_has_its_id_too(exported: Exported) -> None:
    session, begun, agents = MemorySession(), asyncio.Event(), list[Agent[Any]]()
    for _ in range(2):  # a sender that goes away in the second tool, and comes back
        calls = [("look_up", '{"order": "7"}', "call_1"), ("waits", "{}", "call_2")]
        agents.append(desk(*(function_call(name, text, call_id=i) for name, text, i in calls)))
        agents[-1].tools.append(waiting(begun))
    names: dict[str, Any] = {"session": session, "session_id": "s", "turn_id": "t"}
    sent = asyncio.create_task(Runner.run(agents[0], "hi", **names))
    await begun.wait()
    sent.cancel()
    await asyncio.wait([sent])
    await Runner.run(agents[1], "hi", **names)
    tools = [attributes(span) for span in exported.spans if span.name == "execute_tool look_up"]
    assert [tool["gen_ai.tool.call.id"] for tool in tools] == ["call_1", "call_1"]


async def test_durations_of_agents_and_tools(exported: Exported) -> None:
    call = function_call("look_up", '{"order": "7"}', call_id="call_1")
    await Runner.run(desk(call), "hi", session=MemorySession(), session_id="s")
    (agent,) = exported.measured("gen_ai.invoke_agent.duration")
    assert dict(agent.attributes or {}) == {"gen_ai.agent.name": "desk"}
    assert (agent.count, agent.sum) == (1, seconds(exported.one("invoke_agent desk")))
    assert agent.explicit_bounds[:3] == pytest.approx((0.1, 0.2, 0.4))
    assert agent.explicit_bounds[-1] == pytest.approx(409.6)
    (tool,) = exported.measured("gen_ai.execute_tool.duration")
    assert dict(tool.attributes or {}) == {
        "gen_ai.agent.name": "desk",
        "gen_ai.tool.name": "look_up",
        "gen_ai.tool.type": "function",
    }
    assert (tool.count, tool.sum) == (1, seconds(exported.one("execute_tool look_up")))
    assert tool.explicit_bounds[-1] == pytest.approx(81.92)


async def test_what_fails_has_an_error_s_type(exported: Exported) -> None:
    call = function_call("fails", "{}", call_id="call_1")
    with pytest.raises(UserError):
        await Runner.run(desk(call), "hi", session=MemorySession(), session_id="s")
    (tool,) = exported.measured("gen_ai.execute_tool.duration")
    assert (tool.attributes or {})["error.type"] == "UserError"
    assert attributes(exported.one("execute_tool fails"))["error.type"] == "UserError"


async def test_a_run_without_a_turn_is_measured_too(exported: Exported) -> None:
    call = function_call("look_up", '{"order": "7"}', call_id="call_1")
    await Runner.run(desk(call), "hi")
    assert len(exported.measured("gen_ai.execute_tool.duration")) == 1
    assert "gen_ai.tool.call.id" not in attributes(exported.one("execute_tool look_up"))
