"""What can be done on the pages: approving, cancelling, deleting, retrying; and what is refused."""

from __future__ import annotations

from starlette.requests import Request

from tests.dashboard.test_pages import LONG, shows
from tests.dashboard.visitor import Form, Page, Visitor, visitor_of
from tests.integration.approval_lab import Clerk, waiting
from tests.integration.background_lab import QUICK, echo, output, state, working
from tests.integration.fault_lab import message
from tests.integration.stores import Sessions
from tests.scripted import says
from turnwise import Runner
from turnwise.background import Policy
from turnwise.dashboard.wording import coded
from turnwise.session import Session
from turnwise.testing.servers.waiting import until


async def fail(_: str) -> None:
    raise RuntimeError("no such thing")


async def letters_of(session: Session, sessions: Sessions, *ids: str) -> None:
    """A dead letter in each of these sessions."""
    receipts = [
        await session.submit(each, "bad", agent="echo", turn_id=f"t-{each}") for each in ids
    ]
    async with working(sessions.worker(), echo(fail), policy=Policy(max_attempts=1)):
        for receipt in receipts:
            await state(receipt, "dead")


async def left(session: Session) -> list[str]:
    return sorted([letter.session_id for letter in await session.dead_letters()])


async def test_an_approval_is_given(visitor: Visitor, session: Session) -> None:
    clerk = Clerk()
    await waiting(session.bind("s"), clerk, "pay", "send")
    page = await visitor.get("/approvals")
    assert [each in page.text for each in ("pay", "send", "clerk", "s")] == [True] * 4
    (pay, send) = await session.pending_approvals("s")
    told = await visitor.send(page.form("approve", coded(pay.id)), "approve", message="")
    assert "Approved in session s. 1 more of its turn wait." in told.text
    assert [each.id for each in await session.pending_approvals("s")] == [send.id]
    rejected = await visitor.send(
        told.form("reject", coded(send.id)), "reject", message="not today"
    )
    assert "Rejected in session s. Its turn goes on." in rejected.text
    result = await Runner.resume(clerk.agent(says("done")), session=session.bind("s"))
    assert result.final_output == "done"
    assert clerk.ran["pay"] == 1
    assert clerk.ran["send"] == 0
    assert "not today" in str(await session.bind("s").get_items())


async def test_an_approval_that_somebody_else_decided(visitor: Visitor, session: Session) -> None:
    await waiting(session.bind("s"), Clerk(), "pay", "send")
    page = await visitor.get("/approvals")
    (pay, send) = await session.pending_approvals("s")
    await session.decide("s", approve=[pay.id])
    told = await visitor.send(page.form("reject", coded(pay.id)), "reject", message="")
    assert "Rejected" not in told.text
    assert "session 's'" in told.text
    assert [each.id for each in await session.pending_approvals("s")] == [send.id]
    await session.delete("s")
    assert (
        "session 's'" in (await visitor.send(page.form("approve", coded(send.id)), "approve")).text
    )


async def test_a_turn_is_cancelled_after_a_question(visitor: Visitor, session: Session) -> None:
    await session.submit("s", "one", agent="nobody", turn_id="t")
    await waiting(session.bind("p"), Clerk(), "pay", turn_id="parked")
    page = await visitor.get("/session", id="p")
    asked = await visitor.send(page.form("cancel"), "cancel")
    assert "Cancel this turn?" in asked.text
    assert "Nothing of turn parked of session p is committed." in asked.text
    assert (await session.status("p", "parked")).state == "parked"
    told = await visitor.send(asked.form("cancel"), "cancel", reason="3 a.m.")
    assert "The turn is cancelled: nobody ran it." in told.text
    assert (await session.status("p", "parked")).reason == "3 a.m."


async def test_a_turn_that_ended_meanwhile_is_not_cancelled(
    visitor: Visitor, session: Session
) -> None:
    async with session.turn("s", turn_id="t") as turn:
        await turn.add_items([message("said")])
        page = await visitor.get("/session", id="s")
        asked = await visitor.send(page.form("cancel"), "cancel")
    async with session.turn("s", turn_id="next"):
        told = await visitor.send(asked.form("cancel"), "cancel")
        assert "The turn had been committed already; nothing was changed." in told.text
    assert (await session.status("s", "next")).state == "committed"
    assert "said" in str(await session.bind("s").get_items())


async def test_a_session_is_deleted_after_a_question(visitor: Visitor, session: Session) -> None:
    for each in ("s", "other"):
        await session.bind(each).add_items([message("hi")])
    page = await visitor.get("/session", id="s")
    asked = await visitor.send(page.form("delete"), "delete")
    assert "Delete this session?" in asked.text
    assert await session.info("s") is not None
    told = await visitor.send(asked.form("delete"), "delete")
    assert (told.status, "The session is deleted." in told.text) == (404, True)
    again = await visitor.send(asked.form("delete"), "delete")
    assert "There was no such session any more." in again.text
    assert [each async for each in session.scan()] == ["other"]


async def test_ids_with_line_ends_and_controls_are_found_again(
    visitor: Visitor, session: Session
) -> None:
    session_id, turn_id = "a\r\nb\x00\t%0A&=+/", "t\n1\x00"
    await waiting(session.bind(session_id), Clerk(), "pay", turn_id=turn_id)
    page = await visitor.get("/session", id=session_id)
    asked = await visitor.send(page.form("cancel"), "cancel")
    told = await visitor.send(asked.form("cancel"), "cancel")
    assert "The turn is cancelled" in told.text
    await waiting(session.bind(session_id), Clerk(), "pay")
    told = await visitor.send((await visitor.get("/approvals")).form("approve"), "approve")
    assert "Its turn goes on." in told.text


