"""Workers in this process, and agents whose model answers with what it was asked."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

from agents import Agent

from tests.scripted import Script, says
from turnwise.background import Policy, Receipt
from turnwise.session import Session
from turnwise.testing.servers.waiting import until
from turnwise.worker import Worker

Asked = Callable[[str], Awaitable[None]]
QUICK = Policy(backoff=0.01)


def echo(asked: Asked | None = None, name: str = "echo") -> Agent[Any]:
    """Answers "re: " and the last message; `asked` is called with that message before."""

    async def reply(given: list[Any]) -> Any:
        message = given[-1] if isinstance(given[-1], str) else given[-1]["content"]
        if asked is not None:
            await asked(message)
        return says(f"re: {message}")

    return Agent(name=name, model=Script(reply))


@asynccontextmanager
async def working(session: Session, agent: Agent[Any], **settings: Any) -> AsyncIterator[Worker]:
    """A worker at work during the block; it is stopped and waited for."""
    settings = {"policy": QUICK} | settings
    worker = Worker(session, [agent], **settings)
    task = asyncio.create_task(worker.run())
    try:
        yield worker
    finally:
        worker.stop()
        await task


async def output(receipt: Receipt) -> Any:
    return (await receipt.result(30)).final_output


async def state(receipt: Receipt, wanted: str) -> None:
    """Wait until the turn is in this state."""

    async def reached() -> bool:
        return (await receipt.status()).state == wanted

    await until(reached, 30, wanted)


def texts(items: list[Any]) -> list[str]:
    """What users and agents said, in order."""
    return [
        item["content"] if isinstance(item["content"], str) else item["content"][0]["text"]
        for item in items
    ]
