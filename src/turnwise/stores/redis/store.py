"""Sessions on Redis. Each verb is one EVALSHA on one key; long histories come in plain pages."""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import AbstractAsyncContextManager, contextmanager
from fnmatch import fnmatchcase
from typing import Any, Literal

from turnwise.limits import READ, Limits
from turnwise.process import process_name
from turnwise.stores.listeners import Callback
from turnwise.stores.redis import replies
from turnwise.stores.redis.clients import TIMEOUT, Client
from turnwise.stores.redis.connections import Connections
from turnwise.stores.redis.dead_letters import Letters
from turnwise.stores.redis.events import RedisEvents
from turnwise.stores.redis.header import Header, foreign, newer, parse
from turnwise.stores.redis.keys import Keys
from turnwise.stores.redis.pubsub import TokenWaiter
from turnwise.stores.redis.ready import RedisReady
from turnwise.stores.redis.scan import Scan
from turnwise.stores.redis.scripts import script
from turnwise.stores.redis.transport import Transport
from turnwise.types import (
    Absent,
    Accepted,
    Base,
    Busy,
    Cancelled,
    DeadLetterEntry,
    Done,
    Duplicate,
    Full,
    Gone,
    Grant,
    History,
    Idle,
    Info,
    Late,
    OpenTurn,
    Parked,
    Queued,
    Renewed,
    Running,
    Stale,
)

PAGE = 2048
_START = Base(0, "")


