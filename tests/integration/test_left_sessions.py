"""Workers leave a session whose turn is parked or stopped; whoever ends it calls them back."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import pytest
from agents import OutputGuardrailTripwireTriggered

from tests.integration.approval_lab import Clerk, asks, waiting
from tests.integration.background_lab import echo, output, state, working
from tests.integration.stores import Sessions, new_sessions_of
from tests.integration.test_failed_turns import no_secrets
from tests.scripted import says
from turnwise import Runner
from turnwise.background import Policy
from turnwise.errors import StoreUnavailable
from turnwise.session import Session
from turnwise.stores.redis.store import RedisStore
from turnwise.testing.servers.waiting import until

sessions = new_sessions_of(["memory", "sqlite", "valkey"])
Act = Callable[[Session, Clerk], Awaitable[object]]


async def left(session: Session) -> None:
    """Wait until no worker keeps anything of a session (embedded stores have nothing to keep)."""
    store = session.runtime.store

    async def is_left() -> bool:
        if not isinstance(store, RedisStore):
            return True
        lengths = [await store._transport.command("", "XLEN", key) for key in store.keys.ready]
        return not any(lengths)

    await until(is_left, 30, "no announcement is left")


async def resume(here: Session, clerk: Clerk) -> None:
    (asked,) = await here.pending_approvals()
    await Runner.resume(clerk.agent(says("paid")), session=here, approve=[asked.id])


async def fail_to_resume(here: Session, clerk: Clerk) -> None:
    (asked,) = await here.pending_approvals()
    helper = clerk.agent(says("SECRET"))
    helper.output_guardrails = [no_secrets]
    with pytest.raises(OutputGuardrailTripwireTriggered):
        await Runner.resume(helper, session=here, approve=[asked.id])


async def cancel(here: Session, clerk: Clerk) -> None:
    assert (await here.cancel()).outcome == "dropped"


@pytest.mark.parametrize("act", [resume, fail_to_resume, cancel])
async def test_a_parked_direct_turn(sessions: Sessions, act: Act) -> None:
    clerk, here = Clerk(), sessions.worker(session_id="s")
    await waiting(here, clerk, "pay", turn_id="t")
    worker = sessions.worker()
    async with working(worker, echo()):
        behind = await worker.submit("s", "behind", agent="echo")
        await left(worker)
        await act(here, clerk)
        assert await output(behind) == "re: behind"
        await left(worker)


on_valkey = new_sessions_of(["valkey"])


@pytest.mark.parametrize("act", [resume, cancel])
async def test_a_store_that_does_not_answer_after_the_turn_s_end(
    on_valkey: Sessions, act: Act, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever ended it tells the workers later."""
    clerk, here, worker = Clerk(), on_valkey.worker(session_id="s"), on_valkey.worker()
    await waiting(here, clerk, "pay", turn_id="t")
    ready, failures = here.runtime.store.ready, ["once", "twice"]
    announce = ready.announce

    async def fail_at_first(session_id: str, turn_id: str | None) -> int:
        if failures:
            raise StoreUnavailable(failures.pop(), session_id=session_id)
        return await announce(session_id, turn_id)

    monkeypatch.setattr(ready, "announce", fail_at_first)
    async with working(worker, echo()):
        behind = await worker.submit("s", "behind", agent="echo")
        await left(worker)
        await act(here, clerk)
        assert await output(behind) == "re: behind"
    assert not failures


async def decide(here: Session, clerk: Clerk) -> None:
    (asked,) = await here.pending_approvals()
    await here.decide(approve=[asked.id])


async def expire(here: Session, clerk: Clerk) -> None:
    """Nobody does anything."""


@pytest.mark.parametrize("act", [resume, cancel, decide, expire])
async def test_a_parked_message(sessions: Sessions, act: Act) -> None:
    clerk, here = Clerk(), sessions.worker(session_id="s")
    worker = sessions.worker(approval_timeout=1 if act is expire else None)
    helper = clerk.agent(asks("pay"), says("paid"))
    async with working(worker, helper):
        first = await worker.submit("s", "go", agent="clerk")
        await state(first, "parked")
        behind = await worker.submit("s", "behind", agent="clerk")
        await left(worker)
        await act(here, clerk)
        assert await output(behind) == "paid"
        await left(worker)


async def retry(here: Session, clerk: Clerk) -> None:
    (letter,) = [letter async for letter in here.stopped_sessions()]
    await here.retry_dead_letter(letter)


async def delete(here: Session, clerk: Clerk) -> None:
    (letter,) = [letter async for letter in here.stopped_sessions()]
    await here.delete_dead_letter(letter)


@pytest.mark.parametrize("act", [retry, delete, cancel])
async def test_a_stopped_session(sessions: Sessions, act: Act) -> None:
    here, worker, failures = sessions.worker(session_id="s"), sessions.worker(), ["once"]

    async def fail_once(message: str) -> None:
        if failures:
            raise RuntimeError(failures.pop())

    async with working(worker, echo(fail_once), policy=Policy(max_attempts=1, on_dead="stop")):
        first = await worker.submit("s", "first", agent="echo")
        await state(first, "stopped")
        behind = await worker.submit("s", "behind", agent="echo")
        await left(worker)
        await act(here, Clerk())
        assert await output(behind) == "re: behind"
        if act is retry:
            assert await output(first) == "re: first"
        await left(worker)


async def test_a_call_that_is_lost_is_made_up_for_by_a_sweep(
    sessions: Sessions, monkeypatch: pytest.MonkeyPatch
) -> None:
    clerk, here, worker = Clerk(), sessions.worker(session_id="s"), sessions.worker()
    await waiting(here, clerk, "pay", turn_id="t")

    async def unreachable(*_: object) -> int:
        raise StoreUnavailable("the store does not answer")

    async with working(worker, echo()):
        behind = await worker.submit("s", "behind", agent="echo")
        await left(worker)
        with monkeypatch.context() as broken:
            broken.setattr(here.runtime.store.ready, "announce", unreachable)
            await resume(here, clerk)
        await worker.runtime.store.ready.sweep(force=True)
        assert await output(behind) == "re: behind"
