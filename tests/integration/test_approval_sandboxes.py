"""Approvals of the tools that an agent in a sandbox gets from the sandbox."""

from __future__ import annotations

import pytest
from agents import RunConfig
from agents.sandbox import ExecResult, SandboxAgent
from agents.sandbox.capabilities import Shell
from agents.sandbox.capabilities.shell import ShellToolSet
from agents.testing import ScriptedSandboxSession, function_call, scripted_sandbox_session

from tests.integration.stores import KINDS, Sessions, sessions_of
from tests.scripted import Script, outline, says
from turnwise import Runner

pytestmark = pytest.mark.asyncio(loop_scope="module")
sessions = sessions_of(KINDS)


def asking(tools: ShellToolSet) -> None:
    tools.exec_command.needs_approval = True


def helper(*replies: object) -> SandboxAgent:
    model = Script(*replies)  # type: ignore[arg-type]  # replies of two kinds
    return SandboxAgent(name="a", model=model, capabilities=[Shell(configure_tools=asking)])


def sandbox() -> tuple[ScriptedSandboxSession, RunConfig]:
    result = ExecResult(stdout=b"/workspace\n", stderr=b"", exit_code=0)
    scripted = scripted_sandbox_session([{"method": "exec", "result": result}])
    return scripted, RunConfig(sandbox={"session": scripted})


async def test_a_tool_of_the_sandbox_is_approved_and_resumed(sessions: Sessions) -> None:
    session = sessions.worker(session_id=sessions.new_id())
    asks = [function_call("exec_command", {"cmd": "pwd"}, call_id="c")]
    unused, config = sandbox()
    await Runner.run(helper(asks), "where am I?", session=session, run_config=config)
    assert not unused.calls
    (asked,) = await session.pending_approvals()
    assert asked.tool_name == "exec_command"
    used, config = sandbox()
    there = sessions.worker(session_id=session.session_id)
    result = await Runner.resume(
        helper(says("/workspace")), session=there, approve=[asked.id], run_config=config
    )
    assert result.final_output == "/workspace"
    assert [call.method for call in used.calls] == ["exec"]
    assert outline(await session.get_items())[:2] == ["where am I?", "call c"]
