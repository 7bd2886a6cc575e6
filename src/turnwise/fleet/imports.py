"""Sessions from the lines that `exports` wrote."""

from __future__ import annotations

from base64 import b64decode
from collections.abc import AsyncIterator, Iterable
from dataclasses import dataclass, field
from typing import Any

import msgspec

from turnwise.codec import Codec, EncodeError
from turnwise.codec.elements import marker, record
from turnwise.errors import UsageError
from turnwise.fleet.exports import FORMAT
from turnwise.fleet.taking_over import ImportedSession, Turns, take_over
from turnwise.turns import Runtime, check_session_id, check_turn_id
from turnwise.types import Base, Record, RecordKind, TokenUsage


class _Session(msgspec.Struct, tag_field="type", tag="session", kw_only=True):
    format: int
    session_id: str
    created_at: float = 0.0
    expires_at: float | None = None
    usage: list[int] = []
    owner: str | None = None


class _Turn(msgspec.Struct, tag_field="type", tag="turn", kw_only=True):
    turn_id: str
    kind: RecordKind
    at_ms: int
    commit_id: str
    added: int
    items: list[dict[str, Any]]
    attempt: int = 0
    worker: str = ""
    usage: list[int] = []
    result: str = ""


class _End(msgspec.Struct, tag_field="type", tag="end", kw_only=True):
    session_id: str
    turns: int
    error: str | None = None


_Line = _Session | _Turn | _End


@dataclass
class _Exported:
    """A session as its lines say, in its stored form."""

    session_id: str
    created_ms: int
    expires_at: float | None
    usage: TokenUsage
    owner: str | None = None
    notes: tuple[str, ...] = ()
    last_commit_id: str = ""
    _elements: list[bytes] = field(default_factory=list)
    _ends: list[tuple[Base, int, TokenUsage]] = field(default_factory=list)
    """The name of the history after each turn, how many items the turn has, and its usage."""

    def add(self, codec: Codec, turn: _Turn) -> None:
        check_turn_id(self.session_id, turn.turn_id)
        usage = TokenUsage(*turn.usage)
        stored = Record(
            *(turn.commit_id, turn.at_ms, turn.added, turn.kind, b64decode(turn.result)),
            *(turn.attempt, turn.worker, usage),
        )
        self._elements += [codec.encode(item) for item in turn.items]
        self._elements += [marker(turn.turn_id), record(stored)]
        self.last_commit_id = turn.commit_id
        self._ends.append((Base(len(self._elements), turn.commit_id), len(turn.items), usage))

    @property
    def turns(self) -> int:
        return len(self._ends)

    def behind(self, tip: Base | None) -> Turns | None:
        if tip is None:
            items = sum(count for _, count, _ in self._ends)
            return Turns(self._elements, self.turns, items, self.usage)
        names = [name for name, _, _ in self._ends]
        if tip not in names:
            return None
        rest = self._ends[names.index(tip) + 1 :]
        items = sum(count for _, count, _ in rest)
        usage = sum((usage for _, _, usage in rest), TokenUsage())
        return Turns(self._elements[tip.position :], len(rest), items, usage)


async def import_sessions(
    runtime: Runtime, lines: Iterable[object], *, dry_run: bool
) -> AsyncIterator[ImportedSession]:
    """See `Session.import_sessions`."""
    session: _Exported | None = None
    for number, value in enumerate(lines, 1):
        line = _parsed(number, value)
        if isinstance(line, _Session):
            if session is not None:
                yield _incomplete(session)
            session = _begun(number, line)
        elif session is None:
            raise _bad(number, "it belongs to no session")
        elif isinstance(line, _Turn):
            _add(runtime, session, number, line)
        else:
            yield await _ended(runtime, session, line, dry_run=dry_run)
            session = None
    if session is not None:
        yield _incomplete(session)


def _parsed(number: int, value: object) -> _Line:
    try:
        line: _Line = msgspec.convert(value, _Line)
    except msgspec.ValidationError as error:
        raise _bad(number, str(error)) from None
    return line


def _begun(number: int, line: _Session) -> _Exported:
    if line.format > FORMAT:
        raise _bad(number, f"a newer version wrote it, in format {line.format}; upgrade this one")
    check_session_id(line.session_id)
    created_ms, usage = int(line.created_at * 1000), TokenUsage(*line.usage)
    return _Exported(line.session_id, created_ms, line.expires_at, usage, line.owner)


def _add(runtime: Runtime, session: _Exported, number: int, line: _Turn) -> None:
    try:
        session.add(runtime.codec, line)
    except (EncodeError, ValueError, TypeError) as error:
        raise _bad(number, str(error)) from None


async def _ended(
    runtime: Runtime, session: _Exported, line: _End, *, dry_run: bool
) -> ImportedSession:
    if line.error is not None:
        return ImportedSession(session.session_id, "refused", error=line.error)
    if line.session_id != session.session_id or line.turns != session.turns:
        return _incomplete(session)
    try:
        of_owner = runtime.for_owner(session.owner)
    except UsageError as error:
        return ImportedSession(session.session_id, "refused", error=str(error))
    return await take_over(of_owner, session, dry_run=dry_run)


def _incomplete(session: _Exported) -> ImportedSession:
    return ImportedSession(
        session.session_id, "refused", error="its lines are not complete: export it again"
    )


def _bad(number: int, why: str) -> UsageError:
    return UsageError(f"line {number} is none of an export: {why}")
