"""A worker as the reference document has it; one request a process.

`python -m tests.integration.reference_worker URL SESSION_ID MESSAGE` prints the answer.
"""

import asyncio
import sys
from typing import Any

from agents import Agent

from examples.offline import converse, model
from turnwise import RedisSession, Runner

support_agent = Agent[Any](
    name="SupportAgent", instructions="You help customers.", model=model(converse)
)


async def main(url: str, session_id: str, message: str) -> None:
    session = RedisSession.from_url(url)
    result = await Runner.run(support_agent, message, session=session, session_id=session_id)
    print(result.final_output)
    await session.aclose()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
