"""The audit: who did what as an operator, why, and what became of it."""

from __future__ import annotations

import getpass
import logging
import os
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import cache
from typing import Literal

import msgspec

from turnwise.errors import StoreError, UsageError
from turnwise.turns import Runtime, check_count, checked_reason, mint
from turnwise.turns.errors import shown
from turnwise.types import AuditEntry

Action = Literal[
    "cancel",
    "copy",
    "create_key",
    "decide",
    "delete",
    "delete_dead_letter",
    "expire",
    "import_from",
    "import_sessions",
    "pause_queue",
    "quiet_worker",
    "release",
    "resume_queue",
    "resume_worker",
    "retry_dead_letter",
    "revoke_key",
    "rewind",
    "stop_worker",
]
_PAGE = 500
_MOST = 1000
_MAX_NAME_BYTES = 200
_MOST_SHOWN = 500
"""Characters of a target that a record shows."""
_log = logging.getLogger("turnwise")


@dataclass(frozen=True, slots=True)
class AuditRecord:
    """One action of an operator.

    Attributes:
        id: its id; a later one has a greater id.
        at: when it was asked for, in POSIX seconds by the store's clock.
        by: who asked; by default the process's user and host, "anna@web-1".
        action: the method of `Session`: "cancel", "decide", "delete" …
        session_id: the session; "" if it is about none.
        target: what else it is about: a turn_id, a dead letter's id, ids of approvals, an expiry,
            an agent, a worker, a new session's id, where an import came from.
        reason: why; "" if nobody said.
        outcome: what became of it: "done", the outcome of a cancellation, how many sessions were
            imported, "absent" if there was nothing to act on, or the name of the error. None if
            that is unknown: the process died, or the store did not answer. The action may have
            taken effect then.
    """

    id: int
    at: float
    by: str
    action: str
    session_id: str
    target: str
    reason: str
    outcome: str | None


class Deed(msgspec.Struct, omit_defaults=True):
    """An action as it is stored. `outcome` is set while it is done."""

    action: str
    by: str
    session_id: str = ""
    target: str = ""
    reason: str = ""
    outcome: str | None = None


_decoder = msgspec.json.Decoder(Deed)


@asynccontextmanager
async def audited(
    runtime: Runtime,
    action: Action,
    session_id: str = "",
    target: str = "",
    *,
    reason: str | None,
    by: str | None,
) -> AsyncIterator[Deed]:
    """Write the record, then run the block, which does it and may set `outcome`; then amend it.

    So nothing is done without a record. An error of the block becomes the outcome. What an owner
    does to their own sessions is no operator's action, and leaves no record: the audit keeps the
    last ones only, and users could push out those of operators.

    Raises:
        UsageError: `reason` or `by` is too long, or no text. Nothing was done.
        StoreError: The record cannot be written. Nothing was done.
    """
    reason = checked_reason(session_id, reason)
    target = target.encode(errors="replace").decode()[:_MOST_SHOWN]
    deed = Deed(action, _operator(by), session_id, target, reason or "")
    if runtime.owner is not None:
        yield deed
        return
    op_id, audit = mint(), runtime.store.audit
    try:
        number = await audit.write(op_id, msgspec.json.encode(deed))
    except StoreError as error:
        told = f"{action} was not done, since it cannot be recorded: {error}"
        raise type(error)(told, session_id=session_id or None) from error
    try:
        yield deed
        deed.outcome = deed.outcome or "done"
    except Exception as error:
        deed.outcome = type(error).__name__
        raise
    finally:
        if deed.outcome is not None:  # else the task was cancelled
            try:
                await audit.amend(number, op_id, msgspec.json.encode(deed))
            except StoreError as error:
                _log.warning("the audit does not tell what became of %s: %s", action, shown(error))


def whether(found: bool) -> str:
    """The outcome of an action that needs something to act on."""
    return "done" if found else "absent"


@dataclass(frozen=True)
class Wanted:
    """Which records `Session.audit` is asked for."""

    match: str
    by: str | None
    action: str | None
    since: float | None

    def has(self, record: AuditRecord) -> bool:
        return (
            fnmatchcase(record.session_id, self.match)
            and self.by in (None, record.by)
            and self.action in (None, record.action)
            and (self.since is None or record.at >= self.since)
        )


async def audit_records(
    runtime: Runtime, wanted: Wanted, count: int, before: int | None
) -> list[AuditRecord]:
    """See `Session.audit`."""
    check_count("count", count, most=_MOST)
    if before is not None:
        check_count("before", before)
    found: list[AuditRecord] = []
    while len(found) < count and (page := await runtime.store.audit.page(_PAGE, before)):
        before = page[-1].number
        found += filter(wanted.has, map(_record, page))
    return found[:count]


def _record(entry: AuditEntry) -> AuditRecord:
    """A record of another version may be one that this one cannot read: then it shows that."""
    try:
        deed = _decoder.decode(entry.record)
    except msgspec.MsgspecError:
        deed = Deed("unreadable", "")
    told = deed.by, deed.action, deed.session_id, deed.target, deed.reason, deed.outcome
    return AuditRecord(entry.number, entry.at_ms / 1000, *told)


def _operator(by: object) -> str:
    if by is None:
        return _own_name()
    if isinstance(by, str) and 0 < len(by.encode(errors="replace")) <= _MAX_NAME_BYTES:
        return by
    raise UsageError(
        f"by is no text of 1 to {_MAX_NAME_BYTES} bytes: name who acts, or leave it out"
    )


@cache
def _own_name() -> str:
    try:
        user = getpass.getuser()
    except (KeyError, OSError):  # a container's user may have no name
        user = str(os.getuid())
    return f"{user}@{socket.gethostname()}"
