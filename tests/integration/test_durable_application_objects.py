"""The application's own editors, executors and invokers: durable, and otherwise unchanged."""

from __future__ import annotations

import copy
import dataclasses
import inspect
from functools import update_wrapper
from typing import Any
from unittest.mock import MagicMock

import pytest
from agents import (
    Agent,
    ApplyPatchTool,
    FunctionTool,
    LocalShellTool,
    RunContextWrapper,
    ShellTool,
)
from agents.tool_context import ToolContext
from openai.types.responses import ResponseApplyPatchToolCall, ResponseFunctionShellToolCall
from openai.types.responses.response_output_item import LocalShellCall

from tests.integration.durable_lab import (
    Lab,
    Ledger,
    Mortal,
    Sage,
    calls,
    kinds_of,
    last_response_with_commit,
    says,
)
from turnwise import Runner
from turnwise.journal_entries import ResponseEntry, ToolEndedEntry, ToolStartedEntry


@dataclasses.dataclass
class Editor:
    """An application's editor: with state, and with a method of its own."""

    root: str = "/"
    edited: list[str] = dataclasses.field(default_factory=list)

    def create_file(self, operation: Any) -> None:
        self.edited.append(f"{self.root}{operation.path}")

    update_file = delete_file = create_file

    def elsewhere(self, root: str) -> Editor:
        return type(self)(root, self.edited)


PATCH = ResponseApplyPatchToolCall.model_validate(
    {
        "type": "apply_patch_call",
        "id": "i",
        "call_id": "c",
        "status": "completed",
        "operation": {"type": "create_file", "path": "file", "diff": "+x"},
    }
)
SHELL = ResponseFunctionShellToolCall.model_validate(
    {
        "type": "shell_call",
        "id": "i",
        "call_id": "c",
        "status": "completed",
        "action": {"commands": ["ls"]},
    }
)
LOCAL = LocalShellCall.model_validate(
    {
        "type": "local_shell_call",
        "id": "i",
        "call_id": "c",
        "status": "completed",
        "action": {"type": "exec", "command": ["ls"], "env": {}},
    }
)


async def called(tool: Any, call: Any) -> None:
    """Let a run call it once, and see that the call is in the journal."""
    lab = Lab()
    store: Any = Mortal(lab.store, None, acknowledged=True)
    agent = Agent(name="a", model=Sage(Ledger(), "m", [call], says("done")), tools=[tool])
    with last_response_with_commit():
        await Runner.run(agent, "go", session=lab.session(store), turn_id="t")
    assert kinds_of(store.entries) == [ResponseEntry, ToolStartedEntry, ToolEndedEntry]


async def test_an_editor_keeps_its_class_and_attributes() -> None:
    editor = Editor()
    tool = ApplyPatchTool(editor=editor)
    await called(tool, PATCH)
    shown: Any = tool.editor
    assert isinstance(shown, Editor)
    assert type(editor) is Editor
    assert shown.edited is editor.edited
    shown.root = "/home/"
    assert editor.root == "/home/"
    for other in (shown.elsewhere("/tmp/"), dataclasses.replace(shown, root="/tmp/")):
        assert (type(other), other.root) == (Editor, "/tmp/")
    await called(tool, PATCH)
    assert tool.editor is shown
    assert editor.edited == ["/file", "/home/file"]


async def test_a_copied_tool_has_an_editor_of_its_own() -> None:
    tool = ApplyPatchTool(editor=Editor())
    await called(tool, PATCH)
    copied = copy.deepcopy(tool)
    theirs: Any = copied.editor
    theirs.root = "/copy/"
    await called(copied, PATCH)
    ours: Any = tool.editor
    assert (ours.root, ours.edited) == ("/", ["/file"])
    assert (theirs.root, theirs.edited) == ("/copy/", ["/file", "/copy/file"])


class Slots:
    """An editor without a dict."""

    __slots__ = ("edited",)

    def __init__(self) -> None:
        self.edited: list[str] = []

    def create_file(self, operation: Any) -> None:
        self.edited.append(operation.path)

    update_file = delete_file = create_file


async def test_editors_with_slots_and_mocks_are_durable() -> None:
    slots = Slots()
    tool = ApplyPatchTool(editor=slots)
    await called(tool, PATCH)
    shown: Any = tool.editor
    assert isinstance(shown, Slots)
    assert shown.edited is slots.edited
    assert slots.edited == ["file"]
    mock = MagicMock()
    await called(ApplyPatchTool(editor=mock), PATCH)
    assert mock.create_file.call_count == 1


class Shell:
    """An executor that is an object."""

    def __init__(self) -> None:
        self.ran: list[str] = []

    def __call__(self, request: Any) -> str:
        self.ran.append(request.data.call_id)
        return "done"

    async def method(self, request: Any) -> str:
        return self(request)


@pytest.mark.parametrize(("kind", "call"), [(ShellTool, SHELL), (LocalShellTool, LOCAL)])
async def test_executors_keep_their_class_and_attributes(kind: Any, call: Any) -> None:
    shell = Shell()
    tool = kind(executor=shell)
    await called(tool, call)
    assert isinstance(tool.executor, Shell)
    assert tool.executor.ran is shell.ran
    assert type(shell) is Shell

    def plain(request: Any) -> str:
        """What it says."""
        return shell(request)

    for function in (plain, shell.method):
        tool = kind(executor=function)
        await called(tool, call)
        shown = tool.executor
        assert inspect.isfunction(shown)
        assert (shown.__name__, shown.__doc__) == (function.__name__, function.__doc__)
        assert inspect.signature(shown) == inspect.signature(function)
        assert inspect.unwrap(shown) == function
        await called(tool, call)
        assert tool.executor is shown
    assert shell.ran == ["c"] * 5
    mock = MagicMock(return_value="done")
    await called(kind(executor=mock), call)
    assert mock.call_count == 1


async def test_an_invoker_gets_the_context_that_its_annotation_asks_for() -> None:
    """Also one that names its arguments as the SDK does, or that wraps another."""
    seen: list[str] = []

    async def narrow(ctx: RunContextWrapper[Any], input: str) -> str:
        seen.append(type(ctx).__name__)
        return "done"

    async def wide(ctx: ToolContext[Any], input: str) -> str:
        seen.append(type(ctx).__name__)
        return "done"

    async def around(*given: Any) -> str:
        return await narrow(*given)

    update_wrapper(around, narrow)
    for invoker in (narrow, wide, around):
        tool = FunctionTool("one", "", {}, invoker, strict_json_schema=False)
        await called(tool, calls("one")[0])
    assert seen == ["RunContextWrapper", "ToolContext", "RunContextWrapper"]
