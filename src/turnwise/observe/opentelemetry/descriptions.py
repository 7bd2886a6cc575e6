"""Names and attributes of the SDK's spans, by their kind."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from agents.tracing import (
    AgentSpanData,
    CustomSpanData,
    FunctionSpanData,
    GenerationSpanData,
    GuardrailSpanData,
    HandoffSpanData,
    MCPListToolsSpanData,
    ResponseSpanData,
    SpanData,
    TaskSpanData,
    TurnSpanData,
)
from pydantic import BaseModel

from turnwise.observe.names import CALL_ID
from turnwise.observe.opentelemetry.providers import DEFAULT, provider_of

Attributes = dict[str, str | bool | int]
Described = tuple[str, Attributes]


def described(data: SpanData) -> Described:
    """A span's name and attributes, without content of the conversation."""
    describe = _DESCRIPTIONS.get(type(data))
    return (data.type, {}) if describe is None else describe(data)


def content_of(data: SpanData) -> dict[str, str]:
    """A span's input and output, as JSON."""
    match data:
        case GenerationSpanData():
            return _content(data.input, data.output)
        case ResponseSpanData():
            output = data.response.output if data.response is not None else None
            return _content(data.input, output)
        case FunctionSpanData():
            return _content(data.input, data.output)
        case CustomSpanData():
            return {"openai.agents.data": _json(data.data)}
    return {}


def _operation(operation: str, name: str, attribute: str) -> Described:
    attributes: Attributes = {"gen_ai.operation.name": operation}
    if name:
        attributes[attribute] = name
    return f"{operation} {name}".rstrip(), attributes


def _response(data: ResponseSpanData) -> Described:
    """Of the Responses API. The SDK does not say there which model was asked for."""
    response, usage = data.response, data.usage
    name, attributes = _operation(
        "chat", str(response.model) if response is not None else "", "gen_ai.response.model"
    )
    attributes["gen_ai.provider.name"] = DEFAULT
    if response is not None:
        attributes["gen_ai.response.id"] = response.id
        usage = usage or _plain(response.usage)
    return name, attributes | _usage(usage)


def _usage(usage: Any) -> Attributes:
    known = _dict(usage)
    given, made = (
        _dict(known.get("input_tokens_details")),
        _dict(known.get("output_tokens_details")),
    )
    counts = {
        "input_tokens": known.get("input_tokens"),
        "output_tokens": known.get("output_tokens"),
        "cache_read.input_tokens": given.get("cached_tokens"),
        "cache_creation.input_tokens": given.get("cache_write_tokens"),
        "reasoning.output_tokens": made.get("reasoning_tokens"),
    }
    return {f"gen_ai.usage.{name}": n for name, n in counts.items() if isinstance(n, int)}


def _dict(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _content(input: Any, output: Any) -> dict[str, str]:
    content = {"openai.agents.input": input, "openai.agents.output": output}
    return {name: _json(value) for name, value in content.items() if value is not None}


def _json(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, default=_plain)


def _plain(value: Any) -> Any:
    return value.model_dump(exclude_unset=True) if isinstance(value, BaseModel) else str(value)


def _agent(data: AgentSpanData) -> Described:
    return _operation("invoke_agent", data.name, "gen_ai.agent.name")


def _function(data: FunctionSpanData) -> Described:
    name, attributes = _operation("execute_tool", data.name, "gen_ai.tool.name")
    attributes["gen_ai.tool.type"] = "extension" if data.mcp_data else "function"
    if call_id := getattr(data, CALL_ID, None):
        attributes["gen_ai.tool.call.id"] = str(call_id)
    return name, attributes


def _generation(data: GenerationSpanData) -> Described:
    model = data.model or ""
    name, attributes = _operation("chat", model, "gen_ai.request.model")
    attributes["gen_ai.provider.name"] = provider_of(model, data.model_config or {})
    answered = _dict(data.output[0] if data.output else None).get("model")
    if isinstance(answered, str):
        attributes["gen_ai.response.model"] = answered
    return name, attributes | _usage(data.usage)


def _handoff(data: HandoffSpanData) -> Described:
    return "handoff", {
        "openai.agents.handoff.from": data.from_agent or "",
        "openai.agents.handoff.to": data.to_agent or "",
    }


def _guardrail(data: GuardrailSpanData) -> Described:
    return f"guardrail {data.name}", {"openai.agents.guardrail.triggered": data.triggered}


def _step(data: TurnSpanData) -> Described:
    """The SDK calls each round of its loop a turn."""
    return f"step {data.turn}", {"gen_ai.agent.name": data.agent_name}


_DESCRIPTIONS: dict[type[SpanData], Callable[[Any], Described]] = {
    AgentSpanData: _agent,
    CustomSpanData: lambda data: (data.name, {}),
    FunctionSpanData: _function,
    GenerationSpanData: _generation,
    GuardrailSpanData: _guardrail,
    HandoffSpanData: _handoff,
    MCPListToolsSpanData: lambda data: (f"list_tools {data.server or ''}".rstrip(), {}),
    ResponseSpanData: _response,
    TaskSpanData: lambda data: (f"run {data.name}", {}),
    TurnSpanData: _step,
}
