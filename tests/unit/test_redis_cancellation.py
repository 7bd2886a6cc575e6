"""A cancellation of the caller ends its call, whatever the client library makes of it."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from redis.asyncio import Redis
from redis.exceptions import ConnectionError as Cut
from redis.exceptions import OutOfMemoryError

from turnwise.stores.redis import RedisStore
from turnwise.stores.redis.scripts import script
from turnwise.stores.redis.transport import Transport
from turnwise.testing.servers.ports import free_port


class _Swallowing(Redis):
    """A client that takes a cancellation for a reason to answer, or to fail."""

    single_connection_client = False

    def __init__(self, failure: Exception | None) -> None:
        super().__init__(port=free_port())
        self._failure = failure
        self.called = asyncio.Event()

    async def execute_command(self, *command: Any, **options: Any) -> Any:
        try:
            self.called.set()
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            if self._failure is not None:
                raise self._failure from None
            return [b"ok"]


def _transport(client: _Swallowing, patience: float = 60.0) -> Transport:
    return RedisStore(client, patience=patience)._transport


_FAILURES = None, Cut("cut"), OutOfMemoryError("refused")


@pytest.mark.parametrize("patience", [0.0, 60.0])
@pytest.mark.parametrize("failure", _FAILURES)
async def test_a_cancellation_that_the_client_swallows_is_raised(
    failure: Exception | None, patience: float
) -> None:
    client = _Swallowing(failure)
    calls = _transport(client, patience)
    call = asyncio.create_task(calls.run(script("info"), "s", (), "s"))
    await client.called.wait()
    call.cancel()
    await asyncio.wait({call}, timeout=30)
    assert call.cancelled()


@pytest.mark.parametrize("failure", _FAILURES)
async def test_a_timeout_around_a_call_is_not_lost(failure: Exception | None) -> None:
    calls = _transport(_Swallowing(failure))
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.01):
            await calls.run(script("info"), "s", (), "s")


async def test_a_timeout_of_ours_is_no_cancellation_of_the_caller() -> None:
    calls = _transport(_Swallowing(None))
    calls.timeout = 0.01
    assert await calls.run(script("info"), "s", (), "s") == [b"ok"]
