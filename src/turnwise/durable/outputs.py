"""What a tool gave back, as JSON: a value, a ToolOutput, an error, or the text the model saw."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from agents import (
    AgentsException,
    FunctionTool,
    ItemHelpers,
    ToolOutputFileContent,
    ToolOutputImage,
    ToolOutputText,
)
from agents.tool import ShellCallOutcome, ShellCommandOutput, ShellResult

from turnwise.durable import sdk

Packed = dict[str, Any]
_STRUCTURED = {
    kind.__name__: kind for kind in (ToolOutputText, ToolOutputImage, ToolOutputFileContent)
}
_SCALARS = frozenset({str, int, float, bool, type(None)})


def packed_value(value: Any, tool: object, call: Any) -> Packed:
    """`value` exactly if it is of JSON's types or a ToolOutput; else as the model sees it."""
    if _is_json(value):
        return {"value": value}
    if type(value) in (list, tuple) and value and all(map(_is_structured, value)):
        return {"parts": [_structured(part) for part in value]}
    if _is_structured(value):
        return {"part": _structured(value)}
    if isinstance(value, ShellResult) and _is_json(shell := _shell(value)):
        return {"shell": shell}
    return {"value": _seen(value, tool, call)}


def value_of(packed: Mapping[str, Any]) -> Any:
    if "part" in packed:
        return _part(*packed["part"])
    if "parts" in packed:
        return [_part(*part) for part in packed["parts"]]
    if "shell" in packed:
        return _shell_result(packed["shell"])
    return packed.get("value")


def packed_error(error: Exception) -> Packed:
    return {"error": [type(error).__name__, str(error), isinstance(error, AgentsException)]}


def error_of(name: str, text: str, is_sdks: bool) -> Exception:
    """An error that reads like the one that the tool raised."""
    kind: Any = type(name, (AgentsException if is_sdks else Exception,), {})
    error: Exception = kind(text)
    return error


def _is_json(value: Any, room: int = 100) -> bool:
    """Whether the JSON of a value gives the very same value: no subclasses, no tuples."""
    kind = type(value)
    if kind in _SCALARS:
        return True
    if room == 0:
        return False
    if kind is list:
        return all(_is_json(member, room - 1) for member in value)
    return kind is dict and all(
        type(name) is str and _is_json(member, room - 1) for name, member in value.items()
    )


def _is_structured(value: Any) -> bool:
    return type(value) in _STRUCTURED.values()


def _structured(value: Any) -> list[Any]:
    return [type(value).__name__, value.model_dump(mode="json", exclude_unset=True)]


def _part(name: str, fields: dict[str, Any]) -> Any:
    return _STRUCTURED[name].model_validate(fields)


def _seen(value: Any, tool: object, call: Any) -> Any:
    """What the model is told of a value of any other type."""
    if not isinstance(tool, FunctionTool) or call is None:
        return str(value)
    try:
        item = ItemHelpers.tool_call_output_item(call, value, **sdk.output_schema(tool))
    except AgentsException:  # the run fails with it in a moment
        return str(value)
    output = item["output"]
    return output if isinstance(output, str) else list(output)


def shell_outputs(result: ShellResult) -> list[dict[str, Any]]:
    """The outputs of commands as an item of the history has them."""
    return [
        {
            "stdout": part.stdout,
            "stderr": part.stderr,
            "outcome": {"type": part.outcome.type}
            | ({} if part.outcome.type == "timeout" else {"exit_code": part.outcome.exit_code}),
        }
        for part in result.output
    ]


def _shell(result: ShellResult) -> dict[str, Any]:
    return {
        "output": [
            {
                "stdout": part.stdout,
                "stderr": part.stderr,
                "outcome": [part.outcome.type, part.outcome.exit_code],
                "command": part.command,
                "provider_data": part.provider_data,
            }
            for part in result.output
        ],
        "max_output_length": result.max_output_length,
        "provider_data": result.provider_data,
    }


def _shell_result(packed: Mapping[str, Any]) -> ShellResult:
    output = [
        ShellCommandOutput(
            stdout=part["stdout"],
            stderr=part["stderr"],
            outcome=ShellCallOutcome(*part["outcome"]),
            command=part["command"],
            provider_data=part["provider_data"],
        )
        for part in packed["output"]
    ]
    return ShellResult(
        output=output,
        max_output_length=packed["max_output_length"],
        provider_data=packed["provider_data"],
    )
