"""Sending one command until it is answered, and turning refusals into our errors.

An exception from the client library says nothing about what the server did: the command may have
run. Each call here is safe to send again, so it is, until `patience` seconds have passed.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Any

from redis.client import NEVER_DECODE
from redis.exceptions import (
    AskError,
    AuthenticationError,
    ClusterError,
    NoScriptError,
    ResponseError,
)

from turnwise.errors import StoreRefused, StoreUnavailable, TurnwiseError
from turnwise.stores.redis.clients import Client
from turnwise.stores.redis.header import foreign
from turnwise.stores.redis.scripts import Script

# The server, or the cluster, is not ready for the command just now; it ran nothing of it.
_PASSING = frozenset(
    {"BUSY", "CLUSTERDOWN", "LOADING", "MASTERDOWN", "NOREPLICAS", "READONLY", "TRYAGAIN"}
)
_RAW = {NEVER_DECODE: True}
_FIRST_PAUSE, _LONGEST_PAUSE = 0.02, 0.5

ADVICE = {
    "NOPERM": "give the user the commands and key patterns that the documentation lists",
    "NOAUTH": "the URL or client needs a password",
    "WRONGPASS": "check the user name and password",
    "OOM": "the server has no memory left: raise maxmemory or remove data",
    "MISCONF": "the server cannot write its persistence file: see its log",
}


class Transport:
    """The way to one server or cluster, by the client that `clients` answers for this event loop.

    A call is sent again for `patience` seconds; each sending may take `timeout` seconds, if the
    client has no timeout of its own.
    """

    def __init__(
        self, clients: Callable[[], Client], patience: float, timeout: float | None = None
    ) -> None:
        self._clients = clients
        self.patience = patience
        self._timeout = timeout

    @property
    def client(self) -> Client:
        """This event loop's."""
        return self._clients()

    async def run(
        self, session_id: str | None, script: Script, key: str, args: tuple[Any, ...]
    ) -> Any:
        """Run a verb; its answer as a list whose first element is a word."""

        async def send() -> Any:
            execute = self.client.execute_command
            try:
                return await execute("EVALSHA", script.digest, 1, key, *args, **_RAW)
            except NoScriptError:
                return await execute("EVAL", script.text, 1, key, *args, **_RAW)

        return await self._settle(send, session_id, key)

    async def plain(self, session_id: str, key: str, *command: Any) -> Any:
        """Run a plain command on a session's key."""

        async def send() -> Any:
            return await self.client.execute_command(*command, **_RAW)

        return await self._settle(send, session_id, key)

    async def settle(self, send: Callable[[], Awaitable[Any]]) -> Any:
        """Run what concerns no particular session."""
        return await self._settle(send, None, "")

    async def _settle(
        self, send: Callable[[], Awaitable[Any]], session_id: str | None, key: str
    ) -> Any:
        give_up, pause = time.monotonic() + self.patience, _FIRST_PAUSE
        in_doubt, cancelled = False, _cancellations()
        while True:
            try:
                async with asyncio.timeout(self._timeout):
                    answer = await send()
                _pass_on(cancelled)
                return answer
            except Exception as error:
                _pass_on(cancelled)
                refusal = _refusal(error, session_id, key)
                # A refusal says nothing of an earlier sending, which may have run.
                if refusal is not None and not (in_doubt and isinstance(refusal, StoreRefused)):
                    raise refusal from None
                in_doubt = in_doubt or not isinstance(error, ResponseError)
                if time.monotonic() + pause > give_up:
                    raise unavailable(error, session_id) from None
            await asyncio.sleep(pause)
            pause = min(2 * pause, _LONGEST_PAUSE)


def _cancellations() -> int:
    task = asyncio.current_task()
    return 0 if task is None else task.cancelling()


def _pass_on(before: int) -> None:
    """Raise a cancellation that came during a call and was swallowed.

    redis-py sends by `asyncio.wait_for` where it has a timeout, which may do that before Python
    3.12: a caller's own timeout would be lost with it.
    """
    if _cancellations() > before:
        raise asyncio.CancelledError


def unavailable(error: Exception, session_id: str | None) -> StoreUnavailable:
    # The text of a connection error names host and port, never the password.
    return StoreUnavailable(
        f"the Redis server cannot be reached or does not answer ({type(error).__name__}: {error}). "
        "Check that it runs and that the URL is right; the call can be sent again",
        session_id=session_id,
    )


def _refusal(error: Exception, session_id: str | None, key: str) -> TurnwiseError | None:
    """The error for an answer that says no; None where nothing is known and a resend may help."""
    if isinstance(error, TurnwiseError):
        return error
    if not isinstance(error, ResponseError | AuthenticationError):
        return None
    word = _word(error)
    if word in _PASSING or isinstance(error, AskError | ClusterError):
        return None
    if word == "WRONGTYPE" and session_id is not None:
        return foreign(session_id, key)
    return StoreRefused(
        f"the Redis server refused ({_text(error, word)}); "
        f"{ADVICE.get(word, 'nothing was written')}",
        session_id=session_id,
    )


def _word(error: Exception) -> str:
    """The error's code; the client library cuts off the codes that it knows."""
    return str(getattr(error, "status_code", None) or str(error).split(" ", 1)[0])


def _text(error: Exception, word: str) -> str:
    text = str(error)
    return text if text.startswith(word) else f"{word} {text}"
