"""Known bugs, planted into a worker by name. Nothing in turnwise knows of this.

Each is a small change of the scripts' text, or of a method. What is to be changed must be there:
`plant` fails where turnwise has moved on.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Callable, Mapping, Sequence
from copy import copy
from hashlib import sha1
from importlib import import_module
from secrets import token_urlsafe
from types import SimpleNamespace
from typing import Any

from turnwise import session as sessions
from turnwise.durable import calls
from turnwise.durable.parked import ParkedTurn
from turnwise.errors import StoreUnavailable
from turnwise.runner.attempt import RunAttempt
from turnwise.stores.embedded.verbs import messages
from turnwise.stores.redis import events, scripts, store
from turnwise.stores.redis.store import RedisStore
from turnwise.stores.redis.transport import Transport
from turnwise.turns import stopped
from turnwise.turns.operations import pop_item
from turnwise.turns.runtime import Runtime
from turnwise.turns.turn import Turn
from turnwise.types import Base, Done, Late
from turnwise.worker import acks
from turnwise.worker import worker as queues

VARIABLE = "CHAOS_MUTANT"


def plant(name: str) -> None:
    """Nothing, if the name is empty."""
    if name:
        PLANTED[name]()


def lua(verb: str, old: str, new: str) -> Callable[[], None]:
    """A change of one script, or of what all scripts share if `verb` is empty."""

    place = vars(events if verb.startswith("events/") else store)

    def change() -> None:
        before: Callable[[str], scripts.Script] = place["script"]
        assert old in before(verb or "commit").text, f"the script of {verb!r} has no {old!r}"

        def changed(name: str) -> scripts.Script:
            script = before(name)
            if verb not in ("", name):
                return script
            text = script.text.replace(old, new)
            digest = sha1(text.encode(), usedforsecurity=False).hexdigest()
            return scripts.Script(name, text, digest)

        place["script"] = changed

    return change


def method(kind: Any, name: str, new: Any) -> Callable[[], None]:
    """A method in the place of another."""

    def change() -> None:
        assert hasattr(kind, name), f"{kind} has no {name}"
        setattr(kind, name, new)

    return change


async def _clear_by_pops(runtime: Runtime, session_id: str) -> None:
    while await pop_item(runtime, session_id) is not None:
        pass


async def _append_anew(
    self: RedisStore, session_id: str, op_id: str, items: Sequence[bytes]
) -> Any:
    """Each sending of the same items is another operation."""
    once = copy(self)
    once._transport = Transport(lambda: self.client, 0.0)
    give_up = time.monotonic() + 3.0
    while True:
        try:
            return await once._change("append", session_id, token_urlsafe(12), *items)
        except StoreUnavailable:
            if time.monotonic() > give_up:
                raise


_commit = RedisStore.commit


async def _commit_in_two(
    self: RedisStore,
    session_id: str,
    turn_id: str,
    token: str,
    base: Any,
    commit_id: str,
    items: Sequence[bytes],
    **options: Any,
) -> Any:
    """The first item with the turn, the rest after it."""
    answer = await _commit(self, session_id, turn_id, token, base, commit_id, items[:1], **options)
    while isinstance(answer, Done) and len(items) > 1:
        rest = await self.append(session_id, token_urlsafe(12), items[1:])
        if isinstance(rest, Done):
            return rest
    return answer


_journal = RedisStore.journal


async def _journal_later(self: RedisStore, *args: Any) -> Done:
    """It is said to be written when it has only been begun."""

    async def write() -> None:
        await asyncio.sleep(0.1)
        await _journal(self, *args)

    _writing.add(task := asyncio.create_task(write()))
    task.add_done_callback(_writing.discard)
    return Done(Base(0, ""))


_writing: set[asyncio.Task[None]] = set()


def _clock_of_the_client() -> None:
    """Workers' clocks differ by twenty seconds, and the scripts go by them."""
    skew = os.getpid() % 3 * 20_000

    def stamped(size: int) -> str:
        return f"{token_urlsafe(size)}~{time.time() * 1000 + skew:.0f}"

    assert vars(store)["secrets"] is not None
    vars(store)["secrets"] = SimpleNamespace(token_urlsafe=stamped)
    lua(
        "",
        "local NOW = clock[1] * 1000 + math.floor(clock[2] / 1000)",
        "local NOW = tonumber(string.match(ARGV[2], '~(%d+)$'))",
    )()


async def _push_after(runtime: Runtime, session_id: str, turn_id: str, content: bytes) -> Any:
    """First into the queue; then, a moment later, workers are told."""
    answer = await runtime.store.submit(session_id, turn_id, content)
    assert not isinstance(answer, Late)
    await asyncio.sleep(0.3)
    await runtime.store.ready.announce(session_id, turn_id)
    return answer


async def _is_settled(self: Any, claim: Any) -> bool:
    """A worker that finds nothing forgets that there would be something."""
    return True


_visit = queues.Worker._visit


async def _settle_first(self: Any, session_id: str) -> None:
    """The wake-up is acknowledged when it is taken."""
    await self._ready.ack(self._name, self._line.known(session_id))
    await _visit(self, session_id)


