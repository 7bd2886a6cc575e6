"""Faults of the network, by the proxy that some workers go through."""

from __future__ import annotations

import asyncio
from abc import abstractmethod

from chaos.history import Fault
from chaos.nemesis.fault import Field, Strike
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


class _Noise(Strike):
    """A part of the commands meets the fault for a while."""

    share = 0.2

    async def strike(self, field: Field, fault: Fault) -> None:
        proxy: FaultProxy = field.topology.proxy
        before, rng = len(proxy.injected), field.rng

        def judge(command: Command) -> ProxyFault | None:
            if command.name in HANDSHAKE or rng.random() > self.share:
                return None
            return self.make(field)

        proxy.faults = judge
        try:
            await field.sleep(0.3, 1.5)
        finally:
            proxy.faults = None
            fault.note = f"{len(proxy.injected) - before} commands"

    @abstractmethod
    def make(self, field: Field) -> ProxyFault:
        """The fault for one command."""


class DropRequests(_Noise):
    kind = "connections cut before sending"

    def make(self, field: Field) -> ProxyFault:
        return DropRequest()


class LoseReplies(_Noise):
    kind = "replies lost"
    weight = 2.0

    def make(self, field: Field) -> ProxyFault:
        return LoseReply()


class CutReplies(_Noise):
    kind = "connections cut in mid-reply"

    def make(self, field: Field) -> ProxyFault:
        return CutReply(field.rng.random())


class DelayReplies(_Noise):
    kind = "replies delayed"

    def make(self, field: Field) -> ProxyFault:
        return DelayReply(field.rng.uniform(0.05, 2 * field.lease))


class DelayRequests(_Noise):
    """Late writes of somebody who may have given up by then."""

    kind = "requests delayed"

    def make(self, field: Field) -> ProxyFault:
        return DelayRequest(field.rng.uniform(0.05, 2 * field.lease))


class CutAll(Strike):
    """Every connection is cut, some for longer."""

    kind = "connections dropped"

    async def strike(self, field: Field, fault: Fault) -> None:
        proxy: FaultProxy = field.topology.proxy
        proxy.refuse()
        await proxy.drop_connections()
        try:
            await asyncio.sleep(field.rng.choice([0.0, 0.2, 2 * field.lease]))
        finally:
            await proxy.accept()


class Partition(Strike):
    """Nothing comes through, in either direction, until it all does."""

    kind = "network partitioned"

    async def strike(self, field: Field, fault: Fault) -> None:
        proxy: FaultProxy = field.topology.proxy
        proxy.pause()
        try:
            await field.sleep(0.2 * field.lease, 2.5 * field.lease)
        finally:
            proxy.resume()
