"""A store that does not answer while a worker claims: no message is hidden for longer by that."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
import pytest_asyncio

from turnwise.errors import StoreUnavailable
from turnwise.limits import Limits
from turnwise.stores.redis import RedisStore, standalone_client
from turnwise.testing.conformance.background import names, sent
from turnwise.testing.servers import ValkeyServer

pytestmark = pytest.mark.asyncio(loop_scope="module")

VISIBILITY_MS = 60_000


@pytest_asyncio.fixture(loop_scope="module")
async def store(server: ValkeyServer) -> AsyncIterator[RedisStore]:
    await server.command("FLUSHALL")
    limits = Limits(visibility_timeout_ms=VISIBILITY_MS)
    store = RedisStore(standalone_client(server.url), owned=True, limits=limits)
    yield store
    await store.aclose()


def failing(store: RedisStore, monkeypatch: pytest.MonkeyPatch, fails: Callable[..., bool]) -> None:
    """The scripts for which `fails(name, shard, *args)` is true get no answer."""
    ready: Any = store.ready
    run = ready._run

    async def run_or_fail(name: str, shard: int, *args: Any) -> Any:
        if fails(name, shard, *args):
            raise StoreUnavailable("it does not answer", session_id=None)
        return await run(name, shard, *args)

    monkeypatch.setattr(ready, "_run", run_or_fail)


@pytest.mark.parametrize("failing_move", [0, 1])
async def test_a_delay_that_could_not_be_ended_is_ended_by_the_next_claim(
    store: RedisStore, monkeypatch: pytest.MonkeyPatch, failing_move: int
) -> None:
    """Of two: one is pending for nobody, and the worker itself extends the other."""
    for name in ("short", "long"):
        await sent(store, name, "t")
    claims = {claim.session_id: claim for claim in await store.ready.claim("w", 2, 0)}
    await store.ready.claim("w", 1, 0)  # now it is subscribed
    await store.ready.requeue("w", [claims["short"]], VISIBILITY_MS // 2)
    await store.ready.requeue("w", [claims["long"]], VISIBILITY_MS * 2)
    await store.ready.recall(["short", "long"])
    moves: list[str] = []

    def fails(name: str, *_: object) -> bool:
        moves.extend([name] * (name == "move"))
        return name == "move" and len(moves) == failing_move + 1

    failing(store, monkeypatch, fails)
    with pytest.raises(StoreUnavailable):
        await store.ready.claim("w", 2, 0)
    await store.ready.extend("w")
    found = await store.ready.claim("another", 2, 0) + await store.ready.claim("w", 2, 0)
    assert sorted(names(found)) == ["long", "short"]


async def test_what_a_claim_has_found_survives_a_stream_that_does_not_answer(
    store: RedisStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Which streams are asked first changes with what they answered."""
    ready: Any = store.ready
    count = len(store.keys.ready)
    broken = ready._shard("s0")
    whole = next(name for name in map("s{}".format, range(99)) if ready._shard(name) != broken)
    asked: list[int] = []

    def fails(name: str, shard: int, *_: object) -> bool:
        asked.extend([shard] * (name == "claim"))
        return name == "claim" and shard == broken

    await sent(store, "s0", "t")
    failing(store, monkeypatch, fails)
    with pytest.raises(StoreUnavailable):
        await ready.claim("w", 5, 0)
    for number in range(3):
        await sent(store, whole, str(number))
        assert names(await ready.claim("w", 1 + number, 0)) == [whole]
    del asked[:]
    with pytest.raises(StoreUnavailable):
        await ready.claim("w", 5, 0)
    assert (len(asked), asked[-1]) == (count, broken)
    monkeypatch.undo()
    assert names(await ready.claim("w", 5, 0)) == ["s0"]