class RedisStore:
    """The contract of `turnwise.contracts.Store` on Redis, Valkey, Cluster or Sentinel.

    `client` is a `redis.asyncio.Redis` or `RedisCluster` with any settings; it is closed by
    `aclose` only if `owned`. It serves one event loop of one process; `another` makes further ones
    like it, which are owned. `patience` is how many seconds a call is sent again before it fails.
    """

    def __init__(
        self,
        client: Client,
        *,
        key_prefix: str = "agents:sessions:",
        limits: Limits | None = None,
        owned: bool = False,
        another: Callable[[], Client] | None = None,
        patience: float = 3.0,
        worker: str = "",
    ) -> None:
        self.keys = Keys(key_prefix)
        self.limits = limits or Limits()
        self._worker = process_name(worker)
        opened = Connections(client, another, lambda: self.keys.channel + self.worker, owned=owned)
        self._connections, self._subscriptions = opened, opened.subscriptions
        self._transport = Transport(opened.clients.here, patience, TIMEOUT if owned else None)
        self._scan = Scan(self._transport)
        self._letters = Letters(self._transport, self.keys)
        parts = self._transport, self.keys, self._subscriptions, self.limits
        self.ready = RedisReady(*parts)
        self.events = RedisEvents(*parts)

    @property
    def client(self) -> Client:
        """The running event loop's."""
        return self._connections.clients.any()

    @property
    def worker(self) -> str:
        """This process's name."""
        return self._worker.get()

    async def read(
        self, session_id: str, base: Base | None = None, limit: int | None = None
    ) -> History | Absent:
        if base is None and (limit is None or limit > READ):
            return await self._pages(session_id, limit)
        position, commit_id = _base(base)
        asked = -1 if limit is None or limit > READ else limit
        reply = await self._verb("read", session_id, position, commit_id, asked)
        if reply[0] == b"absent":
            return Absent()
        return replies.history(reply) or await self._pages(session_id, limit)

    async def begin(
        self,
        session_id: str,
        turn_id: str,
        token: str,
        lease: int,
        base: Base | None = None,
        *,
        worker: str,
        one_shot: bool = False,
        resume: bool = False,
        ticket: int | None = None,
    ) -> Grant | Busy | Queued | Parked | Duplicate | Stale | Full | Absent:
        flags = int(one_shot), int(resume), ticket or 0
        reply = await self._verb(
            "begin", session_id, turn_id, token, lease, *_base(base), worker, *flags
        )
        if reply[0] == b"granted":
            return await self._grant(session_id, token, reply)
        return replies.PLAIN[reply[0]](reply)  # type: ignore[no-any-return]  # by the script's words

    async def next(
        self, session_id: str, token: str, lease: int, base: Base | None = None, *, worker: str
    ) -> Grant | Busy | Parked | Idle | Stale:
        reply = await self._verb("next", session_id, token, lease, *_base(base), worker)
        if reply[0] == b"granted":
            return await self._grant(session_id, token, reply)
        return replies.PLAIN[reply[0]](reply)  # type: ignore[no-any-return]  # by the script's words

    async def journal(
        self, session_id: str, turn_id: str, token: str, index: int, entries: Sequence[bytes]
    ) -> Done | Stale | Gone:
        answer: Done | Stale | Gone = await self._change(
            "journal", session_id, turn_id, token, index, *entries
        )
        return answer

    async def renew(self, session_id: str, turn_id: str, token: str) -> Renewed | Stale | Gone:
        reply = await self._verb("renew", session_id, turn_id, token)
        return replies.renewed(reply) if reply[0] == b"ok" else replies.PLAIN[reply[0]](reply)

    async def commit(
        self,
        session_id: str,
        turn_id: str,
        token: str,
        base: Base,
        commit_id: str,
        items: Sequence[bytes],
        *,
        keep: int | None = None,
        payload: bytes = b"",
        kind: Literal["turn", "cancelled"] = "turn",
    ) -> Done | Stale | Gone | Full:
        ids = turn_id, token, base.commit_id, commit_id
        kept = -1 if keep is None else keep
        answer: Done | Stale | Gone | Full = await self._change(
            "commit", session_id, *ids, kept, payload, kind, *items
        )
        return answer

    async def park(
        self, session_id: str, turn_id: str, token: str, state: bytes
    ) -> Done | Stale | Gone:
        answer: Done | Stale | Gone = await self._change("park", session_id, turn_id, token, state)
        return answer

    async def abort(self, session_id: str, turn_id: str, token: str) -> None:
        await self._verb("abort", session_id, turn_id, token)

    async def release(
        self, session_id: str, turn_id: str, token: str, *, counted: bool = False, delay: int = 0
    ) -> None:
        await self._verb("release", session_id, turn_id, token, int(counted), delay)

    async def append(
        self, session_id: str, op_id: str, items: Sequence[bytes]
    ) -> Done | Busy | Parked | Full:
        answer: Done | Busy | Parked | Full = await self._change(
            "append", session_id, op_id, *items
        )
        return answer

    async def pop(
        self, session_id: str, op_id: str, base: Base
    ) -> Done | Busy | Parked | Stale | Absent:
        answer: Done | Busy | Parked | Stale | Absent = await self._change(
            "pop", session_id, op_id, base.commit_id
        )
        return answer

    async def clear(self, session_id: str, op_id: str) -> Done | Busy | Parked | Absent:
        answer: Done | Busy | Parked | Absent = await self._change("clear", session_id, op_id)
        return answer

    async def replace(
        self, session_id: str, op_id: str, base: Base, keep: int, items: Sequence[bytes]
    ) -> Done | Busy | Parked | Stale | Full | Absent:
        answer: Done | Busy | Parked | Stale | Full | Absent = await self._change(
            "replace", session_id, op_id, base.commit_id, keep, *items
        )
        return answer

    async def submit(
        self,
        session_id: str,
        turn_id: str,
        message: bytes,
        intent: int | None = None,
        *,
        again: str | None = None,
    ) -> Accepted | Duplicate | Busy | Full | Late:
        more = intent or 0, again or ""
        reply = await self._verb("submit", session_id, turn_id, message, *more)
        return replies.accepted(reply) if reply[0] == b"ok" else replies.PLAIN[reply[0]](reply)

    async def status(
        self, session_id: str, turn_id: str
    ) -> Queued | Running | Parked | Duplicate | Absent:
        reply = await self._verb("status", session_id, turn_id)
        return replies.PLAIN[reply[0]](reply)  # type: ignore[no-any-return]  # by the script's words

    async def cancel(
        self,
        session_id: str,
        turn_id: str | None = None,
        *,
        keep: bool = False,
        force: bool = False,
        open_only: bool = False,
        note: str = "",
    ) -> Cancelled | Duplicate:
        """It finds out first which turn is meant, so that a resend spares the one behind it."""
        if turn_id is None and (turn_id := await self._open_turn_id(session_id)) is None:
            return Cancelled("absent")
        how = int(keep), int(force), int(open_only)
        reply = await self._verb("cancel", session_id, turn_id, *how, note)
        return replies.cancelled(reply, turn_id)

    async def _open_turn_id(self, session_id: str) -> str | None:
        info = await self.info(session_id)
        return info.open_turn.turn_id if isinstance(info, Info) and info.open_turn else None

    async def dead_letter(
        self, session_id: str, turn_id: str, token: str, letter: bytes
    ) -> Done | Stale | Gone:
        dead_letter_id = await self._letters.write(session_id, turn_id, token, letter)
        answer: Done | Stale | Gone = await self._change(
            "dead_letter", session_id, turn_id, token, dead_letter_id
        )
        if not isinstance(answer, Done):
            await self._letters.remove(dead_letter_id)
        return answer

    async def dead_letters(
        self, count: int = 100, after: str | None = None
    ) -> list[DeadLetterEntry]:
        return await self._letters.list(count, after, self.status)

    async def delete_dead_letter(self, dead_letter_id: str) -> None:
        await self._letters.remove(dead_letter_id)

    async def delete(self, session_id: str) -> bool:
        """It says first which session is meant, so that a resend spares one made anew."""
        reply = await self._verb("info", session_id)
        if reply[0] == b"absent":
            return False
        header = parse(session_id, self.keys.session(session_id), reply[1])
        await self._verb("delete", session_id, header.incarnation)
        return True

    async def expire(self, session_id: str, ttl: int | None) -> bool:
        reply = await self._verb("expire", session_id, -1 if ttl is None else ttl)
        return bool(reply[0] == b"ok")

    async def info(self, session_id: str) -> Info | Absent:
        reply = await self._verb("info", session_id)
        if reply[0] == b"absent":
            return Absent()
        _, raw, now, ttl, journal = reply
        header = parse(session_id, self.keys.session(session_id), raw)
        return Info(
            session_id=session_id,
            incarnation=header.incarnation,
            items=header.items,
            turns=header.commits,
            bytes=header.bytes,
            queued=header.queued,
            journal=journal,
            created=header.created,
            updated=header.updated,
            ttl=None if ttl < 0 else ttl,
            open_turn=_open_turn(header, now),
        )

    async def scan(self, match: str = "*") -> AsyncIterator[str]:
        async for keys in self._scan.pages(self.keys.pattern(match)):
            for session_id in map(self.keys.session_id, keys):
                if fnmatchcase(session_id, match):
                    yield session_id

    def waiter(self, token: str) -> AbstractAsyncContextManager[TokenWaiter]:
        return self._subscriptions.here().waiter(token)

    @contextmanager
    def on_wakeup(self, token: str, callback: Callback) -> Iterator[None]:
        with self._subscriptions.here().listen(token, callback):
            yield

    async def ping(self) -> None:
        await self._transport.settle(lambda: self.client.execute_command("PING"))

    async def aclose(self) -> None:
        await self._connections.aclose(self.ready.close)

    async def _verb(self, name: str, session_id: str, *args: Any) -> replies.Reply:
        key, limits = self.keys.session(session_id), self.limits
        mint, ttl = secrets.token_urlsafe(12), limits.ttl or 0
        shared = self.keys.channel, mint, ttl, limits.retention, limits.max_bytes, limits.max_queue
        arguments = (*shared, *args)
        reply: replies.Reply = await self._transport.run(session_id, script(name), key, arguments)
        if reply[0] == b"foreign":
            raise foreign(session_id, key)
        if reply[0] == b"newer":
            raise newer(session_id, reply[1])
        return reply

    async def _change(self, name: str, session_id: str, *args: Any) -> Any:
        reply = await self._verb(name, session_id, *args)
        return replies.done(reply) if reply[0] == b"ok" else replies.PLAIN[reply[0]](reply)

    async def _grant(self, session_id: str, token: str, reply: replies.Reply) -> Grant | Stale:
        """A long journal is fetched by a plain command: under the lease it stands still."""
        length, journal = reply[10], reply[11]
        if length > len(journal):
            key = self.keys.session(session_id)
            reply[11] = await self._transport.plain(session_id, key, "LRANGE", key, -length, -1)
            raw = await self._transport.plain(session_id, key, "LINDEX", key, 0)
            turn = None if raw is None else parse(session_id, key, raw).turn
            if turn is None or turn.token != token:
                return Stale()
        return replies.grant(reply)

    async def _pages(self, session_id: str, limit: int | None) -> History | Absent:
        """The history by plain LRANGE, which does not hold up the server as Lua would.

        A page counts if the header before and after it says that nothing moved in between.
        """
        key = self.keys.session(session_id)
        while True:
            first = await self._transport.plain(session_id, key, "LRANGE", key, 0, PAGE - 1)
            if not first:
                return Absent()
            header = parse(session_id, key, first[0])
            start = 0 if limit is None else max(0, header.elements - limit)
            skip = 1 + 2 * header.queued + start
            elements = first[skip : skip + header.elements - start]
            if await self._rest(session_id, key, header, start, elements):
                tip = Base(header.elements, header.commit_id)
                return History(header.incarnation, tip, header.items, start, elements)

    async def _rest(
        self, session_id: str, key: str, header: Header, start: int, elements: list[bytes]
    ) -> bool:
        """Fill `elements` up to the history's end; False if the history changed meanwhile."""
        while start + len(elements) < header.elements:
            first = 1 + 2 * header.queued + start + len(elements)
            last = min(first + PAGE, 1 + 2 * header.queued + header.elements) - 1
            page = await self._transport.plain(session_id, key, "LRANGE", key, first, last)
            raw = await self._transport.plain(session_id, key, "LINDEX", key, 0)
            if raw is None or not parse(session_id, key, raw).same_place(header):
                return False
            if not page:  # somebody cut the list: whoever reads the elements will miss some
                break
            elements += page
        return True


def _base(base: Base | None) -> tuple[int, str]:
    base = base or _START
    return base.position, base.commit_id


def _open_turn(header: Header, now: int) -> OpenTurn | None:
    turn = header.turn
    if turn is None:
        return None
    return OpenTurn(
        turn_id=turn.id,
        attempt=turn.attempt,
        worker=turn.worker,
        state="waiting" if turn.state == "waiting" else "running",
        remaining=min(turn.deadline - now, turn.lease),
        cancelled=replies.CANCEL_MODES[turn.cancelled],
        background=bool(turn.background),
    )
