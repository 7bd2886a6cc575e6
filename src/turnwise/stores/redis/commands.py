"""One command to whichever client, also while a cluster moves its slot."""

from __future__ import annotations

from typing import Any

from redis.asyncio import RedisCluster
from redis.asyncio.cluster import PipelineCommand
from redis.client import NEVER_DECODE
from redis.exceptions import AskError, ClusterError, MovedError

from turnwise.stores.redis.clients import Client

RAW = {NEVER_DECODE: True}
"""The option by which a client that decodes replies leaves one as bytes."""


async def execute(client: Client, *command: Any) -> Any:
    """The command's reply. Raises what the client raises.

    A node whose slot is on its way to another one answers ASK for a key that has gone there. Then
    redis-py sends ASKING on one connection and the command on another: with two of them free it
    follows the answers in a circle and gives up. So both are sent on one connection here.

    A RedisCluster that has not asked yet which nodes there are sends a command to any of them, and
    closes everybody's connections at the fifth MOVED. So it asks first.
    """
    if getattr(client, "_initialize", False):
        await client.initialize()
    try:
        return await client.execute_command(*command, **RAW)
    except ClusterError as error:
        if type(error) is not ClusterError or not isinstance(client, RedisCluster):
            raise
        asked = await _send(client.get_node_from_key(_key(command)), command)
        if not isinstance(asked, AskError) or isinstance(asked, MovedError):
            raise
        reply = await _send(client.get_node(asked.host, asked.port), ("ASKING",), command)
        if isinstance(reply, Exception):
            raise reply from error
        return reply


def _key(command: tuple[Any, ...]) -> Any:
    return command[3] if command[0] in ("EVAL", "EVALSHA") else command[1]


async def _send(node: Any, *commands: tuple[Any, ...]) -> Any:
    """The reply to the last one, or the exception that it got; None if there is no such node."""
    if node is None:
        return None
    sent = [PipelineCommand(at, *command, **RAW) for at, command in enumerate(commands)]
    await node.execute_pipeline(sent)
    return sent[-1].result
