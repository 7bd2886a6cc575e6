"""What documents promise of a second answer to a `turn_id`."""

from __future__ import annotations

from typing import Any


def facts(result: Any) -> dict[str, Any]:
    """What every sender of a turn_id gets."""
    return {
        "output": result.final_output,
        "type": type(result.final_output),
        "usage": repr(result.context_wrapper.usage),
        "responses": [
            (
                response.response_id,
                response.request_id,
                repr(response.usage),
                response.output,
                response.raw_usage,
            )
            for response in result.raw_responses
        ],
        "items": [
            (item.type, item.agent.name, item.raw_item, getattr(item, "output", None))
            for item in result.new_items
        ],
        "calls": [
            (item.description, item.title, item.tool_origin)
            for item in result.new_items
            if item.type == "tool_call_item"
        ],
        "outputs": [
            (item.tool_origin, item.custom_data)
            for item in result.new_items
            if item.type == "tool_call_output_item"
        ],
        "handoffs": [
            (item.source_agent.name, item.target_agent.name)
            for item in result.new_items
            if item.type == "handoff_output_item"
        ],
        "max_turns": result.max_turns,
        "last": result.last_agent.name,
        "input": result.input,
        "list": result.to_input_list(),
        "normalized": result.to_input_list(mode="normalized"),
        "id": result.last_response_id,
    }
