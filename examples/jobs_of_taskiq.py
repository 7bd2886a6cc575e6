"""Background turns on a queue that is there already; here that of taskiq.

    python -m examples.jobs_of_taskiq

The message goes into the session's own queue; the job of taskiq only says that there is one. So
jobs may be lost, come twice, or run side by side on any number of workers: the messages of a
session are still answered in order, each once. With Celery, SQS or cron the job has the same line.
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

broker = InMemoryBroker()  # for an application: one of taskiq's for Redis, RabbitMQ, NATS, ...
session = connect(os.environ.get("TURNWISE_URL", "sqlite:///taskiq.db"))
agents = [Agent[Any](name="support", instructions="Be brief.", model=model(converse))]


@broker.task
async def drain(session_id: str) -> int:
    return await session.drain(session_id, agents)


async def send(session_id: str, message: str) -> Receipt:
    """Leave a message, and see to it that somebody looks."""
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
