"""Network faults, injected by the proxy that some workers connect through."""

from __future__ import annotations

import asyncio
from abc import abstractmethod

from chaos.history import Fault
from chaos.nemesis.kind import FaultContext, FaultKind
from turnwise.testing.proxy import (
    HANDSHAKE,
    Command,
    CutReply,
    DelayReply,
    DelayRequest,
    DropRequest,
    FaultProxy,
    LoseReply,
)
from turnwise.testing.proxy import Fault as ProxyFault


class _CommandFaults(FaultKind):
    """For a while, a share of the commands meets a fault."""

    share = 0.2

    async def inject(self, context: FaultContext, fault: Fault) -> None:
        proxy: FaultProxy = context.topology.proxy
        before, rng = len(proxy.injected), context.rng

        def choose_fault(command: Command) -> ProxyFault | None:
            if command.name in HANDSHAKE or rng.random() > self.share:
                return None
            return self.proxy_fault(context)

        proxy.faults = choose_fault
        try:
            await context.sleep(0.3, 1.5)
        finally:
            proxy.faults = None
            fault.note = f"{len(proxy.injected) - before} commands"

    @abstractmethod
    def proxy_fault(self, context: FaultContext) -> ProxyFault:
        """The fault of one command."""


class DropRequests(_CommandFaults):
    name = "requests dropped"

    def proxy_fault(self, context: FaultContext) -> ProxyFault:
        return DropRequest()


class LoseReplies(_CommandFaults):
    name = "replies lost"
    weight = 2.0

    def proxy_fault(self, context: FaultContext) -> ProxyFault:
        return LoseReply()


class TruncateReplies(_CommandFaults):
    name = "replies truncated"

    def proxy_fault(self, context: FaultContext) -> ProxyFault:
        return CutReply(context.rng.random())


class DelayReplies(_CommandFaults):
    name = "replies delayed"

    def proxy_fault(self, context: FaultContext) -> ProxyFault:
        return DelayReply(context.rng.uniform(0.05, 2 * context.lease))


class DelayRequests(_CommandFaults):
    """Delays writes until after their caller may have timed out."""

    name = "requests delayed"

    def proxy_fault(self, context: FaultContext) -> ProxyFault:
        return DelayRequest(context.rng.uniform(0.05, 2 * context.lease))


class DropConnections(FaultKind):
    """Drops all connections, and refuses new ones for a while."""

    name = "connections dropped"

    async def inject(self, context: FaultContext, fault: Fault) -> None:
        proxy: FaultProxy = context.topology.proxy
        proxy.refuse()
        await proxy.drop_connections()
        try:
            await asyncio.sleep(context.rng.choice([0.0, 0.2, 2 * context.lease]))
        finally:
            await proxy.accept()


class Partition(FaultKind):
    """Holds all traffic back, in both directions, then delivers it."""

    name = "network partitioned"

    async def inject(self, context: FaultContext, fault: Fault) -> None:
        proxy: FaultProxy = context.topology.proxy
        proxy.pause()
        try:
            await context.sleep(0.2 * context.lease, 2.5 * context.lease)
        finally:
            proxy.resume()
