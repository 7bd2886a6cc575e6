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
    response = data.response
    if response is None:
        return _operation("chat", "", "")
    name, attributes = _operation("chat", str(response.model), "gen_ai.request.model")
    attributes["gen_ai.response.id"] = response.id
    return name, attributes | _usage(data.usage or _plain(response.usage))


def _usage(usage: Any) -> Attributes:
    known = usage if isinstance(usage, dict) else {}
    counts = {f"gen_ai.usage.{kind}": known.get(kind) for kind in ("input_tokens", "output_tokens")}
    return {name: count for name, count in counts.items() if isinstance(count, int)}


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
    return _operation("execute_tool", data.name, "gen_ai.tool.name")


def _generation(data: GenerationSpanData) -> Described:
    name, attributes = _operation("chat", data.model or "", "gen_ai.request.model")
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
