"""Agents that patch files and use computers; a ledger has what they really do."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from agents import (
    Agent,
    ApplyPatchTool,
    AsyncComputer,
    Computer,
    ComputerTool,
    FunctionTool,
    function_tool,
)
from agents.editor import ApplyPatchOperation, ApplyPatchResult
from openai.types.responses import ResponseApplyPatchToolCall, ResponseComputerToolCall

from tests.integration.durable_lab import Ledger, Sage, calls, says


def plain(ledger: Ledger, name: str) -> FunctionTool:
    def run() -> str:
        ledger.tools[name] += 1
        return name

    return function_tool(run, name_override=name)


class Editor:
    """Answers in every form that an editor may; `delete_file` raises."""

    root = "/files"

    def __init__(self, ledger: Ledger) -> None:
        self.ledger = ledger

    async def create_file(self, operation: ApplyPatchOperation) -> ApplyPatchResult:
        self.ledger.tools[f"create {operation.path}"] += 1
        return ApplyPatchResult(status="completed", output=f"created {operation.path}")

    def update_file(self, operation: ApplyPatchOperation) -> Any:
        self.ledger.tools[f"update {operation.path}"] += 1
        return {"output": f"updated {operation.path}"} if "a" in operation.path else None

    def delete_file(self, operation: ApplyPatchOperation) -> str:
        self.ledger.tools[f"delete {operation.path}"] += 1
        raise ValueError(f"no {operation.path}")


def patch(kind: str, path: str, again: str = "") -> ResponseApplyPatchToolCall:
    operation = {"type": kind, "path": path} | ({"diff": "+x"} if kind != "delete_file" else {})
    return ResponseApplyPatchToolCall.model_validate(
        {
            "id": f"id_{path}{again}",
            "call_id": f"of_{path}{again}",
            "operation": operation,
            "status": "completed",
            "type": "apply_patch_call",
        }
    )


def patching(ledger: Ledger) -> Agent[Any]:
    """The same operation twice in a response, and in another one; a function tool beside it."""
    model = Sage(
        ledger,
        "m",
        [patch("create_file", "a"), patch("update_file", "b"), patch("update_file", "b", "again")],
        [patch("update_file", "b", "later"), patch("update_file", "a2"), *calls("one")],
        [patch("delete_file", "c")],
        says("done"),
    )
    tools: list[Any] = [ApplyPatchTool(Editor(ledger)), plain(ledger, "one")]
    return Agent(name="a", model=model, tools=tools)


def click(x: int) -> dict[str, Any]:
    return {"type": "click", "x": x, "y": 0, "button": "left"}


def typed(text: str) -> dict[str, Any]:
    return {"type": "type", "text": text}


def used(name: str, *actions: dict[str, Any]) -> ResponseComputerToolCall:
    return ResponseComputerToolCall.model_validate(
        {
            "id": f"id_{name}",
            "call_id": f"of_{name}",
            "actions": list(actions),
            "pending_safety_checks": [],
            "status": "completed",
            "type": "computer_call",
        }
    )


class Screen(Computer):
    """Shows how much was done to it; it outlives the workers, with the ledger."""

    def __init__(self, ledger: Ledger) -> None:
        self.ledger = ledger

    def _note(self, what: str) -> None:
        self.ledger.tools[what] += 1

    def screenshot(self) -> str:
        done = {k: n for k, n in self.ledger.tools.items() if k.partition(" ")[0] in _ACTIONS}
        return f"screen-{sum(done.values())}"

    def click(self, x: int, y: int, button: Any) -> None:
        self._note(f"click {x}")

    def double_click(self, x: int, y: int) -> None:
        self.click(x, y, "left")
        self.click(x, y, "left")

    def scroll(self, x: int, y: int, scroll_x: int, scroll_y: int) -> None:
        self._note(f"scroll {x}")

    def type(self, text: str) -> None:
        self._note(f"type {text}")

    def wait(self) -> None:
        self._note("wait")

    def move(self, x: int, y: int) -> None:
        self._note(f"move {x}")

    def keypress(self, keys: list[str]) -> None:
        self._note(f"keypress {keys[0]}")

    def drag(self, path: list[tuple[int, int]], *, keys: list[str] | None = None) -> None:
        self._note(f"drag {keys}")


class AsyncScreen(AsyncComputer):
    """The same, of coroutines."""

    __slots__ = ("screen",)

    def __init__(self, ledger: Ledger) -> None:
        self.screen = Screen(ledger)

    async def screenshot(self) -> str:
        return self.screen.screenshot()

    async def click(self, x: int, y: int, button: Any) -> None:
        self.screen.click(x, y, button)

    async def double_click(self, x: int, y: int) -> None:
        self.screen.double_click(x, y)

    async def scroll(self, x: int, y: int, scroll_x: int, scroll_y: int) -> None:
        self.screen.scroll(x, y, scroll_x, scroll_y)

    async def type(self, text: str) -> None:
        self.screen.type(text)

    async def wait(self) -> None:
        self.screen.wait()

    async def move(self, x: int, y: int) -> None:
        self.screen.move(x, y)

    async def keypress(self, keys: list[str]) -> None:
        self.screen.keypress(keys)

    async def drag(self, path: list[tuple[int, int]], *, keys: list[str] | None = None) -> None:
        self.screen.drag(path, keys=keys)


_ACTIONS = ("click", "scroll", "type", "move", "keypress", "drag")
SCREENS: dict[str, Callable[[Ledger], Any]] = {
    "sync": Screen,
    "async": AsyncScreen,
    "made for each run": lambda ledger: lambda run_context: AsyncScreen(ledger),
}


def clicking(ledger: Ledger, screen: Callable[[Ledger], Any] = Screen) -> Agent[Any]:
    drag = {"type": "drag", "path": [{"x": 0, "y": 0}], "keys": ["shift"]}
    model = Sage(
        ledger,
        "m",
        [used("one", click(1), {"type": "screenshot"}, typed("a"), {"type": "wait"})],
        [used("two", {"type": "double_click", "x": 2, "y": 0}, drag), *calls("other")],
        [used("three", click(1), {"type": "keypress", "keys": ["x"]}, {"type": "screenshot"})],
        says("done"),
    )
    tools: list[Any] = [ComputerTool(screen(ledger)), plain(ledger, "other")]
    return Agent(name="a", model=model, tools=tools)
