"""Agents with tools of every kind; a ledger has what they really do."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import agents
from agents import (
    Agent,
    CustomTool,
    FunctionTool,
    LocalShellTool,
    ShellTool,
    ToolOutputFileContent,
    ToolOutputImage,
    ToolOutputText,
    function_tool,
)
from agents.mcp import MCPServer
from agents.tool import ShellCallOutcome, ShellCommandOutput, ShellResult
from mcp.types import CallToolResult, GetPromptResult, ListPromptsResult, TextContent
from mcp.types import Tool as MCPTool
from openai.types.responses import ResponseCustomToolCall, ResponseFunctionShellToolCall
from openai.types.responses.response_output_item import LocalShellCall
from pydantic import BaseModel

from tests.integration.durable_lab import (
    Ledger,
    Sage,
    calls,
    says,
)
from turnwise import idempotency_key, repeatable


class City(BaseModel):
    name: str


VALUES: dict[str, Any] = {
    "text": "plain",
    "nothing": None,
    "number": 2**70,
    "mapping": {"a": [1, 2.5, None, True], "b": {"c": "é"}},
    "list": ["a", 1],
    "tuple": ("a", 1),
    "model": City(name="Oslo"),
    "output": ToolOutputText(text="structured"),
    "image": ToolOutputImage(image_url="https://example.com/a.png", detail="low"),
    "parts": [ToolOutputText(text="a"), ToolOutputFileContent(file_id="f", filename="x.pdf")],
    "bytes": b"raw",
}


def valued(ledger: Ledger) -> Agent[Any]:
    def tool(name: str, value: Any) -> FunctionTool:
        def run() -> Any:
            ledger.tools[name] += 1
            return value

        return function_tool(run, name_override=name)

    model = Sage(ledger, "m", calls(*VALUES), says("done"))
    return Agent(name="a", model=model, tools=[tool(*pair) for pair in VALUES.items()])


def hand_written(ledger: Ledger) -> Agent[Any]:
    """Tools whose invokers the application wrote: with the one context and with the other."""

    async def one(context: agents.tool_context.ToolContext[Any], arguments: str) -> str:
        ledger.tools["one"] += 1
        return context.tool_call_id

    async def two(context: agents.RunContextWrapper[Any], arguments: str) -> str:
        ledger.tools["two"] += 1
        return type(context).__name__

    class Counting(FunctionTool):
        async def invoke(self, context: Any, arguments: str) -> str:
            ledger.tools["three"] += 1
            return self.description

    async def nothing(context: Any, arguments: str) -> str:
        return ""

    three = Counting("three", "what three does", {}, nothing, strict_json_schema=False)
    three.on_invoke_tool = three.invoke
    tools: list[Any] = [
        FunctionTool("one", "", {}, one, strict_json_schema=False),
        FunctionTool("two", "", {}, two, strict_json_schema=False),
        three,
    ]
    model = Sage(ledger, "m", calls("one", "two", "three"), says("done"))
    return Agent(name="a", model=model, tools=tools)


def typed(ledger: Ledger) -> Agent[Any]:
    """Tools with an output type: what is not of that type is the SDK's own text, or ours."""

    async def one() -> City:
        ledger.tools["one"] += 1
        return City(name="Oslo")

    async def two() -> City:
        ledger.tools["two"] += 1
        raise ValueError("no")

    tools: list[Any] = [function_tool(one, output_type=City), function_tool(two, output_type=City)]
    model = Sage(ledger, "m", calls("one"), calls("two"), says("done"))
    return Agent(name="a", model=model, tools=tools)


def tool_in_tool(ledger: Ledger) -> Agent[Any]:
    """A tool that calls another one of the agent's tools: to the journal it is one call."""
    two = counted(ledger, "two")

    @function_tool
    async def one(context: agents.tool_context.ToolContext[Any]) -> str:
        ledger.tools["one"] += 1
        return f"one and {await two.on_invoke_tool(context, '{}')}"

    tools: list[Any] = [one, two]
    return Agent(name="a", model=Sage(ledger, "m", calls("one"), says("done")), tools=tools)


class Server(MCPServer):
    """A server of the Model Context Protocol in this process."""

    def __init__(self, ledger: Ledger, approval: Any = None) -> None:
        super().__init__(require_approval=approval)
        self.ledger = ledger

    @property
    def name(self) -> str:
        return "server"

    async def connect(self) -> None:
        pass

    async def cleanup(self) -> None:
        pass

    async def list_tools(self, *_: Any, **__: Any) -> list[MCPTool]:
        schema = {"type": "object", "properties": {}}
        return [MCPTool.model_validate({"name": n, "inputSchema": schema}) for n in ("one", "two")]

    async def call_tool(
        self, tool_name: str, arguments: dict[str, Any] | None, meta: dict[str, Any] | None = None
    ) -> CallToolResult:
        self.ledger.tools[tool_name] += 1
        if tool_name == "two":
            raise ValueError("no")
        return CallToolResult(content=[TextContent(type="text", text="from afar")])

    async def list_prompts(self, *_: Any, **__: Any) -> ListPromptsResult:
        return ListPromptsResult(prompts=[])

    async def get_prompt(self, *_: Any, **__: Any) -> GetPromptResult:
        return GetPromptResult(messages=[])