def _take_out() -> None:
    """A message leaves the queue when it is taken."""
    opened = vars(messages)["open_turn"]

    def taken(s: Any, turn_id: str, *args: Any, background: bool = False, **rest: Any) -> Any:
        s.state.queue = [entry for entry in s.state.queue if entry.turn_id != turn_id]
        return opened(s, turn_id, *args, background=False, **rest)

    vars(messages)["open_turn"] = taken
    lua(
        "next",
        "first.attempts + 1, true, first.released)",
        "first.attempts + 1, false, first.released)\n    unqueue(h, 2 * h.q - 1)",
    )()


def _unpaired(added: Sequence[Any], work: object) -> list[Any]:
    """What an interrupted turn keeps, open calls as they are."""
    return [*added, *(work.unsaved(added) if isinstance(work, stopped.Work) else ())]


def _approve_all(self: ParkedTurn, found: Mapping[str, Any]) -> None:
    """Whatever is decided is an approval."""
    for name in self.decided.ids:
        found[name].state.approve(found[name].item)


def _key_per_attempt() -> None:
    from chaos import desk

    key = vars(desk)["idempotency_key"]

    def changed() -> str:
        here = desk.doing.get()
        return f"{key()}-{here.attempt if here else 0}"

    vars(desk)["idempotency_key"] = changed


async def _nothing(self: Any, *args: Any, **options: Any) -> None:
    """In the place of what should be written."""


def _keep_nothing(self: Any, *args: Any, **options: Any) -> None:
    """In the place of what should be kept."""


def _may_always(self: Any, *args: Any) -> bool:
    return True


PLANTED: dict[str, Callable[[], None]] = {
    "integer-compare": lua("", "valid = valid or h.c == commit_id", "valid = true"),
    "stale-cache": lua(
        "",
        "valid = string.sub(record, 1, #commit_id + 2) == RECORD .. commit_id .. ' '",
        "valid = true",
    ),
    "no-token-in-commit": lua(
        "commit", "local held = holds(h, turn_id, token)", "local held = h.t and h.t.id == turn_id"
    ),
    "no-token-in-journal": lua(
        "journal", "if not holds(h, ARGV[7], ARGV[8])", "if not (h.t and h.t.id == ARGV[7])"
    ),
    "journal-not-awaited": method(RedisStore, "journal", _journal_later),
    "journal-not-read": lua(
        "", "local length = journal_length(h)\n  local journal", "local length = 0\n  local journal"
    ),
    "clear-by-pops": method(sessions, "clear_items", _clear_by_pops),
    "retry-with-new-id": method(RedisStore, "append", _append_anew),
    "append-not-looked-up": lua(
        "append", "local answer = repeated(h, op_id, op_id)", "local answer"
    ),
    "pop-without-base": lua("pop", "h.c ~= base", "false"),
    "release-forgets-tokens": lua("release", "finish(h, token)\n", ""),
    "cancel-only-said": lua("cancel", "ending(h, MINT, 'cancelled', t.n or '')", "close(h)"),
    "clock-of-the-client": _clock_of_the_client,
    "lease-ignored": lua("", "local left = remaining(t)", "local left = 0"),
    "record-without-count": lua(
        "",
        "record(commit_id, items, kind, payload)\n  for",
        "record(commit_id, 0, kind, payload)\n  for",
    ),
    "turn-id-not-looked-up": lua(
        "begin", "local p = not ours and find(h, turn_id, one_shot and RECENT)", "local p"
    ),
    "marks-rolled-at-once": lua("", "if NOW - h.y <= RETENTION then return end", ""),
    "commit-in-two-steps": method(RedisStore, "commit", _commit_in_two),
    "result-outside-the-commit": method(RunAttempt, "keep", _keep_nothing),
    "start-not-journaled": method(calls._ToolCall, "start", _nothing),
    "end-not-journaled": method(calls._ToolCall, "_end", _nothing),
    "everything-repeatable": method(calls._ToolCall, "may_repeat", _may_always),
    "key-per-attempt": _key_per_attempt,
    "message-dropped-when-taken": _take_out,
    "wake-up-without-intent": method(
        import_module("turnwise.background.submit"), "enqueue", _push_after
    ),
    "wake-up-forgotten-when-idle": method(acks.Acks, "_is_settled", _is_settled),
    "wake-up-settled-before-the-commit": method(queues.Worker, "_visit", _settle_first),
    "attempts-not-counted": lua("next", "lease, t.a + 1, true", "lease, t.a, true"),
    "events-without-reset": lua(
        "events/append", "redis.call('DEL', KEY) else top = tonumber(number) end", "end"
    ),
    "resumed-twice": lua(
        "begin", "approved = resume and waits(t)", "approved = resume and t.k ~= token"
    ),
    "rejection-approves": method(ParkedTurn, "_decide", _approve_all),
    "parked-turn-dropped": lua(
        "",
        "if waits(t) then return { 'waiting', t.id } end",
        "if waits(t) then drop_turn(h) return nil end",
    ),
    "unpaired-interrupt": method(stopped, "kept", _unpaired),
    "cancel-flag-ignored": method(Turn, "_stop", _keep_nothing),
}
