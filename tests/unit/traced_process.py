"""A worker in another process: `python traced_process.py DATABASE TRACE`. Prints its spans.

One turn on session `user-1`, by an agent, in the trace that TRACE (JSON) names.
"""

from __future__ import annotations

import asyncio
import json
import sys
from typing import Any

from agents import Agent
from agents.testing import ScriptedModel, assistant_message

from tests.unit.spans import Exported, sdk_tracing
from turnwise import Runner, SQLiteSession
from turnwise.hooks import attach
from turnwise.observe.opentelemetry import RunSpans, TurnSpans


async def main(database: str, trace: dict[str, str]) -> None:
    exported = Exported()
    hooks = (TurnSpans(exported.provider),)
    model = ScriptedModel([[assistant_message("done")]], emit_traces=True)
    agent: Agent[Any] = Agent(name="clerk", model=model)
    with sdk_tracing(RunSpans(exported.provider)), attach(hooks, trace):
        async with SQLiteSession(database, hooks=hooks) as session:
            await Runner.run(agent, "hi", session=session, session_id="user-1")
    spans = {
        span.name: {
            "trace": span.context.trace_id,
            "id": span.context.span_id,
            "parent": span.parent.span_id if span.parent is not None else None,
        }
        for span in exported.spans
    }
    print(json.dumps(spans))


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], json.loads(sys.argv[2])))
