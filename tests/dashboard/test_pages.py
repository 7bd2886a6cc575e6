"""What each page shows, on each kind of store."""

from __future__ import annotations

import pytest

from tests.dashboard.visitor import Page, Visitor
from tests.integration.approval_lab import Clerk, asks, waiting
from tests.integration.background_lab import echo, output, working
from tests.integration.fault_lab import message
from tests.integration.stores import Sessions
from tests.scripted import says
from turnwise import Runner
from turnwise.fleet import stuck as search
from turnwise.hooks import TurnBegunEvent
from turnwise.session import Session
from turnwise.testing.servers.waiting import until

LONG = 30.0


async def shows(visitor: Visitor, path: str, text: str) -> Page:
    """The page, once it shows this."""
    last: list[Page] = []

    async def is_shown() -> bool:
        last[:] = [await visitor.get(path)]
        return text in last[0].text

    await until(is_shown, LONG, f"{path} shows {text!r}")
    return last[0]


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("/", "Sessions 0 counted"),
        ("/stuck", "Nothing is stuck."),
        ("/sessions", "There is no such session."),
        ("/approvals", "Nothing waits."),
        ("/dead-letters", "There are none."),
        ("/workers", "There is no background worker."),
        ("/doctor", "Faults"),
    ],
)
async def test_an_empty_store(visitor: Visitor, path: str, text: str) -> None:
    page = await shows(visitor, path, text)
    assert page.status == 200


async def test_the_overview_counts(visitor: Visitor, session: Session, sessions: Sessions) -> None:
    await session.bind("idle").add_items([message("hi")])
    await session.submit("queued", "one", agent="nobody")
    await waiting(session.bind("asks"), Clerk(), "pay")
    await shows(visitor, "/", "Sessions 3")
    await shows(visitor, "/", "Waiting messages 1 the oldest that nobody took")
    page = await shows(visitor, "/", "Wait for approval 1")
    for state in ("idle 1", "queued 1", "parked 1"):
        assert state in page.text
    await session.delete("queued")
    async with working(sessions.worker(worker="busy"), echo(name="other")):
        await shows(visitor, "/", "Workers 1")
        await shows(visitor, "/", "Waiting messages 0 none that nobody took")


async def test_samples_are_kept_for_the_charts(visitor: Visitor, session: Session) -> None:
    await session.bind("s").add_items([message("hi")])

    async def has_some() -> bool:
        columns = (await visitor.client.get("/samples.json")).json()
        return bool(columns) and len(columns) == 8 and len(columns[0]) > 2

    await until(has_some, LONG, "there are samples")
    columns = (await visitor.client.get("/samples.json")).json()
    assert columns[0] == sorted(columns[0])
    assert all(rate is None or rate >= 0 for rate in columns[1])


async def test_the_charts_show_how_long_turns_take_and_how_many_are_taken_over(
    visitor: Visitor, session: Session, sessions: Sessions
) -> None:
    await visitor.get("/")  # what was before the first look is no news
    worker = sessions.worker(worker="busy")
    async with working(worker, echo()):
        assert await output(await session.submit("s", "one", agent="echo")) == "re: one"
        worker.runtime.emit(TurnBegunEvent("s", "t", 2, items=0, waited=0.0, reloaded=False))

        async def has_both() -> bool:
            *_, median, slowest, takeovers = (await visitor.client.get("/samples.json")).json()
            return median[-1] is not None and slowest[-1] >= median[-1] > 0 and takeovers[-1] == 1

        await until(has_both, LONG, "a committed turn and a takeover")


