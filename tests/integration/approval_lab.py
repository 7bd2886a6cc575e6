"""Agents whose tools need approval, and runs that ask for it."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Sequence
from typing import Any

from agents import Agent, RunResult, function_tool
from agents.testing import function_call

from tests.scripted import Script, says
from turnwise import NoPendingApproval, PendingApproval, Runner
from turnwise.session import Session


def agent(*replies: Any, name: str = "agent", tools: list[Any]) -> Agent[Any]:
    return Agent(name=name, model=Script(*replies), tools=tools)


class Clerk:
    """Agents with two tools that need approval and one that does not; it counts what ran.

    Each agent is a deployment: built anew, with a model that goes on where the last one stopped.
    """

    def __init__(self) -> None:
        self.ran: Counter[str] = Counter()

    def agent(self, *replies: Any, without: str = "", name: str = "clerk") -> Agent[Any]:
        def made(tool: str, asks: bool) -> Any:
            def run(what: str = "") -> str:
                self.ran[f"{tool} {what}".strip()] += 1
                return f"{tool} done"

            return function_tool(run, name_override=tool, needs_approval=asks)

        tools = [made("look", False), made("pay", True), made("send", True)]
        kept = [tool for tool in tools if tool.name != without]
        return agent(*replies, name=name, tools=kept)


def asks(*names: str, again: str = "") -> Any:
    return [function_call(name, "{}", call_id=f"of_{name}{again}") for name in names]


async def waiting(session: Session, clerk: Clerk, *names: str, **options: Any) -> Any:
    """Let a run look, then ask for these tools."""
    bound = session.session_id
    helper = clerk.agent(asks("look"), asks(*names))
    result = await Runner.run(helper, "go", session=session, session_id=bound, **options)
    assert [item.name for item in result.interruptions] == list(names)
    return result


async def one_resumes(
    sessions: Sequence[Session], clerk: Clerk, asked: PendingApproval, said: str
) -> None:
    """Approve it in all of them at once: one goes on and says so, the others find nothing."""
    results = await asyncio.gather(
        *(
            Runner.resume(clerk.agent(says(said)), session=session, approve=[asked.id])
            for session in sessions
        ),
        return_exceptions=True,
    )
    done = [result for result in results if isinstance(result, RunResult)]
    assert [result.final_output for result in done] == [said]
    refused = [type(result) for result in results if result not in done]
    assert refused == [NoPendingApproval] * (len(sessions) - 1)
