"""Background turns on a job queue that you already have, here taskiq.

    python -m examples.taskiq_jobs

The message goes into the session's own queue; the taskiq job is only a wake-up. So jobs may be
delivered twice or run in parallel on any number of workers: the messages of a session are answered
in order, each once. If a job is lost, the next one finds its message too. With Celery, SQS or cron
the job has the same line.
"""

from __future__ import annotations

import asyncio
import os
from typing import Any

from agents import Agent
from taskiq import InMemoryBroker

from examples.offline import converse, model
from turnwise import connect
from turnwise.background import Receipt

broker = InMemoryBroker()  # an application uses a taskiq broker for Redis, RabbitMQ, NATS, ...
session = connect(os.environ.get("TURNWISE_URL", "sqlite:///taskiq.db"))
agents = [Agent[Any](name="support", instructions="Be brief.", model=model(converse))]


@broker.task
async def drain(session_id: str) -> int:
    return await session.drain(session_id, agents)


async def send(session_id: str, message: str) -> Receipt:
    """Submit a message, and enqueue a job that drains the session."""
    receipt = await session.submit(session_id, message, agent="support")
    await drain.kiq(session_id)
    return receipt


async def main() -> None:
    await broker.startup()
    try:
        receipts = [await send("user-1", text) for text in ("Hello", "Where is my order?")]
        for receipt in receipts:
            print((await receipt.result(timeout=30)).final_output)
        await broker.wait_all()
    finally:
        await broker.shutdown()
        await session.aclose()


if __name__ == "__main__":
    asyncio.run(main())
