"""What one turn puts on the wire between a process and its Redis."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from bench.history import Histories
from bench.sides import OURS, SDK, Side, on_redis
from turnwise.testing.proxy import FaultProxy, Traffic


async def measure_wire(url: str, lengths: list[int]) -> dict[int, dict[str, dict[str, Any]]]:
    """By length of the history and side: commands, round trips, bytes both ways."""
    async with FaultProxy.before(url) as proxy, on_redis(proxy.url) as (ours, theirs):
        sides: dict[str, Side] = {OURS: ours, SDK: theirs}
        for side in sides.values():  # connections are open and scripts loaded from here on
            await _turn(side, "wire-first")
            await _turn(side, "wire-first")
        return {length: await _at(proxy, sides, length) for length in lengths}


async def _at(
    proxy: FaultProxy, sides: Mapping[str, Side], length: int
) -> dict[str, dict[str, Any]]:
    found = {}
    for name, side in sides.items():
        session_id = f"wire-{length}"
        if length:
            await side.fill(session_id, Histories().items(length - 2))
            await _turn(side, session_id)
        with proxy.measure() as traffic:
            await _turn(side, session_id)
        found[name] = _as_json(traffic)
    return found


async def _turn(side: Side, session_id: str) -> None:
    await side.turn(session_id, *Histories().turn())


def _as_json(traffic: Traffic) -> dict[str, Any]:
    return {
        "commands": traffic.names,
        "round_trips": traffic.round_trips,
        "bytes_sent": traffic.to_server,
        "bytes_received": traffic.to_client,
    }
