"""Imports from the SDK's own sessions, wherever they are."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path
from typing import TypeVar

from turnwise.codec import EncodeError
from turnwise.errors import UsageError
from turnwise.fleet.sdk_import.databases import SDKDatabase
from turnwise.fleet.sdk_import.encryption import Decryption, is_encrypted
from turnwise.fleet.sdk_import.history import Item, SDKHistory
from turnwise.fleet.taking_over import ImportedSession, take_over
from turnwise.printable import without_password
from turnwise.stores.redis.sdk_sessions import SDKKeys
from turnwise.stores.sqlite.sdk_sessions import SDKFile
from turnwise.turns import Runtime, check_session_id
from turnwise.types import SDKConversation, SDKItem

_REDIS = ("redis", "rediss", "unix", "valkey", "valkeys")
_MAIN = "main"
_SHOWN = 3
_Closes = TypeVar("_Closes", SDKKeys, SDKDatabase)


@dataclass(frozen=True, slots=True)
class SDKSource:
    """Where the SDK's sessions are, and which of them are meant.

    Attributes:
        location: `redis://...` for RedisSession. A path, or `sqlite:///path`, for SQLiteSession and
            AdvancedSQLiteSession. Any other URL is SQLAlchemy's, for SQLAlchemySession; it names an
            async driver, and needs `turnwise[import]`.
        match: A glob (`*`, `?`, `[ab]`) that their ids match.
        key_prefix: RedisSession's.
        sessions_table, messages_table: The tables of the others.
        branch: Of AdvancedSQLiteSession, the one branch to import, under the session's own id.
            None for all: "main" under that id, the others as `id@branch`.
        encryption_key: EncryptedSession's.
        skip_undecodable: Leave items out that cannot be read or decrypted, as the SDK does. A
            session that has some is otherwise refused.
    """

    location: str
    match: str = "*"
    key_prefix: str = "agents:session"
    sessions_table: str = "agent_sessions"
    messages_table: str = "agent_messages"
    branch: str | None = None
    encryption_key: str | None = field(default=None, repr=False)
    skip_undecodable: bool = False

    @property
    def shown(self) -> str:
        """The location, as the audit records it."""
        return without_password(self.location) if "://" in self.location else self.location


async def import_from(
    runtime: Runtime, source: SDKSource, *, dry_run: bool
) -> AsyncIterator[ImportedSession]:
    """See `Session.import_from`."""
    decryption = None if source.encryption_key is None else Decryption(source.encryption_key)
    async for conversation in _conversations(source):
        session_id = _id_of(source, conversation)
        read = _Read(conversation, decryption)
        if read.faults and not source.skip_undecodable:
            yield ImportedSession(session_id, "refused", error=read.fault())
            continue
        notes = (f"left out: {read.fault()}",) if read.faults else ()
        try:
            check_session_id(session_id)
            history = SDKHistory(runtime.codec, session_id, conversation, read.items, notes)
            yield await take_over(runtime, history, dry_run=dry_run)
        except (UsageError, EncodeError) as error:
            yield ImportedSession(session_id, "refused", error=str(error))


def _id_of(source: SDKSource, conversation: SDKConversation) -> str:
    branch = conversation.branch
    is_own = branch in (None, _MAIN) or source.branch is not None
    return conversation.session_id if is_own else f"{conversation.session_id}@{branch}"


class _Read:
    """The items of a conversation, and what of them cannot be read."""

    def __init__(self, conversation: SDKConversation, decryption: Decryption | None) -> None:
        self._session_id = conversation.session_id
        self._decryption = decryption
        self.items: list[tuple[SDKItem, Item]] = []
        self.faults: list[str] = []
        for number, each in enumerate(conversation.items):
            try:
                self.items.append((each, self._decoded(each)))
            except (ValueError, RecursionError) as error:
                reason = str(error) if not isinstance(error, json.JSONDecodeError) else "no JSON"
                self.faults.append(f"item {number}: {reason}")

    def fault(self) -> str:
        more = len(self.faults) - _SHOWN
        return "; ".join(self.faults[:_SHOWN]) + (f"; and {more} more" if more > 0 else "")

    def _decoded(self, each: SDKItem) -> Item:
        item = json.loads(each.data)
        if is_encrypted(item):
            if self._decryption is None:
                raise ValueError("it is encrypted, and no key was given")
            item = self._decryption.decrypt(self._session_id, item)
        if not isinstance(item, dict):
            raise ValueError("no JSON object")
        return item


async def _conversations(source: SDKSource) -> AsyncIterator[SDKConversation]:
    """One after the other, each read when the one before was taken over."""
    scheme, _, rest = source.location.partition("://")
    if scheme in _REDIS:
        found = _in_redis(source)
    elif rest and scheme != "sqlite":
        found = _in_database(source)
    else:
        found = _in_file(source, Path(rest.removeprefix("/") if rest else source.location))
    async for conversation in found:
        yield conversation


async def _in_redis(source: SDKSource) -> AsyncIterator[SDKConversation]:
    async with _closing(SDKKeys(source.location, source.key_prefix)) as keys:
        seen = set[str]()
        async for session_id in keys.ids():
            if fnmatchcase(session_id, source.match) and session_id not in seen:
                seen.add(session_id)
                yield await keys.read(session_id)


async def _in_database(source: SDKSource) -> AsyncIterator[SDKConversation]:
    names = source.sessions_table, source.messages_table
    async with _closing(SDKDatabase(source.location, *names)) as database:
        for session_id in await database.ids():
            if fnmatchcase(session_id, source.match):
                yield await database.read(session_id)


async def _in_file(source: SDKSource, path: Path) -> AsyncIterator[SDKConversation]:
    names = source.sessions_table, source.messages_table
    file = await asyncio.to_thread(SDKFile, path, *names)
    try:
        for session_id in await asyncio.to_thread(file.ids):
            if fnmatchcase(session_id, source.match):
                for branch in await asyncio.to_thread(file.branches, session_id):
                    if source.branch is None or branch in (None, source.branch):
                        yield await asyncio.to_thread(file.read, session_id, branch)
    finally:
        file.close()


@asynccontextmanager
async def _closing(source: _Closes) -> AsyncIterator[_Closes]:
    try:
        yield source
    finally:
        await source.close()
