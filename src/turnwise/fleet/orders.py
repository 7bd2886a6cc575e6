"""What operators told the workers: to leave messages of an agent, to take nothing new, to stop.

Each worker reads it at its heartbeat, so a turn costs nothing more.
"""

from __future__ import annotations

import time
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

import msgspec

from turnwise.errors import UsageError
from turnwise.fleet.workers import list_workers
from turnwise.turns import Runtime

WorkerOrder = Literal["quiet", "stop"]
_ALL, _AGENT, _WORKER = "pause", "pause:", "worker:"
"""The names of orders: a pause of everything; what is before an agent's name; before a worker's."""


@dataclass(frozen=True, slots=True)
class Pause:
    """Messages that workers leave in the queue.

    Attributes:
        agent: those that name this agent; None for all messages.
        since: since when, in POSIX seconds.
        by: who paused them.
        reason: why; "" if nobody said.
    """

    agent: str | None
    since: float
    by: str
    reason: str


@dataclass(frozen=True)
class Standing:
    """What holds for one worker now.

    Attributes:
        paused: the agents that are paused.
        all_paused: whether all messages are.
        order: what this worker was told.
    """

    paused: frozenset[str] = frozenset()
    all_paused: bool = False
    order: WorkerOrder | None = None


class _Order(msgspec.Struct, omit_defaults=True):
    """What is stored. `started_at` is the worker's: an order ends with the process that got it."""

    by: str = ""
    reason: str = ""
    order: WorkerOrder | None = None
    started_at: float = 0.0


_decoder = msgspec.json.Decoder(_Order)


async def standing(runtime: Runtime, worker: str, started_at: float) -> Standing:
    """What holds for the worker of this name that began to work then."""
    orders = {name: order for name, order, _ in await _orders(runtime)}
    own = orders.get(_WORKER + worker, _Order())
    return Standing(
        frozenset(name.removeprefix(_AGENT) for name in orders if name.startswith(_AGENT)),
        _ALL in orders,
        own.order if own.started_at == started_at else None,
    )


async def list_pauses(runtime: Runtime) -> list[Pause]:
    """See `Session.pauses`."""
    return [
        Pause(None if name == _ALL else name.removeprefix(_AGENT), since, order.by, order.reason)
        for name, order, since in await _orders(runtime)
        if name == _ALL or name.startswith(_AGENT)
    ]


def pause_of(pauses: Iterable[Pause], agent: str) -> Pause | None:
    """The pause that concerns messages of this agent, if any does."""
    return next((pause for pause in pauses if pause.agent in (None, agent)), None)


async def pause(runtime: Runtime, agent: str | None, by: str, reason: str) -> None:
    """See `Session.pause_queue`."""
    await runtime.store.orders.write(_pause_name(agent), msgspec.json.encode(_Order(by, reason)))


async def end_pause(runtime: Runtime, agent: str | None) -> bool:
    """See `Session.resume_queue`."""
    name = _pause_name(agent)
    known = any(entry.name == name for entry in await runtime.store.orders.list())
    await runtime.store.orders.remove(name)
    return known


async def order_worker(
    runtime: Runtime, worker: str, order: WorkerOrder | None, by: str = "", reason: str = ""
) -> None:
    """Tell a worker, or take back what it was told (None). Raises UsageError if there is none."""
    started = {each.name: each.started_at for each in await list_workers(runtime)}
    if worker not in started:
        raise UsageError(f"there is no worker {worker!r}; list them first")
    for name, known, _ in await _orders(runtime):
        of = name.removeprefix(_WORKER)
        if name.startswith(_WORKER) and known.started_at != started.get(of):
            await runtime.store.orders.remove(name)  # that process has ended
    if order is None:
        await forget_worker(runtime, worker)
        return
    told = _Order(by, reason, order, started[worker])
    await runtime.store.orders.write(_WORKER + worker, msgspec.json.encode(told))


async def forget_worker(runtime: Runtime, worker: str) -> None:
    """Remove what the worker was told."""
    await runtime.store.orders.remove(_WORKER + worker)


def check_agent(agent: object) -> None:
    """Raise UsageError for what is neither an agent's name nor None."""
    if agent is not None and not (isinstance(agent, str) and agent):
        raise UsageError(f"agent={agent!r}: use an agent's name, or None for all messages")


def _pause_name(agent: str | None) -> str:
    return _ALL if agent is None else _AGENT + agent


async def _orders(runtime: Runtime) -> list[tuple[str, _Order, float]]:
    """Names, orders, and since when. One that another version wrote keeps its name's meaning."""
    now, found = time.time(), list[tuple[str, _Order, float]]()
    for entry in await runtime.store.orders.list():
        try:
            order = _decoder.decode(entry.record)
        except msgspec.MsgspecError:
            order = _Order()
        found.append((entry.name, order, now - entry.age_ms / 1000))
    return found
