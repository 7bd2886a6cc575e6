"""Known bugs (mutants), planted into a worker by name. The library does not know of them.

Each is a small change of a script's text or of a method. `plant` fails if the code to be changed
no longer exists.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Callable, Mapping, Sequence
from importlib import import_module
from secrets import token_urlsafe
from types import SimpleNamespace
from typing import Any

from chaos.planted_serving import PLANTED_SERVING
from chaos.planting import lua, method
from turnwise import process
from turnwise import session as sessions
from turnwise.approvals import ParkedTurn
from turnwise.codec import zstd
from turnwise.durable import calls
from turnwise.errors import StoreError, StoreUnavailable
from turnwise.runner import sync
from turnwise.runner.attempt import RunAttempt
from turnwise.stores.embedded.verbs import messages
from turnwise.stores.redis import pipeline, session_scripts, transport
from turnwise.stores.redis.store import RedisStore
from turnwise.stores.redis.transport import Transport
from turnwise.turns import Commit, cancelled, ends
from turnwise.turns.changes import pop_item
from turnwise.turns.runtime import Runtime
from turnwise.turns.turn import Turn
from turnwise.types import Base, Done, Late
from turnwise.worker import acks
from turnwise.worker import worker as queues

VARIABLE = "CHAOS_MUTANT"


def plant(name: str) -> None:
    """Plant the bug of this name; none if it is empty."""
    if name:
        PLANTED[name]()


async def _clear_by_pops(runtime: Runtime, session_id: str) -> None:
    while await pop_item(runtime, session_id) is not None:
        pass


async def _append_with_new_op_id(
    self: RedisStore, session_id: str, op_id: str, items: Sequence[bytes]
) -> Any:
    """Each retry has an op id of its own."""
    sent_once = Transport(self._connections, 0.0)
    once = session_scripts.SessionScripts(sent_once, self.keys, self.limits, self._owned, None)
    deadline = time.monotonic() + 3.0
    while True:
        try:
            return await once.answer("append", session_id, token_urlsafe(12), *items)
        except StoreUnavailable:
            if time.monotonic() > deadline:
                raise


_commit = RedisStore.commit


async def _commit_not_atomic(
    self: RedisStore,
    session_id: str,
    turn_id: str,
    token: str,
    base: Any,
    commit_id: str,
    items: Sequence[bytes],
    **options: Any,
) -> Any:
    """Commit the turn with its first item, then append the others."""
    answer = await _commit(self, session_id, turn_id, token, base, commit_id, items[:1], **options)
    while isinstance(answer, Done) and len(items) > 1:
        rest = await self.append(session_id, token_urlsafe(12), items[1:])
        if isinstance(rest, Done):
            return rest
    return answer


_journal = RedisStore.journal


async def _journal_in_background(self: RedisStore, *args: Any) -> Done:
    """Report the entry as journaled while it is still being written."""

    async def write() -> None:
        await asyncio.sleep(0.1)
        await _journal(self, *args)

    _writing.add(task := asyncio.create_task(write()))
    task.add_done_callback(_writing.discard)
    return Done(Base(0, ""))


_writing: set[asyncio.Task[None]] = set()


def _cancel_neighbours(self: Any) -> None:
    """A caller that is cancelled cancels the pipeline, and all who wait for its replies."""
    self.task.cancel()
    for call in self.calls:
        call.reply.cancel()


_deliver = pipeline.Pipeline._deliver


def _deliver_to_neighbours(self: Any, calls: list[Any], task: Any) -> None:
    """Each reply goes to the next caller of its pipeline."""
    _deliver(self, [*calls[1:], calls[0]], task)


_release = ends._release


async def _drop_journal_at_error(turn: Turn, outcome: Any, failed: bool) -> None:
    """Roll a direct turn back, journal and all, if its run raised."""
    raised = isinstance(outcome.reason, Exception) and not isinstance(outcome.reason, StoreError)
    if raised and turn.message is None and not turn.resumed:
        await ends._abort(turn)
    else:
        await _release(turn, outcome, failed)


def _client_clock() -> None:
    """The clocks of workers differ by twenty seconds, and the scripts use them."""
    skew = os.getpid() % 3 * 20_000

    def stamped(size: int) -> str:
        return f"{token_urlsafe(size)}~{time.time() * 1000 + skew:.0f}"

    assert vars(session_scripts)["secrets"] is not None
    vars(session_scripts)["secrets"] = SimpleNamespace(token_urlsafe=stamped)
    lua(
        "",
        "local NOW = clock[1] * 1000 + math.floor(clock[2] / 1000)",
        "local NOW = tonumber(string.match(ARGV[2], '~(%d+)$'))",
    )()


async def _wake_up_after_submit(
    runtime: Runtime, session_id: str, turn_id: str, content: bytes
) -> Any:
    """Queue the message, and wake the workers a moment later."""
    answer = await runtime.store.submit(session_id, turn_id, content)
    assert not isinstance(answer, Late)
    await asyncio.sleep(0.3)
    await runtime.store.ready.announce(session_id, turn_id)
    return answer


async def _always_ack(self: Any, claim: Any) -> bool:
    """A worker that finds no message acks the wake-up at once."""
    return True


_visit = queues.Worker._visit


async def _ack_first(self: Any, session_id: str) -> None:
    """Ack the wake-up before its message runs."""
    await self._ready.ack(self._name, self._backlog.claims(session_id))
    await _visit(self, session_id)


def _dequeue_early() -> None:
    """A message leaves the queue when its turn begins."""
    original = vars(messages)["open_turn"]

    def open_turn(s: Any, turn_id: str, *args: Any, message: Any = None, **rest: Any) -> None:
        original(s, turn_id, *args, message=message, **rest)
        if message is not None:
            s.header.turn.background = False
            s.state.queue.remove(message)

    vars(messages)["open_turn"] = open_turn
    lua(
        "next",
        "redis.call('LSET', KEY, 2 * header.queued, make_message(first))",
        "header.turn.background = nil\n  dequeue(header, 2 * header.queued - 1)",
    )()


def _keep_unpaired(added: Sequence[Any], work: object, *, failed: bool = False) -> list[Any]:
    """An interrupted turn keeps open calls as they are."""
    return [*added, *(work.unsaved(added) if isinstance(work, cancelled.Work) else ())]


def _approve_all(self: ParkedTurn, found: Mapping[str, Any]) -> None:
    """Approve whatever is decided."""
    for name in self.decided.ids:
        found[name].state.approve(found[name].item)


def _key_per_attempt() -> None:
    from chaos import operation_context

    key = vars(operation_context)["idempotency_key"]

    def changed() -> str:
        running = operation_context.current_operation.get()
        return f"{key()}-{running.attempt if running else 0}"

    vars(operation_context)["idempotency_key"] = changed


async def _do_nothing_async(self: Any, *args: Any, **options: Any) -> None:
    """Replaces a method that writes."""


def _do_nothing(self: Any, *args: Any, **options: Any) -> None:
    """Replaces a method that keeps something."""


class _SharedCompressor:
    """One frame at a time, whichever thread begins or ends it; they switch in between."""

    def __init__(self, compressor: Any) -> None:
        self._compressor = compressor
        self._frame: Any = None

    def compress(self, raw: bytes) -> bytes:
        self._frame = self._compressor.compressobj(size=len(raw))
        begun: bytes = self._frame.compress(raw)
        time.sleep(0.0002)
        return begun + bytes(self._frame.flush())


def _share_contexts() -> None:
    """All threads use the compression contexts of the first one."""
    first = vars(zstd._contexts()).copy()
    for name in ("compressor", "bare_compressor"):
        first[name] = _SharedCompressor(first[name])
    vars(zstd)["_contexts"] = lambda: SimpleNamespace(**first)


def _inherit() -> None:
    """A forked child goes on with its parent's event loop, clients and connections."""
    for kind in (process.PerLoop, process.PerProcess):
        method(kind, "reset_in_child", _do_nothing)()
    assert vars(sync)["_current"] is not None

    def current() -> Any:
        loop = asyncio.get_event_loop_policy().get_event_loop()
        return None if loop.is_closed() or loop.is_running() else loop

    vars(sync)["_current"] = current


