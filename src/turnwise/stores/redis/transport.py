"""One command, sent until it is answered; errors of the client library become Turnwise's.

An exception says nothing about what the server did: the command may have run. Each command here is
safe to send again, so it is sent again until `patience` seconds have passed since it first failed.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any

from redis.exceptions import (
    AskError,
    AuthenticationError,
    BusyLoadingError,
    ClusterError,
    MaxConnectionsError,
    NoScriptError,
    ResponseError,
)
from redis.exceptions import TimeoutError as RedisTimeout

from turnwise.errors import StoreRefused, StoreUnavailable, TurnwiseError
from turnwise.process import PerLoop
from turnwise.server_timeout import ServerTimeout
from turnwise.stores.redis.clients import Client, disconnect
from turnwise.stores.redis.commands import execute
from turnwise.stores.redis.connections import Connections
from turnwise.stores.redis.free_connections import FreeConnections
from turnwise.stores.redis.header import foreign
from turnwise.stores.redis.pipeline import Pipelines
from turnwise.stores.redis.scripts import Script
from turnwise.stores.redis.wrong_scheme import wrong_scheme

# The server, or the cluster, cannot run the command just now, and ran nothing of it.
_TEMPORARY = frozenset(
    {"BUSY", "CLUSTERDOWN", "LOADING", "MASTERDOWN", "NOREPLICAS", "READONLY", "TRYAGAIN"}
)
# It is not the server that writes: a new connection may lead to that one.
_NOT_THE_PRIMARY = frozenset({"LOADING", "MASTERDOWN", "READONLY"})
_FIRST_PAUSE, _MAX_PAUSE = 0.02, 0.5

ADVICE = {
    "NOPERM": "give the user the commands and key patterns that the documentation lists",
    "NOAUTH": "the URL or client needs a password",
    "WRONGPASS": "check the user name and password",
    "OOM": "the server has no memory left: raise maxmemory or remove data",
    "MISCONF": "the server cannot write its persistence file: see its log",
}

Send = Callable[[], Awaitable[Any]]


class Transport:
    """Sends commands to one server or cluster, by this event loop's client of `opened`.

    A command is sent again for `patience` seconds after it first failed. Each time, the answer is
    waited for at most `timeout` seconds; None leaves that to the client's own timeout.

    In each event loop at most `connections` of the client are in use; what needs one more waits.
    """

    def __init__(
        self,
        opened: Connections,
        patience: float,
        timeout: float | None = None,
        connections: int = 100,
    ) -> None:
        self._opened = opened
        self._free = FreeConnections(connections, lambda: disconnect(self.client))
        self._pipelines = PerLoop(lambda: Pipelines(opened.clients.get, self._free))
        self.patience = patience
        self.timeout = timeout
        self._reached = False

    @property
    def client(self) -> Client:
        """This event loop's."""
        return self._opened.clients.get()

    async def run(
        self, script: Script, key: str, args: tuple[Any, ...], session_id: str | None = None
    ) -> Any:
        """Run a script on one key. Its reply is a list that begins with a word.

        The first sending may share a pipeline. A resend goes alone: so a command that breaks its
        connection each time breaks only its own.
        """
        shared = True

        async def send() -> Any:
            nonlocal shared
            pipeline, shared = self._pipelines.get().get(key) if shared else None, False
            one = self._alone if pipeline is None else pipeline.execute
            async with ServerTimeout(self.timeout):
                try:
                    return await one("EVALSHA", script.digest, 1, key, *args)
                except NoScriptError:
                    return await one("EVAL", script.text, 1, key, *args)

        return await self._answer(send, session_id, key)

    async def _alone(self, *command: Any) -> Any:
        return await self._free.use(partial(execute, self.client, *command))

    async def command(self, session_id: str, name: str, key: str, *args: Any) -> Any:
        """Run a plain command on a session's key."""

        async def send() -> Any:
            return await execute(self.client, name, key, *args)

        return await self.call(send, session_id, key)

    async def call(self, send: Send, session_id: str | None = None, key: str = "") -> Any:
        """What `send` returns, once it succeeds. It takes one connection.

        Raises NotASession, StoreRefused, StoreUnavailable.
        """

        async def send_in_time() -> Any:
            async with ServerTimeout(self.timeout):
                return await send()

        return await self._answer(partial(self._free.use, send_in_time), session_id, key)

    async def _answer(self, send: Send, session_id: str | None, key: str) -> Any:
        deadline, pause = 0.0, _FIRST_PAUSE
        in_doubt, cancellations = False, _cancellations()
        while True:
            try:
                answer = await send()
                _raise_if_cancelled(cancellations)
                self._reached = True
                return answer
            except Exception as error:
                _raise_if_cancelled(cancellations)
                if not deadline:
                    await self._check_scheme(error, session_id)
                refusal = _refusal(error, session_id, key)
                # A refusal says nothing of an earlier sending, which may have run.
                if refusal is not None and not (in_doubt and isinstance(refusal, StoreRefused)):
                    raise refusal from None
                in_doubt = in_doubt or not _ran_nothing(error)
                if _leads_astray(error):
                    await self._opened.reconnect()
                deadline = deadline or time.monotonic() + self.patience
                if time.monotonic() + pause > deadline:
                    raise unavailable(error, session_id) from None
            await asyncio.sleep(pause)
            pause = min(2 * pause, _MAX_PAUSE)

    async def _check_scheme(self, error: Exception, session_id: str | None) -> None:
        """Raise StoreRefused if the client is of the wrong kind for the server."""
        if isinstance(error, TurnwiseError):
            return
        advice = await wrong_scheme(self.client, error, reached=self._reached)
        if advice is not None:
            raise StoreRefused(advice, session_id=session_id) from None


