"""Conversations that the Agents SDK keeps in a SQLite file. The file is opened for reading only."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

from turnwise.errors import UsageError
from turnwise.stores.sqlite.queries import queries
from turnwise.types import SDKConversation, SDKItem, TokenUsage

_ADVANCED = "message_structure"


class SDKFile:
    """A file of `SQLiteSession`, `AdvancedSQLiteSession` or `SQLAlchemySession`.

    Raises UsageError if it cannot be read, or holds none.
    """

    def __init__(self, path: Path, sessions_table: str, messages_table: str) -> None:
        self._path = path
        self._names = {"sessions": _quoted(sessions_table), "messages": _quoted(messages_table)}
        try:
            uri = f"{path.absolute().as_uri()}?mode=ro"
            self._database = sqlite3.connect(uri, uri=True, check_same_thread=False)
            self._tables = {name for (name,) in self._all("tables")}
        except sqlite3.Error as error:
            raise UsageError(f"{str(path)!r} cannot be read as a SQLite file: {error}") from None
        if missing := {sessions_table, messages_table} - self._tables:
            self.close()
            raise UsageError(
                f"{str(path)!r} has no table {', '.join(map(repr, sorted(missing)))}: is it a file "
                "of the SDK's sessions, and are its tables named otherwise?"
            )

    def close(self) -> None:
        self._database.close()

    def ids(self) -> list[str]:
        """The ids of all sessions."""
        return [str(session_id) for (session_id,) in self._all("sessions")]

    def branches(self, session_id: str) -> list[str | None]:
        """Its branches; [None] where there are none."""
        found: list[str | None] = []
        if _ADVANCED in self._tables:
            found = [branch for (branch,) in self._all("branches", session_id)]
        return found or [None]

    def read(self, session_id: str, branch: str | None) -> SDKConversation:
        """A session, or one branch of it."""
        name = "messages" if branch is None else "branch_messages"
        rows = self._all(name, session_id, branch)
        created = [row[0] for row in self._all("created", session_id)]
        return SDKConversation(
            session_id,
            [SDKItem(*row) for row in rows],
            branch,
            created_at=created[0] if created else None,
            usage={} if branch is None else dict(self._usage(session_id, branch)),
            notes=() if branch is None else self._notes(session_id),
        )

    def _notes(self, session_id: str) -> tuple[str, ...]:
        ((count,),) = self._all("branchless", session_id)
        return (f"{count} items that are in no branch are left out",) if count else ()

    def _usage(self, session_id: str, branch: str) -> Iterator[tuple[int, TokenUsage]]:
        if "turn_usage" not in self._tables:
            return
        for turn, requests, input_tokens, output_tokens, *details in self._all(
            "usage", session_id, branch
        ):
            cached, reasoning = map(_detail, details, ("cached_tokens", "reasoning_tokens"))
            counts = (requests or 0, input_tokens or 0, output_tokens or 0, cached, reasoning)
            yield turn, TokenUsage(*counts)

    def _all(self, name: str, session_id: str = "", branch: str | None = None) -> list[Any]:
        statement = queries("sdk_sessions.sql")[name].format(**self._names)
        values = {"session_id": session_id, "branch": branch}
        with closing(self._database.execute(statement, values)) as cursor:
            return cursor.fetchall()


def _quoted(table: str) -> str:
    escaped = table.replace('"', '""')
    return f'"{escaped}"'


def _detail(details: str | None, name: str) -> int:
    """A count in the JSON that the SDK keeps of it, which is an object or a list of one."""
    try:
        found = json.loads(details or "{}")
    except ValueError:
        return 0
    found = found[0] if isinstance(found, list) and found else found
    count = found.get(name) if isinstance(found, dict) else 0
    return count if isinstance(count, int) else 0