def mcp(ledger: Ledger) -> Agent[Any]:
    model = Sage(ledger, "m", calls("one"), calls("two"), says("done"))
    return Agent(name="a", model=model, mcp_servers=[Server(ledger)])


def custom(ledger: Ledger) -> Agent[Any]:
    async def run(context: Any, text: str) -> str:
        ledger.tools["one"] += 1
        return text.upper()

    def call(name: str) -> Any:
        return ResponseCustomToolCall(
            call_id=f"of_{name}", input="abc", name=name, type="custom_tool_call", id=f"id_{name}"
        )

    def fails(context: Any, text: str) -> str:
        ledger.tools["two"] += 1
        raise ValueError("no")

    tools: list[Any] = [CustomTool("one", "", run), CustomTool("two", "", fails)]
    model = Sage(ledger, "m", [call("one")], [call("two")], says("done"))
    return Agent(name="a", model=model, tools=tools)


def shells(ledger: Ledger) -> Agent[Any]:
    def run(request: Any) -> ShellResult:
        ledger.tools["shell"] += 1
        outcome = ShellCallOutcome(type="exit", exit_code=1)
        return ShellResult([ShellCommandOutput("out", "err", outcome, "ls")], max_output_length=99)

    call = {
        "id": "id_shell",
        "call_id": "of_shell",
        "action": {"commands": ["ls"], "max_output_length": None, "timeout_ms": None},
        "status": "completed",
        "type": "shell_call",
    }
    model = Sage(ledger, "m", [ResponseFunctionShellToolCall.model_validate(call)], says("done"))
    return Agent(name="a", model=model, tools=[ShellTool(run)])


def local_shell(ledger: Ledger) -> Agent[Any]:
    async def run(request: Any) -> str:
        ledger.tools["local_shell"] += 1
        return "listed"

    call = {
        "id": "of_local_shell",
        "call_id": "of_local_shell",
        "action": {"command": ["ls"], "env": {}, "type": "exec"},
        "status": "completed",
        "type": "local_shell_call",
    }
    model = Sage(ledger, "m", [LocalShellCall.model_validate(call)], says("done"))
    return Agent(name="a", model=model, tools=[LocalShellTool(run)])


def streaming_agent_tool(ledger: Ledger) -> Agent[Any]:
    """An agent as a tool whose events are watched: its run is a streamed one."""
    inner = Agent(
        name="inner",
        model=Sage(ledger, "inner", calls("one"), says("inner")),
        tools=[counted(ledger, "one")],
    )
    ask = inner.as_tool("ask", "", on_stream=lambda event: None)
    model = Sage(ledger, "m", calls("ask", input="x"), says("done"))
    return Agent(name="a", model=model, tools=[ask])


def agent_in_tool(ledger: Ledger) -> Agent[Any]:
    """A tool that runs an agent itself, twice with the same input; it may run again."""
    inner = Agent(
        name="inner",
        model=Sage(ledger, "inner", calls("one"), says("inner")),
        tools=[counted(ledger, "one")],
    )

    @repeatable
    @function_tool
    async def outer() -> str:
        first = await agents.Runner.run(inner, "x")
        second = await agents.Runner.run(inner, "x")
        return f"{first.final_output} {second.final_output}"

    model = Sage(ledger, "m", calls("outer"), says("done"))
    return Agent(name="a", model=model, tools=[outer])


def counted(ledger: Ledger, name: str) -> FunctionTool:
    """A tool that enters itself and its key in the ledger, from a thread."""

    def run() -> str:
        ledger.tools[name] += 1
        ledger.keys.setdefault(name, set()).add(idempotency_key())
        return name

    return function_tool(run, name_override=name)


KINDS: dict[str, Callable[[Ledger], Agent[Any]]] = {
    "values": valued,
    "hand-written": hand_written,
    "typed": typed,
    "mcp": mcp,
    "custom": custom,
    "shell": shells,
    "local-shell": local_shell,
    "streaming-agent-tool": streaming_agent_tool,
}


def made_repeatable(ledger: Ledger) -> Agent[Any]:
    tools: list[Any] = [repeatable(counted(ledger, "one")), counted(ledger, "two")]
    return Agent(name="a", model=Sage(ledger, "m", calls("one", "two"), says("done")), tools=tools)


def not_marked(ledger: Ledger) -> Agent[Any]:
    tools: list[Any] = [counted(ledger, "one"), counted(ledger, "two")]
    return Agent(name="a", model=Sage(ledger, "m", calls("one", "two"), says("done")), tools=tools)