def _cancellations() -> int:
    task = asyncio.current_task()
    return 0 if task is None else task.cancelling()


def _raise_if_cancelled(before: int) -> None:
    """Raise a cancellation that came during a call and was swallowed.

    Where redis-py has a timeout it sends by `asyncio.wait_for`, which may swallow one before Python
    3.12. The caller's own timeout would be lost with it.
    """
    if _cancellations() > before:
        raise asyncio.CancelledError


def store_error(error: Exception) -> TurnwiseError:
    """What to raise for an error of the client, in a call that no `Transport` made."""
    return _refusal(error, None, "") or unavailable(error, None)


def unavailable(error: Exception, session_id: str | None) -> StoreUnavailable:
    return StoreUnavailable(f"{_why(error)}; the call can be sent again", session_id=session_id)


def _why(error: Exception) -> str:
    if _is_pool_exhausted(error):
        return (
            "all connections of the Redis client are in use, so nothing was sent. Raise its "
            "max_connections, or, for an application's client, use RedisSession.from_url, which "
            "makes one for these sessions alone"
        )
    # The text of a connection error names host and port, never the password.
    return (
        "the Redis server cannot be reached or does not answer "
        f"({type(error).__name__}: {error}). Check that it runs and that the URL is right"
    )


def _ran_nothing(error: Exception) -> bool:
    """Whether the server answered that it did not run the command, or got none."""
    return isinstance(error, ResponseError | BusyLoadingError) or _is_pool_exhausted(error)


def _is_pool_exhausted(error: Exception) -> bool:
    # A BlockingConnectionPool has only its words.
    return isinstance(error, MaxConnectionsError) or str(error) == "No connection available."


def _leads_astray(error: Exception) -> bool:
    """Whether the client's other connections may lead to a server that cannot answer either.

    Behind a load balancer or a DNS name, the old primary stays connected after a failover; and a
    firewall drops idle connections without telling anybody.
    """
    return isinstance(error, TimeoutError | RedisTimeout) or _code(error) in _NOT_THE_PRIMARY


def _refusal(error: Exception, session_id: str | None, key: str) -> TurnwiseError | None:
    """The error to raise at once; None if a resend may succeed."""
    if isinstance(error, TurnwiseError):
        return error
    if not isinstance(error, ResponseError | AuthenticationError):
        return None
    code = _code(error)
    if code in _TEMPORARY or isinstance(error, AskError | ClusterError):
        return None
    if code == "WRONGTYPE" and session_id is not None:
        return foreign(session_id, key)
    return StoreRefused(
        f"the Redis server refused ({_text(error, code)}); "
        f"{ADVICE.get(code, 'nothing was written')}",
        session_id=session_id,
    )


def _code(error: Exception) -> str:
    """The error's first word; the client library cuts off the ones that it knows."""
    return str(getattr(error, "status_code", None) or str(error).split(" ", 1)[0])


def _text(error: Exception, code: str) -> str:
    text = str(error)
    return text if text.startswith(code) else f"{code} {text}"
