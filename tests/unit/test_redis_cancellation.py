"""A cancellation of the caller ends its call, whatever the client library makes of it."""

from __future__ import annotations

import asyncio
from typing import Any, cast

import pytest
from redis.exceptions import ConnectionError as Cut

from turnwise.stores.redis.calls import Calls
from turnwise.stores.redis.scripts import script


class _Swallowing:
    """A client that takes a cancellation for a reason to answer, or to fail."""

    def __init__(self, fails: bool) -> None:
        self._fails = fails
        self.called = asyncio.Event()

    async def execute_command(self, *command: Any, **options: Any) -> Any:
        try:
            self.called.set()
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            if self._fails:
                raise Cut("cut") from None
            return [b"ok"]


@pytest.mark.parametrize("fails", [False, True])
async def test_a_cancellation_that_the_client_swallows_goes_on(fails: bool) -> None:
    client = _Swallowing(fails)
    calls = Calls(cast(Any, client), patience=60.0)
    call = asyncio.create_task(calls.run("s", script("info"), "s", ()))
    await client.called.wait()
    call.cancel()
    await asyncio.wait({call}, timeout=30)
    assert call.cancelled()


@pytest.mark.parametrize("fails", [False, True])
async def test_a_timeout_around_a_call_is_not_lost(fails: bool) -> None:
    calls = Calls(cast(Any, _Swallowing(fails)), patience=60.0)
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.01):
            await calls.run("s", script("info"), "s", ())


async def test_a_timeout_of_ours_is_no_cancellation_of_the_caller() -> None:
    calls = Calls(cast(Any, _Swallowing(False)), patience=60.0, timeout=0.01)
    assert await calls.run("s", script("info"), "s", ()) == [b"ok"]