async def test_chosen_dead_letters_are_retried(
    visitor: Visitor, session: Session, sessions: Sessions
) -> None:
    await letters_of(session, sessions, "a", "b")
    page = await visitor.get("/dead-letters")
    assert "RuntimeError: no such thing" in page.text
    first = (await session.dead_letters())[0]
    form = page.form("retry", coded(first.id))
    form.fields = [each for each in form.fields if each[0] != "letter"]
    told = await visitor.send(form, "retry", letter=coded(first.id))
    assert f"Retried: {first.id}" in told.text
    async with working(sessions.worker(), echo(), policy=QUICK):
        assert await output(session.receipt(first.session_id, first.turn_id)) == "re: bad"
    assert len(await session.dead_letters()) == 1
    gone = await visitor.send(form, "retry", letter=coded(first.id))
    assert "there is no dead letter" in gone.text


async def test_all_dead_letters_of_a_filter_are_deleted_after_a_question(
    visitor: Visitor, session: Session, sessions: Sessions
) -> None:
    await letters_of(session, sessions, "a-1", "a-2", "b-1")
    page = await visitor.get("/dead-letters", match="a-*")
    assert {"a-1", "a-2"} <= page.links.keys()
    assert "b-1" not in page.links
    asked = await visitor.send(_of_all(page), "delete")
    assert "Delete 2 dead letters?" in asked.text
    assert await left(session) == ["a-1", "a-2", "b-1"]
    told = await visitor.send(asked.form("delete"), "delete")
    assert told.text.count("Deleted: ") == 2
    assert await left(session) == ["b-1"]


def _of_all(page: Page) -> Form:
    return next(form for form in page.forms if ("all", "1") in form.fields)


async def test_a_stopped_session_goes_on_when_its_letter_is_deleted(
    visitor: Visitor, session: Session, sessions: Sessions
) -> None:
    receipt = await session.submit("s", "bad", agent="echo", turn_id="t")
    policy = Policy(max_attempts=1, on_dead="stop")
    async with working(sessions.worker(), echo(fail), policy=policy):
        await state(receipt, "stopped")
    page = await visitor.get("/session", id="s")
    letters = await visitor.get(page.links["To its dead letter"])
    asked = await visitor.send(_of_all(letters), "delete")
    told = await visitor.send(asked.form("delete"), "delete")
    assert "Deleted: stopped:s" in told.text
    info = await session.info("s")
    assert info is not None
    assert info.open_turn is None


async def test_a_read_only_dashboard_offers_and_does_nothing(session: Session) -> None:
    await waiting(session.bind("s"), Clerk(), "pay")
    (pay,) = await session.pending_approvals("s")
    async with visitor_of(session) as writer, visitor_of(session, read_only=True) as reader:
        form = (await writer.get("/approvals")).form("approve", coded(pay.id))
        for path in ("/approvals", "/session?id=s", "/dead-letters", "/stuck"):
            page = await reader.get(path)
            assert "read-only" in page.text
            assert [form for form in page.forms if form.method == "post"] == []
        refused = await reader.send(form, "approve")
        assert (refused.status, "only shows" in refused.text) == (403, True)
    assert [each.id for each in await session.pending_approvals("s")] == [pay.id]


async def test_workers_are_told_and_messages_paused(
    visitor: Visitor, session: Session, sessions: Sessions
) -> None:
    busy = sessions.worker(worker="w-1")
    name = busy.runtime.name
    async with working(busy, echo()) as worker:
        page = await shows(visitor, "/workers", name)
        told = await visitor.send(page.form("quiet"), "quiet")
        assert f"{name} takes nothing new" in told.text
        page = await shows(visitor, "/workers", " quiet ")
        await visitor.send(page.form("resume"), "resume")
        page = await shows(visitor, "/workers", " alive ")
        paused = await visitor.send(page.form("pause"), "pause", agent="echo", reason="a storm")
        assert "Workers leave messages for agent echo in the queue" in paused.text
        await shows(visitor, "/", "Paused : messages for agent echo")
        page = await shows(visitor, "/workers", "a storm")
        ended = await visitor.send(page.form("unpause"), "unpause")
        assert "Workers take messages for agent echo again" in ended.text
        again = await visitor.send(page.form("unpause"), "unpause")
        assert "There was no pause of messages for agent echo any more." in again.text
        asked = await visitor.send(page.form("stop"), "stop")
        assert "Stop this worker?" in asked.text
        assert not worker.is_stopping
        await visitor.send(asked.form("stop"), "stop", reason="deploy")

        async def is_stopping() -> bool:
            return worker.is_stopping

        await until(is_stopping, LONG, "the worker stops")
    told = await visitor.send(page.form("quiet"), "quiet")
    assert "there is no worker" in told.text


async def test_what_was_done_is_in_the_audit(session: Session) -> None:
    def ana(_: Request) -> str:
        return "ana"

    for each in ("a", "b"):
        await session.bind(each).add_items([message("hi")])
    async with visitor_of(session, authenticate=ana) as visitor:
        for each in ("a", "b"):
            page = await visitor.get("/session", id=each)
            asked = await visitor.send(page.form("delete"), "delete")
            await visitor.send(asked.form("delete"), "delete", reason="asked for it")
        page = await visitor.get("/audit")
        assert page.text.count("ana delete") == 2
        assert "asked for it done" in page.text
        found = await visitor.get("/audit", match="a", by="ana", action="delete")
        assert ("a" in found.links, "b" in found.links) == (True, False)
        assert "Nothing was done." in (await visitor.get("/audit", by="ben")).text
        assert (await visitor.get("/audit", before="x")).status == 400
