"""What a tool returned or raised, in the form in which the journal stores it, and back."""

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
from turnwise.journal_entries import Raised, ToolOutput

_STRUCTURED = {
    kind.__name__: kind for kind in (ToolOutputText, ToolOutputImage, ToolOutputFileContent)
}
_SCALARS = frozenset({str, int, float, bool, type(None)})


def pack_output(value: Any, tool: object, call: Any) -> ToolOutput:
    """The output as the journal stores it.

    JSON values and the SDK's structured outputs come back exactly. Of anything else, what comes
    back is the text that the model sees.
    """
    if _is_json(value):
        return ToolOutput("json", value)
    if type(value) in (list, tuple) and value and all(map(_is_structured, value)):
        return ToolOutput("structured_list", [_structured_fields(part) for part in value])
    if _is_structured(value):
        return ToolOutput("structured", _structured_fields(value))
    if isinstance(value, ShellResult) and _is_json(shell := _shell(value)):
        return ToolOutput("shell", shell)
    return ToolOutput("json", _text_for_model(value, tool, call))


def unpack_output(packed: ToolOutput) -> Any:
    if packed.kind == "structured":
        return _part(*packed.value)
    if packed.kind == "structured_list":
        return [_part(*part) for part in packed.value]
    if packed.kind == "shell":
        return _shell_result(packed.value)
    return packed.value


def pack_error(error: Exception) -> Raised:
    return Raised(
        error=type(error).__name__,
        message=str(error),
        from_sdk=isinstance(error, AgentsException),
    )


def unpack_error(raised: Raised) -> Exception:
    """An error with the class name and text of the one that the tool raised."""
    kind: Any = type(raised.error, (AgentsException if raised.from_sdk else Exception,), {})
    error: Exception = kind(raised.message)
    return error


def _is_json(value: Any, room: int = 100) -> bool:
    """Whether the value comes back from JSON the same: it has no subclasses and no tuples."""
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


def _structured_fields(value: Any) -> list[Any]:
    return [type(value).__name__, value.model_dump(mode="json", exclude_unset=True)]


def _part(name: str, fields: dict[str, Any]) -> Any:
    return _STRUCTURED[name].model_validate(fields)


def _text_for_model(value: Any, tool: object, call: Any) -> Any:
    """The text that the SDK makes of a value of any other type."""
    if not isinstance(tool, FunctionTool) or call is None:
        return str(value)
    try:
        item = ItemHelpers.tool_call_output_item(call, value, **sdk.output_schema(tool))
    except AgentsException:  # the run fails with it in a moment
        return str(value)
    output = item["output"]
    return output if isinstance(output, str) else list(output)


def shell_outputs(result: ShellResult) -> list[dict[str, Any]]:
    """The outputs of commands, as an item of the history has them."""
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
