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
    AuthenticationError,
    AuthorizationError,
    ClusterDownError,
    MasterDownError,
    NoPermissionError,
    NoScriptError,
    ReadOnlyError,
    RedisError,
    ResponseError,
    TryAgainError,
)
from redis.exceptions import BusyLoadingError as LoadingError

from turnwise.errors import StoreRefused, StoreUnavailable, TurnwiseError
from turnwise.stores.redis.clients import Client
from turnwise.stores.redis.header import foreign
from turnwise.stores.redis.scripts import Script

_PASSING = (ReadOnlyError, ClusterDownError, MasterDownError, TryAgainError, LoadingError)
_PASSING_WORDS = ("CLUSTERDOWN", "MASTERDOWN", "TRYAGAIN", "LOADING", "READONLY", "NOREPLICAS")
_RAW = {NEVER_DECODE: True}
_FIRST_PAUSE, _LONGEST_PAUSE = 0.02, 0.5

ADVICE = {
    "NOPERM": "give the user the commands and key patterns that the documentation lists",
    "NOAUTH": "the URL or client needs a password",
    "WRONGPASS": "check the user name and password",
    "OOM": "the server has no memory left: raise maxmemory or remove data",
    "MISCONF": "the server cannot write its persistence file: see its log",
}


class Calls:
    """The way to one server or cluster."""

    def __init__(self, client: Client, patience: float) -> None:
        self.client = client
        self.patience = patience

    async def run(self, session_id: str, script: Script, key: str, args: tuple[Any, ...]) -> Any:
        """Run a verb; its answer as a list whose first element is a word."""

        async def send() -> Any:
            try:
                return await self.client.execute_command(
                    "EVALSHA", script.digest, 1, key, *args, **_RAW
                )
            except NoScriptError:
                return await self.client.execute_command(
                    "EVAL", script.text, 1, key, *args, **_RAW
                )

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
        while True:
            try:
                return await send()
            except Exception as error:
                refusal = _refusal(error, session_id, key)
                if refusal is not None:
                    raise refusal from None
                if time.monotonic() + pause > give_up:
                    raise unavailable(error, session_id) from None
            await asyncio.sleep(pause)
            pause = min(2 * pause, _LONGEST_PAUSE)


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
    if isinstance(error, _PASSING) or not _is_answer(error):
        return None
    text = str(error)
    if text.startswith(_PASSING_WORDS):
        return None
    if text.startswith("WRONGTYPE") and session_id is not None:
        return foreign(session_id, key)
    word = _word(error, text)
    return StoreRefused(
        f"the Redis server refused ({text}); {ADVICE.get(word, 'nothing was written')}",
        session_id=session_id,
    )


def _is_answer(error: Exception) -> bool:
    refused = ResponseError, AuthenticationError, AuthorizationError
    return isinstance(error, refused) and isinstance(error, RedisError)


def _word(error: Exception, text: str) -> str:
    if isinstance(error, NoPermissionError):
        return "NOPERM"
    if isinstance(error, AuthenticationError):
        return "WRONGPASS"
    words = (word for word in ADVICE if word in text)
    return next(words, "")
