"""What each kind of item says, as the command and the dashboard show it."""

from __future__ import annotations

from typing import Any, get_args, get_type_hints

import pytest
from openai.types.responses import response_input_item_param as kinds

from turnwise.fleet import ItemText, item_texts

IMAGE = {"type": "input_image", "image_url": "data:image/png;base64,AAAA"}
ITEMS: list[tuple[dict[str, Any], list[ItemText]]] = [
    ({"role": "user", "content": "hi"}, [ItemText("user", "user", "hi")]),
    (
        {
            "type": "message",
            "role": "user",
            "content": [{"type": "input_text", "text": "a"}, IMAGE],
        },
        [ItemText("user", "user", "a\n[input_image]")],
    ),
    (
        {"type": "message", "role": "assistant", "content": [{"type": "refusal", "refusal": "no"}]},
        [ItemText("assistant", "assistant", "no")],
    ),
    ({"role": "developer", "content": "be kind"}, [ItemText("system", "developer", "be kind")]),
    (
        {"type": "reasoning", "id": "r", "summary": [{"type": "summary_text", "text": "hm"}]},
        [ItemText("reasoning", "reasoning", "hm")],
    ),
    (
        {"type": "reasoning", "id": "r", "summary": [], "encrypted_content": "x"},
        [ItemText("reasoning", "reasoning", "(not shown)")],
    ),
    (
        {"type": "function_call", "call_id": "c", "name": "pay", "arguments": '{"x": 1}'},
        [ItemText("call", "pay", '{"x": 1}', "c")],
    ),
    (
        {
            "type": "function_call_output",
            "call_id": "c",
            "output": [IMAGE, {"type": "input_file", "filename": "a.pdf"}],
        },
        [ItemText("output", "output", "[input_image]\n[input_file a.pdf]", "c")],
    ),
    (
        {"type": "custom_tool_call", "call_id": "c", "name": "sh", "input": "ls"},
        [ItemText("call", "sh", "ls", "c")],
    ),
    (
        {"type": "custom_tool_call_output", "call_id": "c", "output": "a"},
        [ItemText("output", "output", "a", "c")],
    ),
    (
        {"type": "shell_call", "call_id": "c", "action": {"commands": ["ls"]}},
        [ItemText("call", "shell_call", '{"action": {"commands": ["ls"]}}', "c")],
    ),
    (
        {"type": "shell_call_output", "call_id": "c", "output": [{"stdout": "a", "stderr": ""}]},
        [ItemText("output", "output", '{"stdout": "a", "stderr": ""}', "c")],
    ),
    (
        {"type": "local_shell_call", "id": "i", "call_id": "c", "action": {"command": ["ls"]}},
        [ItemText("call", "local_shell_call", '{"action": {"command": ["ls"]}}', "c")],
    ),
    (
        {"type": "local_shell_call_output", "id": "i", "output": "a"},
        [ItemText("output", "output", "a", "i")],
    ),
    (
        {"type": "apply_patch_call", "call_id": "c", "operation": {"type": "delete_file"}},
        [ItemText("call", "apply_patch_call", '{"operation": {"type": "delete_file"}}', "c")],
    ),
    (
        {"type": "apply_patch_call_output", "call_id": "c", "status": "completed"},
        [ItemText("output", "output", "completed", "c")],
    ),
    (
        {"type": "computer_call", "call_id": "c", "action": {"type": "click"}},
        [ItemText("call", "computer_call", '{"action": {"type": "click"}}', "c")],
    ),
    (
        {
            "type": "computer_call_output",
            "call_id": "c",
            "output": {"type": "computer_screenshot", "image_url": "data:"},
        },
        [ItemText("output", "output", "[computer_screenshot]", "c")],
    ),
    (
        {"type": "web_search_call", "id": "w", "status": "completed", "action": {"query": "q"}},
        [ItemText("call", "web_search_call", '{"action": {"query": "q"}}', "w")],
    ),
    (
        {
            "type": "file_search_call",
            "id": "f",
            "queries": ["q"],
            "results": [{"filename": "a.md", "text": "found"}],
        },
        [
            ItemText("call", "file_search_call", '{"queries": ["q"]}', "f"),
            ItemText("output", "output", "found", "f"),
        ],
    ),
    (
        {
            "type": "code_interpreter_call",
            "id": "i",
            "code": "1+1",
            "outputs": [{"type": "logs", "logs": "2"}],
        },
        [
            ItemText("call", "code_interpreter_call", "1+1", "i"),
            ItemText("output", "output", "2", "i"),
        ],
    ),
    (
        {"type": "image_generation_call", "id": "i", "result": "AAAA" * 1000, "size": "1x1"},
        [
            ItemText("call", "image_generation_call", '{"size": "1x1"}', "i"),
            ItemText("output", "output", "[image]", "i"),
        ],
    ),
    (
        {"type": "mcp_call", "id": "m", "name": "find", "arguments": "{}", "output": "a"},
        [ItemText("call", "find", "{}", "m"), ItemText("output", "output", "a", "m")],
    ),
    (
        {
            "type": "mcp_call",
            "id": "m",
            "name": "find",
            "arguments": "{}",
            "output": None,
            "error": {"type": "http_error", "code": 500, "message": "broken"},
        },
        [ItemText("call", "find", "{}", "m"), ItemText("output", "output", "broken", "m")],
    ),
    (
        {
            "type": "mcp_list_tools",
            "server_label": "files",
            "tools": [{"name": "find", "input_schema": {}}],
        },
        [ItemText("other", "mcp_list_tools", '{"server_label": "files"}\n[find]')],
    ),
    (
        {"type": "mcp_approval_request", "id": "m", "name": "find", "arguments": "{}"},
        [ItemText("call", "find", "{}", "m")],
    ),
    (
        {"type": "mcp_approval_response", "approval_request_id": "m", "approve": True},
        [ItemText("output", "approval", "approved", "m")],
    ),
    (
        {
            "type": "mcp_approval_response",
            "approval_request_id": "m",
            "approve": False,
            "reason": "no",
        },
        [ItemText("output", "approval", "rejected: no", "m")],
    ),
    (
        {"type": "tool_search_call", "call_id": "c", "arguments": {"query": "q"}},
        [ItemText("call", "tool_search_call", '{"query": "q"}', "c")],
    ),
    (
        {
            "type": "tool_search_output",
            "call_id": "c",
            "tools": [{"type": "function", "name": "find"}],
        },
        [ItemText("output", "output", "[function find]", "c")],
    ),
    (
        {
            "type": "additional_tools",
            "role": "developer",
            "tools": [{"type": "function", "name": "find"}],
        },
        [ItemText("other", "additional_tools", '{"role": "developer"}\n[function find]')],
    ),
    (
        {"type": "program", "id": "i", "call_id": "c", "code": "go()", "fingerprint": "f"},
        [ItemText("call", "program", "go()", "c")],
    ),
    (
        {"type": "program_output", "call_id": "c", "result": "a"},
        [ItemText("output", "output", "a", "c")],
    ),
    (
        {"type": "configuration_update", "reasoning": {"effort": "low"}},
        [ItemText("other", "configuration_update", '{"reasoning": {"effort": "low"}}')],
    ),
    (
        {"type": "compaction", "id": "i", "encrypted_content": "x" * 1000},
        [ItemText("other", "compaction", "i")],
    ),
    ({"type": "compaction_trigger"}, [ItemText("other", "compaction_trigger", "(not shown)")]),
    ({"type": "item_reference", "id": "i"}, [ItemText("other", "item_reference", "i")]),
    ({"type": "invented", "a": 1}, [ItemText("other", "invented", '{"a": 1}')]),
    ({"type": 3, "role": None}, [ItemText("other", "3", '{"role": null}')]),
    ({"type": None, "role": None, "content": None}, [ItemText("other", "null", "null")]),
]


@pytest.mark.parametrize(("item", "says"), ITEMS)
def test_what_an_item_says(item: dict[str, Any], says: list[ItemText]) -> None:
    assert list(item_texts(item)) == says


def test_every_kind_of_the_openai_package_is_here() -> None:
    """One that fails with a newer package names the kind that people would see as bare JSON."""
    hints = (get_type_hints(kind)["type"] for kind in get_args(kinds.ResponseInputItemParam))
    known = {name for hint in hints for name in _literals(hint)}
    assert known - {item.get("type", "message") for item, _ in ITEMS} == set()


def _literals(hint: Any) -> set[str]:
    if isinstance(hint, str):
        return {hint}
    return {name for each in get_args(hint) for name in _literals(each)}
