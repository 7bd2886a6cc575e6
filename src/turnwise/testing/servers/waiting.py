"""Waiting for conditions."""

import asyncio
import time
from collections.abc import Awaitable, Callable

from redis.exceptions import RedisError

# Seconds between two looks: short at first, then less of a load on a machine that is busy.
_PAUSES = 0.01, 0.1


async def until(condition: Callable[[], Awaitable[bool]], timeout: float, what: str) -> None:
    """Wait until `condition()` answers true; TimeoutError after `timeout` seconds.

    A condition that cannot be asked yet, since the server refuses or breaks the connection,
    counts as false. `what` completes the sentence "... s passed before".
    """
    deadline = time.monotonic() + timeout
    pause, longest = _PAUSES
    while True:
        reason = ""
        try:
            if await condition():
                return
        except (RedisError, OSError) as error:
            reason = f" ({type(error).__name__}: {error})"
        if time.monotonic() > deadline:
            raise TimeoutError(f"{timeout:g} s passed before {what}{reason}")
        await asyncio.sleep(pause)
        pause = min(pause * 1.2, longest)