async def test_sessions_are_searched_and_paged(visitor: Visitor, session: Session) -> None:
    for number in range(120):
        await session.bind(f"user-{number}").add_items([message("hi")])
    async with session.turn("user-7", turn_id="t-7"):
        running = await visitor.get("/sessions", state="running")
        assert "user-7" in running.links
        assert "t-7" in running.text
        assert "user-8" not in running.links
    found = await visitor.get("/sessions", match="r-11")
    assert {f"user-{n}" for n in (11, 110, 119)} <= found.links.keys()
    assert "user-12" not in found.links
    exact = await visitor.get("/sessions", match="user-1?")
    assert {"user-10", "user-19"} <= exact.links.keys()
    assert "user-1" not in exact.links

    seen: set[str] = set()
    page = await visitor.get("/sessions")
    while True:
        seen |= {link for link in page.links if link.startswith("user-")}
        following = page.links.get("Next page") or page.links.get("Look further")
        if following is None:
            break
        page = await visitor.get(following)
        assert page.links["First page"] == "/sessions"
    assert seen == {f"user-{number}" for number in range(120)}


async def test_a_conversation_is_shown_as_a_chat(visitor: Visitor, session: Session) -> None:
    clerk = Clerk()
    helper = clerk.agent(asks("look"), says("All is well."))
    await Runner.run(helper, "How are you?", session=session, session_id="s", turn_id="t-1")
    page = await visitor.get("/session", id="s")
    assert (page.status, page.links["Overview"]) == (200, "/")
    for text in ("How are you?", "look", "look done", "All is well.", "t-1"):
        assert text in page.text
    assert "never" in page.text  # expires
    async with session.turn("s", turn_id="t-2"):
        page = await visitor.get("/session", id="s")
        assert f"turn t-2 Attempt 1, worker {session.runtime.name} , lease for" in page.text


async def test_the_newest_turns_come_first_and_others_on_further_pages(
    visitor: Visitor, session: Session
) -> None:
    for number in range(45):
        async with session.turn("s", turn_id=f"turn-{number}") as turn:
            await turn.add_items([message(f"said in {number}.")])
    first = await visitor.get("/session", id="s")
    assert _said(first) == list(range(44, 24, -1))
    second = await visitor.get(first.links["Older turns"])
    assert _said(second) == list(range(24, 4, -1))
    third = await visitor.get(second.links["Older turns"])
    assert _said(third) == [4, 3, 2, 1, 0]
    assert "Older turns" not in third.links
    assert _said(await visitor.get(second.links["Newer turns"])) == _said(first)
    assert (await visitor.get("/session", id="s", page="9")).text.count("Nothing is older.") == 1


def _said(page: Page) -> list[int]:
    words = page.text.split("said in ")[1:]
    return [int(each.partition(".")[0]) for each in words]


async def test_a_turn_of_ten_thousand_items_is_shown_in_parts(
    visitor: Visitor, session: Session
) -> None:
    items = [message(f"said in {number}.") for number in range(10_000)]
    await session.bind("s").add_items(items)
    first = await visitor.get("/session", id="s")
    assert _said(first) == list(range(9940, 10_000))
    before = await visitor.get(first.links["The 9\u2009940 items before"])
    assert _said(before) == list(range(9880, 9940))
    assert "The 9\u2009880 items before" in before.links


async def test_the_queue_of_a_session(visitor: Visitor, session: Session) -> None:
    await session.submit("s", "first message", agent="support", turn_id="m-1")
    page = await visitor.get("/session", id="s")
    for text in ("Queue", "m-1", "support", "first message"):
        assert text in page.text


async def test_workers_with_what_they_hold(
    visitor: Visitor, session: Session, sessions: Sessions
) -> None:
    busy = sessions.worker(worker="w-1")

    async def until_seen(_: str) -> None:
        page = await shows(visitor, "/workers", "1 of 3")
        for text in (busy.runtime.name, "alive", "echo", "process"):
            assert text in page.text
        assert "held" in page.links

    receipt = await session.submit("held", "hi", agent="echo")
    async with working(busy, echo(until_seen), concurrency=3):
        assert await output(receipt) == "re: hi"


async def test_what_is_stuck_and_what_lets_it_go_on(
    visitor: Visitor, session: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(search, "PATIENCE", 0.01)
    await session.submit("s", "one", agent="support", turn_id="t")
    page = await shows(visitor, "/stuck", "nobody claims its message")
    assert "turnwise worker MODULE:NAME" in page.text
    assert "s" in page.links