def _commit_without_result(self: Any, *args: Any) -> Commit:
    """The run's result is not recorded with its turn."""
    return Commit()


def _never(error: Exception) -> bool:
    return False


def _always(self: Any, *args: Any) -> bool:
    return True


PLANTED: dict[str, Callable[[], None]] = {
    "base-without-commit-id": lua(
        "", "valid = valid or header.commit_id == commit_id", "valid = true"
    ),
    "stale-cache": lua(
        "",
        "valid = string.sub(record, 1, #commit_id + 2) == RECORD .. commit_id .. ' '",
        "valid = true",
    ),
    "commit-without-token": lua(
        "commit",
        "local held = holds(header, turn_id, token)",
        "local held = header.turn and header.turn.id == turn_id",
    ),
    "journal-without-token": lua(
        "journal",
        "if not holds(header, turn_id, token)",
        "if not (header.turn and header.turn.id == turn_id)",
    ),
    "journal-not-awaited": method(RedisStore, "journal", _journal_in_background),
    "journal-not-read": lua(
        "",
        "local length = journal_length(header)\n  local journal",
        "local length = 0\n  local journal",
    ),
    "clear-not-atomic": method(sessions, "clear_items", _clear_by_pops),
    "append-with-new-op-id": method(RedisStore, "append", _append_with_new_op_id),
    "append-not-deduplicated": lua(
        "append", "local answer = done_before(header, op_id, op_id)", "local answer"
    ),
    "pop-without-base": lua("pop", "header.commit_id ~= base", "false"),
    "release-forgets-token": lua("release", "finish_token(header, token)\n", ""),
    "cancel-without-effect": lua(
        "cancel", "end_turn(header, NEW_ID, 'cancelled', payload)", "save_and_wake(header)"
    ),
    "client-clock": _client_clock,
    "lease-ignored": lua("", "local left_ms = lease_left(turn)", "local left_ms = 0"),
    "record-without-count": lua(
        "",
        "make_record(commit_id, items, kind, payload, run)\n  for",
        "make_record(commit_id, 0, kind, payload, run)\n  for",
    ),
    "turn-id-not-checked": lua(
        "begin",
        "local finished = not is_open and find_turn(header, turn_id, one_shot and RECENT_ELEMENTS)",
        "local finished",
    ),
    "turn-id-forgotten": lua("", "if age_ms <= RETENTION_MS then return end", ""),
    "commit-not-atomic": method(RedisStore, "commit", _commit_not_atomic),
    "result-not-committed": method(RunAttempt, "outcome", _commit_without_result),
    "tool-start-not-journaled": method(calls._ToolCall, "journal_start", _do_nothing_async),
    "tool-end-not-journaled": method(calls._ToolCall, "journal_end", _do_nothing_async),
    "every-tool-repeatable": method(calls._ToolCall, "may_repeat", _always),
    "key-per-attempt": _key_per_attempt,
    "message-dequeued-early": _dequeue_early,
    "wake-up-after-message": method(
        import_module("turnwise.background.submit"), "enqueue", _wake_up_after_submit
    ),
    "wake-up-acked-when-idle": method(acks.Acks, "_is_settled", _always_ack),
    "wake-up-acked-early": method(queues.Worker, "_visit", _ack_first),
    "attempts-not-counted": lua(
        "next",
        "open_turn(header, turn.id,",
        "turn.attempt = turn.attempt - 1\n  open_turn(header, turn.id,",
    ),
    "events-without-reset": lua(
        "events/append", "highest = tonumber(number)\n  else\n    redis.call('DEL', KEY)\n", ""
    ),
    "turn-resumed-twice": lua(
        "begin",
        "takeover = resume and suspended(turn)",
        "takeover = resume and turn.token ~= token",
    ),
    "rejection-approves": method(ParkedTurn, "_decide", _approve_all),
    "parked-turn-dropped": lua(
        "",
        "if answer then return answer end",
        "if answer then close_turn(header) return nil end",
    ),
    "journal-dropped-at-error": method(ends, "_release", _drop_journal_at_error),
    "interrupt-unpaired": method(cancelled, "finished", _keep_unpaired),
    "cancel-flag-ignored": method(Turn, "_cancel", _do_nothing),
    "pipeline-cancelled-by-neighbour": method(pipeline._Sending, "leave", _cancel_neighbours),
    "reply-to-wrong-caller": method(pipeline.Pipeline, "_deliver", _deliver_to_neighbours),
    "compression-contexts-shared": _share_contexts,
    "demoted-server-kept": method(transport, "_leads_astray", _never),
    "connections-inherited": _inherit,
    **PLANTED_SERVING,
}
