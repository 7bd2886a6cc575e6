"""The network traffic of one turn, between a process and its Redis."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from bench.contenders import SDK, TURNWISE, Contender, on_redis
from bench.history import HistoryGenerator
from turnwise.testing.proxy import FaultProxy, Traffic


async def measure_traffic(url: str, lengths: list[int]) -> dict[int, dict[str, dict[str, Any]]]:
    """By length of the history and contender: commands, round trips, bytes both ways."""
    async with FaultProxy.before(url) as proxy, on_redis(proxy.url) as (turnwise, sdk):
        contenders: dict[str, Contender] = {TURNWISE: turnwise, SDK: sdk}
        for contender in contenders.values():  # opens connections and loads scripts
            await _turn(contender, "traffic-first")
            await _turn(contender, "traffic-first")
        return {length: await _measure(proxy, contenders, length) for length in lengths}


async def _measure(
    proxy: FaultProxy, contenders: Mapping[str, Contender], length: int
) -> dict[str, dict[str, Any]]:
    found = {}
    for name, contender in contenders.items():
        session_id = f"traffic-{length}"
        if length:
            await contender.fill(session_id, HistoryGenerator().items(length - 2))
            await _turn(contender, session_id)
        with proxy.measure() as traffic:
            await _turn(contender, session_id)
        found[name] = _as_json(traffic)
    return found


async def _turn(contender: Contender, session_id: str) -> None:
    await contender.turn(session_id, *HistoryGenerator().turn())


def _as_json(traffic: Traffic) -> dict[str, Any]:
    return {
        "commands": traffic.names,
        "round_trips": traffic.round_trips,
        "bytes_sent": traffic.to_server,
        "bytes_received": traffic.to_client,
    }
