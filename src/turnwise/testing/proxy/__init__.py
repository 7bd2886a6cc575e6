"""A TCP proxy that understands enough of the Redis protocol to lose exactly one reply.

    async with FaultProxy.before(server.url) as proxy:
        client = redis.asyncio.from_url(proxy.url)
        proxy.faults = once("EVALSHA", LoseReply())

It forwards everything unchanged, counts commands and bytes, and applies to each command the fault
that `proxy.faults(command)` returns. It runs in one event loop. Not supported: CLIENT REPLY, TLS.

For a Cluster, put one proxy before each node and give the client an `address_remap`.
"""

from .fault_proxy import FaultProxy, Traffic
from .faults import (
    HANDSHAKE,
    Command,
    CutReply,
    DelayReply,
    DelayRequest,
    DropRequest,
    Fault,
    Faults,
    LoseReply,
    RefuseRequest,
    lose_next,
    lose_replies,
    once,
)

__all__ = [
    "HANDSHAKE",
    "Command",
    "CutReply",
    "DelayReply",
    "DelayRequest",
    "DropRequest",
    "Fault",
    "FaultProxy",
    "Faults",
    "LoseReply",
    "RefuseRequest",
    "Traffic",
    "lose_next",
    "lose_replies",
    "once",
]
