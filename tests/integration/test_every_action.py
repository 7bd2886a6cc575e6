"""Every method of `Session`: what operators do leaves a record, and nothing else changes anything.

A new method fails until it stands in one of these tables.
"""

from __future__ import annotations

import inspect
import json
from collections.abc import AsyncIterator, Callable
from typing import Any, get_args

import pytest

from tests.integration.background_lab import echo
from tests.integration.scene import WORKER, Scene
from turnwise import SDKSource, connect
from turnwise.fleet.api_keys import ApiKeys
from turnwise.fleet.audit import Action
from turnwise.session import Session

Call = Callable[[Session, Scene], Any]
HOW: dict[str, Any] = {"reason": "4711", "by": "anna"}


def lines(scene: Scene) -> list[Any]:
    return [json.loads(line) for line in scene.exported.read_text().splitlines()]


ACTIONS: dict[str, Call] = {
    "cancel": lambda session, _: session.cancel("held", "h1", timeout=0, **HOW),
    "create_key": lambda session, _: ApiKeys(session.runtime).create("bob", **HOW),
    "copy": lambda session, _: session.copy("s", "new", **HOW),
    "decide": lambda session, scene: session.decide("asks", approve=[scene.approval], **HOW),
    "delete": lambda session, _: session.delete("s", **HOW),
    "delete_dead_letter": lambda session, scene: session.delete_dead_letter(scene.letter, **HOW),
    "expire": lambda session, _: session.expire("s", 60, **HOW),
    "import_from": lambda session, scene: session.import_from(SDKSource(str(scene.sdk)), **HOW),
    "import_sessions": lambda session, scene: session.import_sessions(lines(scene), **HOW),
    "pause_queue": lambda session, _: session.pause_queue("agent", **HOW),
    "quiet_worker": lambda session, _: session.quiet_worker(WORKER, **HOW),
    "release": lambda session, _: session.release("held", "h1", **HOW),
    "resume_queue": lambda session, _: session.resume_queue("paused", **HOW),
    "resume_worker": lambda session, _: session.resume_worker(WORKER, **HOW),
    "retry_dead_letter": lambda session, scene: session.retry_dead_letter(scene.letter, **HOW),
    "revoke_key": lambda session, scene: ApiKeys(session.runtime).revoke(scene.key, **HOW),
    "rewind": lambda session, _: session.rewind("s", to="t1", **HOW),
    "stop_worker": lambda session, _: session.stop_worker(WORKER, **HOW),
}
"""What operators do. Each has a record of its name."""
KEYS = {"create_key", "revoke_key"}
"""Those of `ApiKeys`."""
LOOKS: dict[str, Call] = {
    "audit": lambda session, _: session.audit(),
    "biggest": lambda session, _: session.biggest(),
    "bind": lambda session, _: session.bind("s"),
    "check_for_turns": lambda session, _: session.check_for_turns(),
    "dead_letters": lambda session, _: session.dead_letters(),
    "for_owner": lambda session, _: session.for_owner("anna"),
    "export": lambda session, _: session.export(["s"]),
    "get_items": lambda session, _: session.bind("s").get_items(),
    "history": lambda session, _: session.history("s"),
    "import_from": lambda session, scene: session.import_from(
        SDKSource(str(scene.sdk)), dry_run=True
    ),
    "import_sessions": lambda session, scene: session.import_sessions(lines(scene), dry_run=True),
    "info": lambda session, _: session.info("s"),
    "pauses": lambda session, _: session.pauses(),
    "pending_approvals": lambda session, _: session.pending_approvals("asks"),
    "ping": lambda session, _: session.ping(),
    "processor": lambda session, _: session.processor(echo()),
    "queue": lambda session, _: session.queue("waits"),
    "receipt": lambda session, _: session.receipt("s", "t1"),
    "resolve_id": lambda session, _: session.resolve_id("s"),
    "scan": lambda session, _: session.scan(),
    "sessions": lambda session, _: session.sessions(),
    "stats": lambda session, _: session.stats(),
    "status": lambda session, _: session.status("s", "t1"),
    "stopped_sessions": lambda session, _: session.stopped_sessions(),
    "stuck": lambda session, _: session.stuck(),
    "tail": lambda session, _: anext(session.tail("s")),
    "timeline": lambda session, _: session.timeline("s", "t1"),
    "waiting_approvals": lambda session, _: session.waiting_approvals(),
    "workers": lambda session, _: session.workers(),
}
"""What changes nothing."""
PARTS_OF_TURNS = {"add_items", "clear_session", "drain", "pop_item", "submit", "turn"}
"""What applications do: the audit costs a turn nothing."""


async def _done(found: Any) -> None:
    if inspect.isawaitable(found):
        await found
    elif isinstance(found, AsyncIterator):
        _ = [each async for each in found]


def test_every_method_is_known() -> None:
    methods = {
        name
        for name, value in inspect.getmembers(Session, inspect.isfunction)
        if not name.startswith("_") and name != "aclose"
    }
    assert methods == {*ACTIONS, *LOOKS, *PARTS_OF_TURNS} - KEYS
    assert set(get_args(Action)) == set(ACTIONS)


@pytest.mark.parametrize("name", ACTIONS)
async def test_what_operators_do_leaves_a_record(scene: Scene, name: str) -> None:
    async with connect(scene.url) as session:
        await _done(ACTIONS[name](session, scene))
        (record,) = await session.audit(by="anna")
    assert (record.action, record.reason) == (name, "4711")
    assert record.outcome not in (None, "absent"), record


@pytest.mark.parametrize("name", LOOKS)
async def test_what_has_no_record_changes_nothing(scene: Scene, name: str) -> None:
    before = scene.content()
    async with connect(scene.url) as session:
        await _done(LOOKS[name](session, scene))
    assert scene.content() == before
