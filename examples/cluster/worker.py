"""A worker of one region, on a Redis Cluster that all regions share.

`python -m examples.cluster.worker --region eu` reads one message a line from its standard input,
`{"session_id": ..., "message": ..., "turn_id": ...}`, and writes one answer a line. REDIS_URL is
any node of the cluster.
"""

import argparse
import asyncio
import json
import os
import sys
from typing import Any

from agents import Agent
from redis.asyncio import RedisCluster

from examples.answers import answer_of
from examples.offline import converse, model
from turnwise import RedisSession, Runner
from turnwise.errors import AlreadyCommitted, LeaseLost, StoreUnavailable, TurnwiseError

redis_client = RedisCluster.from_url(
    os.environ.get("REDIS_URL", "redis://localhost:6379"), decode_responses=False
)
session = RedisSession(
    client=redis_client,
    key_prefix="global:sessions:",
    lease=float(os.environ.get("LEASE_SECONDS", "15")),
)
agent = Agent[Any](
    name="Global Agent", instructions="You are a helpful assistant.", model=model(converse)
)

RETRY_SECONDS = 60.0  # the cluster elects a new primary well within it


async def answer(request: dict[str, str]) -> str:
    """Answer a message as one turn; retry while a primary fails over.

    A retry is safe, since it has the same turn id: the turn may have been committed by a call whose
    reply was lost.
    """
    async with asyncio.timeout(RETRY_SECONDS):
        while True:
            try:
                return await _answer(request)
            except (StoreUnavailable, LeaseLost):
                await asyncio.sleep(0.1)


async def _answer(request: dict[str, str]) -> str:
    try:
        result = await Runner.run(
            agent,
            request["message"],
            session=session,
            session_id=request["session_id"],
            turn_id=request["turn_id"],
        )
    except AlreadyCommitted as committed:
        return answer_of(committed.items)
    return str(result.final_output)


async def serve(region: str) -> None:
    """Answer each line of the input until it ends."""
    while line := await asyncio.to_thread(sys.stdin.readline):
        request = json.loads(line)
        reply = {"region": region, "turn_id": request["turn_id"]}
        try:
            reply["response"] = await answer(request)
        except (TurnwiseError, TimeoutError) as error:
            reply["error"] = f"{type(error).__name__}: {error}"
        print(json.dumps(reply), flush=True)


async def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m examples.cluster.worker")
    parser.add_argument("--region", default="eu")
    options = parser.parse_args()
    async with redis_client, session:
        await serve(options.region)


if __name__ == "__main__":
    asyncio.run(main())
