"""The chat page in a real browser, served by a process of its own."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from urllib.parse import quote
from uuid import uuid4

import httpx
import pytest
import pytest_asyncio
from playwright.async_api import Browser, Locator, Page, Route, expect

from tests.browser.conftest import HOSTILE
from tests.browser.looking import check_accessible, looking, tabs
from tests.http.wire_lab import LONGEST, word
from tests.integration.programs import Programs, programs, ready
from turnwise import Session, connect
from turnwise.fleet.api_keys import ApiKeys
from turnwise.testing.servers.process import Process
from turnwise.testing.servers.waiting import until

pytestmark = pytest.mark.asyncio(loop_scope="session")

AGENTS = "tests.browser.page_agents:agents"


class Lab:
    """Starts servers and workers on one store; `session` stands for its sessions."""

    def __init__(self, folder: Path, started: Programs, session: Session, url: str) -> None:
        self.session = session
        self._folder = folder
        self._started = started
        self._url = url

    async def serve(self, *options: str, port: str = "0") -> tuple[Process, str]:
        """A server, and its address."""
        process = self._start("serve", "--port", port, "--max-attempts", "1", *options)

        async def serves() -> bool:
            return "serving at " in process.log()

        await ready(process, serves, "it serves")
        return process, process.log().partition("serving at ")[2].split()[0]

    def worker(self, name: str) -> Process:
        """A worker whose turns others take over after a second."""
        return self._start("worker", "--lease", "1", name=name)

    def _start(self, verb: str, *options: str, name: str = "one") -> Process:
        words = ("-m", "turnwise.cli", verb, AGENTS, "--url", self._url, *options)
        environment = {"WIRE_FOLDER": str(self._folder), "WIRE_WORKER": name}
        return self._started.python(*words, environment=environment)

    async def reached(self, word: str) -> None:
        """Wait until an agent waits at this word."""

        async def waits() -> bool:
            return (self._folder / f"{word}.reached").exists()

        await until(waits, LONGEST, word)

    def go(self, word: str) -> None:
        """Let the agents say this word."""
        (self._folder / word).touch()


@asynccontextmanager
async def lab_in(folder: Path) -> AsyncIterator[Lab]:
    url = f"sqlite:///{folder / 'sessions.db'}"
    async with AsyncExitStack() as stack:
        started = await stack.enter_async_context(programs(folder))
        session = await stack.enter_async_context(connect(url))
        yield Lab(folder, started, session, url)


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def lab(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Lab]:
    async with lab_in(tmp_path_factory.mktemp("page")) as lab:
        yield lab


@pytest_asyncio.fixture(loop_scope="session")
async def alone(tmp_path: Path) -> AsyncIterator[Lab]:
    """With no other server and no other worker on its store."""
    async with lab_in(tmp_path) as lab:
        yield lab


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def address(lab: Lab) -> str:
    return (await lab.serve())[1]


@pytest.fixture
def name() -> str:
    """A conversation that no other test has."""
    return f"talk-{uuid4().hex}"


def at(address: str, name: str) -> str:
    return f"{address}?session={quote(name, safe='')}"


async def say(page: Page, text: str) -> None:
    await page.get_by_label("Message", exact=True).fill(text)
    await page.keyboard.press("Enter")


def turn(page: Page, number: int) -> Locator:
    return page.locator(".turn").nth(number)


async def answered(page: Page, number: int, text: str) -> None:
    """Wait until the turn has ended with this answer."""
    await expect(turn(page, number).locator(".said.assistant").last).to_have_text(text)
    await expect(turn(page, number)).to_have_attribute("data-state", "committed")


async def texts(page: Page) -> list[str]:
    """All that was said, in order."""
    return await page.locator(".said").all_inner_texts()


async def test_an_answer_comes_word_by_word_and_tools_are_folded(
    browser: Browser, address: str, lab: Lab, name: str
) -> None:
    gloom, slow = word(), word()
    async with looking(browser) as page:
        await page.goto(at(address, name))
        await say(page, f"weather {gloom}")
        tool = page.locator("details.tool")
        await expect(tool.locator("summary")).to_have_text("weather called")
        await expect(page.get_by_role("status")).to_have_text("Answering …")
        assert await tool.get_attribute("open") is None
        lab.go(gloom)
        await answered(page, 0, f"It is sunny in {gloom.lower()}.")
        await expect(tool.locator("summary")).to_have_text("weather done")
        await tool.locator("summary").click()
        await expect(tool).to_contain_text(f'"city": "{gloom}"')
        await expect(tool.locator(".output")).to_have_text(f"sunny in {gloom.lower()}")
        await say(page, f"think first {slow} last")
        await expect(turn(page, 1).locator(".said.assistant")).to_have_text("first")
        lab.go(slow)
        await answered(page, 1, f"first {slow} last")
        await expect(turn(page, 1).locator(".thought pre")).to_have_text("well well")
        await expect(page.get_by_role("status")).to_have_text("")
        shown = await texts(page)
        await page.reload()
        await answered(page, 1, f"first {slow} last")
        assert await texts(page) == shown
        await expect(page.locator("details.tool summary")).to_have_text("weather done")
        await expect(page.locator(".thought pre")).to_have_text("well well")


async def test_one_chooses_who_answers(browser: Browser, address: str) -> None:
    async with looking(browser) as page:
        await page.goto(address)
        agent = page.get_by_label("Agent")
        assert await agent.locator("option").all_inner_texts() == ["helper", "parrot"]
        await agent.select_option("parrot")
        await say(page, "hello")
        await answered(page, 0, "hello, hello!")
        await expect(page.locator(".agent")).to_have_text("parrot")
        await page.reload()
        await expect(agent).to_have_value("parrot")


async def test_calls_are_approved_and_rejected_with_a_reason(
    browser: Browser, address: str, name: str
) -> None:
    async with tabs(browser, 2) as (page, other):
        await page.goto(at(address, name))
        await say(page, "refund A-1 B-2")
        await expect(page.get_by_role("status")).to_have_text("Waiting for your decision")
        await other.goto(at(address, name))
        first = page.locator(".approval").first
        await expect(first).to_contain_text("helper asks to call refund")
        await expect(other.locator(".approval")).to_have_count(2)
        await first.get_by_role("button", name="Approve").click()
        await expect(page.locator(".approval")).to_have_count(1)
        await expect(first).to_contain_text('"order": "B-2"')
        await first.get_by_label("Reason").fill("too late")
        await first.get_by_role("button", name="Reject").click()
        for tab in (page, other):
            await answered(tab, 0, "It is refunded A-1 and too late.")
            await expect(tab.locator(".approval")).to_have_count(0)


async def test_what_another_decided_is_no_error(
    browser: Browser, address: str, lab: Lab, name: str
) -> None:
    async with looking(browser) as page:
        await page.goto(at(address, name))
        await say(page, "refund A-1 B-2")
        await expect(page.locator(".approval")).to_have_count(2)
        first, _ = await lab.session.pending_approvals(name)
        await lab.session.decide(name, approve=[first.id])
        await page.get_by_role("button", name="Approve").first.click()
        await expect(page.locator(".approval")).to_have_count(1)
        await page.get_by_role("button", name="Approve").click()
        await answered(page, 0, "It is refunded A-1 and refunded B-2.")
        await expect(page.get_by_role("alert").first).to_be_hidden()


async def test_an_answer_is_stopped_and_the_message_sent_again(
    browser: Browser, address: str, lab: Lab, name: str
) -> None:
    slow = word()
    async with looking(browser) as page:
        await page.goto(at(address, name))
        await say(page, f"so {slow} never")
        await expect(page.locator(".said.assistant")).to_have_text("so")
        await page.get_by_role("button", name="Stop").click()
        await expect(turn(page, 0)).to_have_attribute("data-state", "cancelled")
        await expect(page.locator(".note")).to_contain_text("not part of the conversation")
        await expect(page.get_by_role("button", name="Stop")).to_be_hidden()
        await page.get_by_role("button", name="Edit").click()
        await expect(page.get_by_label("Message", exact=True)).to_have_value(f"so {slow} never")
        await say(page, "so what")
        await answered(page, 0, "so what")
        await expect(page.locator(".turn")).to_have_count(1)
    history = await lab.session.history(name)
    assert history is not None
    assert [len(each.items) for each in history if each.items] == [2]


async def test_a_reload_and_a_second_tab_go_on_with_the_answer(
    browser: Browser, address: str, lab: Lab, name: str
) -> None:
    slow = word()
    async with tabs(browser, 2) as (page, other):
        for tab in (page, other):
            await tab.goto(at(address, name))
        await expect(other.get_by_text("Write a message to begin.")).to_be_visible()
        await say(page, f"one {slow} two")
        await say(page, "and this")
        for tab in (page, other):  # the other one is told
            await expect(tab.locator(".said.assistant")).to_have_text("one")
        await page.reload()
        await expect(page.locator(".said.assistant")).to_have_text("one")
        assert await texts(page) == [f"one {slow} two", "one", "and this"]
        lab.go(slow)
        for tab in (page, other):
            await answered(tab, 0, f"one {slow} two")
            await answered(tab, 1, "and this")
            assert len(await texts(tab)) == 4


async def test_a_message_that_waits_is_removed(
    browser: Browser, address: str, lab: Lab, name: str
) -> None:
    slow = word()
    async with looking(browser) as page:
        await page.goto(at(address, name))
        await say(page, f"a {slow}")
        await say(page, "not this")
        await expect(page.locator(".turn")).to_have_count(2)
        await turn(page, 1).get_by_role("button", name="Remove").click()
        await expect(page.locator(".turn")).to_have_count(1)
        lab.go(slow)
        await answered(page, 0, f"a {slow}")
    history = await lab.session.history(name)
    assert history is not None
    assert [each.kind for each in history if each.items] == ["turn"]


async def test_conversations_are_listed_and_forked(browser: Browser, alone: Lab) -> None:
    _, address = await alone.serve()
    async with looking(browser) as page:
        await page.goto(address)
        await say(page, "the first")
        await answered(page, 0, "the first")
        await say(page, "the second")
        await answered(page, 1, "the second")
        listed = page.get_by_role("navigation").locator("li a")
        await expect(listed).to_have_count(1)
        await expect(page.get_by_role("heading", level=1)).to_have_text("the second")
        await turn(page, 0).get_by_role("button", name="Fork from here").click()
        await expect(page.locator(".turn")).to_have_count(1)
        await answered(page, 0, "the first")
        await say(page, "another")
        await answered(page, 1, "another")
        await expect(listed.locator(".name")).to_have_text(["another", "the second"])
        await listed.nth(1).click()
        await answered(page, 1, "the second")
        await page.get_by_role("link", name="New conversation").click()
        await expect(page.get_by_text("Write a message to begin.")).to_be_visible()


async def test_a_message_is_edited_and_sent_again(
    browser: Browser, address: str, lab: Lab, name: str
) -> None:
    async with tabs(browser, 2) as (page, other):
        await page.goto(at(address, name))
        for number, text in enumerate(("one", "two", "three")):
            await say(page, text)
            await answered(page, number, text)
        await other.goto(at(address, name))
        await turn(page, 1).get_by_role("button", name="Edit").click()
        await expect(page.get_by_label("Message", exact=True)).to_have_value("two")
        await page.keyboard.press("Escape")
        await expect(page.get_by_label("Message", exact=True)).to_have_value("")
        await turn(page, 1).get_by_role("button", name="Edit").click()
        await say(page, "zwei")
        for tab in (page, other):
            await answered(tab, 1, "zwei")
            assert await texts(tab) == ["one", "one", "zwei", "zwei"]
        await turn(page, 0).get_by_role("button", name="Edit").click()
        await say(page, "eins")
        await answered(page, 0, "eins")
        await page.reload()
        await answered(page, 0, "eins")
        assert await texts(page) == ["eins", "eins"]


async def test_older_messages_come_when_they_are_wanted(
    browser: Browser, address: str, lab: Lab, name: str
) -> None:
    bound = lab.session.bind(name)
    for number in range(25):
        async with bound.turn(name, turn_id=f"t{number}") as writing:
            await writing.add_items([{"role": "user", "content": f"m{number}"}])
    async with looking(browser) as page:
        await page.goto(at(address, name))
        await expect(page.locator(".turn")).to_have_count(20)
        # The turn before the first that is shown is where an edit goes back to.
        await turn(page, 0).get_by_role("button", name="Edit").click()
        await say(page, "instead")
        await answered(page, 5, "instead")
        said = await page.locator(".said.user").all_inner_texts()
        assert said == ["m0", "m1", "m2", "m3", "m4", "instead"]


async def test_a_page_outlives_its_server(browser: Browser, alone: Lab, name: str) -> None:
    """The server dies in the middle of an answer, and another one takes its place."""
    slow = word()
    process, address = await alone.serve("--lease", "2")
    async with looking(browser) as page:
        await page.goto(at(address, name))
        await say(page, f"who {slow}")
        await expect(page.locator(".said.assistant")).to_have_text("one says")
        await process.kill()
        await expect(page.get_by_role("status")).to_contain_text("does not answer")
        port = httpx.URL(address).port
        _, again = await alone.serve(port=str(port))
        assert again == address
        alone.go(slow)
        await answered(page, 0, f"one says {slow}")
        assert await texts(page) == [f"who {slow}", f"one says {slow}"]


async def test_what_a_takeover_makes_void_is_gone(browser: Browser, alone: Lab, name: str) -> None:
    slow = word()
    _, address = await alone.serve("--workers-inside", "0")
    first = alone.worker("first")
    async with looking(browser) as page:
        await page.goto(at(address, name))
        await say(page, f"who {slow}")
        await expect(page.locator(".said.assistant")).to_have_text("first says")
        await first.kill()
        alone.worker("second")
        await expect(page.locator(".said.assistant")).to_have_text("second says")
        alone.go(slow)
        await answered(page, 0, f"second says {slow}")


async def test_a_message_whose_reply_is_lost_is_sent_once(
    browser: Browser, address: str, lab: Lab, name: str
) -> None:
    lost = list[str]()

    async def lose(route: Route) -> None:
        if not lost:
            lost.append(route.request.url)
            await route.fetch()
            await route.abort()
        else:
            await route.continue_()

    async with looking(browser) as page:
        await page.route("**/chat", lose)
        await page.goto(at(address, name))
        await say(page, "once")
        await answered(page, 0, "once")
        await expect(page.locator(".turn")).to_have_count(1)
    history = await lab.session.history(name)
    assert lost
    assert history is not None
    assert len(history) == 1


async def test_a_message_survives_a_reload_before_it_arrives(
    browser: Browser, address: str, name: str
) -> None:
    async with looking(browser) as page:
        await page.goto(at(address, name))
        await page.route("**/chat", lambda route: route.abort())
        await say(page, "on its way")
        await expect(page.get_by_role("status")).to_contain_text("does not answer")
        await page.unroute_all()
        await page.reload()
        await answered(page, 0, "on its way")


async def test_who_is_quick_loses_nothing(
    browser: Browser, address: str, lab: Lab, name: str
) -> None:
    """The message is sent before the page has shown the agents and what was said before."""
    await lab.session.bind(name).add_items([{"role": "user", "content": "before"}])
    go = asyncio.Event()

    async def wait(route: Route) -> None:
        await go.wait()
        await route.continue_()

    async with looking(browser) as page:
        await page.route("**/chat/agents", wait)
        await page.goto(at(address, name))
        await say(page, "at once")
        await expect(page.locator(".said.user")).to_have_text(["at once"])
        go.set()
        await answered(page, 1, "at once")
        assert await texts(page) == ["before", "at once", "at once"]


async def test_a_failed_message_says_so(browser: Browser, address: str, name: str) -> None:
    async with looking(browser) as page:
        await page.goto(at(address, name))
        await say(page, "break")
        await expect(turn(page, 0)).to_have_attribute("data-state", "dead")
        await expect(page.locator(".note")).to_contain_text("The agent failed.")
        await expect(page.locator("body")).not_to_contain_text("secret of the server")
        await say(page, "x" * (5 << 20))
        await expect(page.get_by_role("alert").first).to_contain_text("4194304 bytes")
        await expect(page.locator(".turn")).to_have_count(1)


async def test_who_asks_too_much_waits(browser: Browser, alone: Lab, name: str) -> None:
    slow = word()
    _, address = await alone.serve("--quota", "tests.browser.page_agents:one_stream")
    async with tabs(browser, 2) as (page, other):
        await page.goto(at(address, name))
        await say(page, f"a {slow}")
        await expect(page.locator(".said.assistant")).to_have_text("a")
        await other.goto(at(address, name))
        await expect(other.get_by_role("status")).to_contain_text("Too much at once")
        alone.go(slow)
        for tab in (page, other):
            await answered(tab, 0, f"a {slow}")
            await expect(tab.get_by_role("status")).to_have_text("")


async def test_a_key_is_asked_for_and_kept_in_the_tab(browser: Browser, alone: Lab) -> None:
    secret, _ = await ApiKeys(alone.session.runtime).create("alice")
    _, address = await alone.serve("--auth", "keys")
    async with looking(browser) as page:
        await page.goto(address)
        key = page.get_by_label("Key")
        await key.fill("tw_0123456789abcdef_wrong")
        await page.keyboard.press("Enter")
        await expect(page.get_by_role("alert").last).to_have_text(
            "The server does not know this key."
        )
        await check_accessible(page)
        await key.fill(secret)
        await page.keyboard.press("Enter")
        await say(page, "hello")
        await answered(page, 0, "hello")
        assert secret not in page.url
        await page.reload()
        await answered(page, 0, "hello")
        (found,) = (await alone.session.sessions(owner="alice")).sessions
        assert found.session_id in page.url
        assert await page.evaluate("localStorage.length") == 0
        await page.get_by_role("button", name="Forget the key").click()
        await expect(key).to_be_visible()


async def test_the_keyboard_is_enough(browser: Browser, address: str, name: str) -> None:
    async with looking(browser) as page:
        await page.goto(at(address, name))
        # A browser gives the focus to a field that asks for it with a later frame than the page's load.
        await expect(page.get_by_label("Message", exact=True)).to_be_focused()
        await page.keyboard.type("weather Oslo")
        await page.keyboard.press("Shift+Enter")
        await page.keyboard.press("Enter")
        await answered(page, 0, "It is sunny in oslo.")
        await page.keyboard.type("refund A-1")
        await page.keyboard.press("Enter")
        await expect(page.locator(".approval")).to_be_visible()
        for _ in range(30):
            await page.keyboard.press("Shift+Tab")
            if await page.evaluate("document.activeElement.textContent") == "Approve":
                break
        await page.keyboard.press("Enter")
        await answered(page, 1, "It is refunded A-1.")


async def test_text_is_text(browser: Browser, address: str, name: str) -> None:
    said = f"{HOSTILE} **bold** `a<b>c`\n\nnext\n```html\n<b>code</b>\n```\nend"
    async with looking(browser) as page:
        await page.goto(at(address, name))
        await page.get_by_label("Message", exact=True).fill(said)
        await page.get_by_role("button", name="Send").click()
        await expect(turn(page, 0)).to_have_attribute("data-state", "committed")
        for place in (".said.user", ".said.assistant"):
            found = page.locator(place)
            await expect(found.locator("p")).to_have_text([f"{HOSTILE} bold a<b>c", "next", "end"])
            await expect(found.locator("strong")).to_have_text("bold")
            await expect(found.locator("pre code")).to_have_text("<b>code</b>")
        assert await page.locator("main img, main script").count() == 0
        assert await page.title() != "pwned"
        await page.reload()
        await expect(page.locator(".said.assistant pre code")).to_have_text("<b>code</b>")


async def test_axe_finds_nothing_serious(
    browser: Browser, address: str, lab: Lab, name: str
) -> None:
    slow = word()
    async with looking(browser) as page:
        await page.goto(address)
        await expect(page.get_by_text("Write a message to begin.")).to_be_visible()
        await check_accessible(page)
        await page.get_by_role("button", name="Conversations").click()
        await expect(page.get_by_role("navigation")).to_be_visible()
        await check_accessible(page)
        await page.goto(at(address, name))
        await say(page, "think weather")
        await say(page, "weather Oslo Bergen")
        await answered(page, 1, "It is sunny in oslo and sunny in bergen.")
        await page.locator("details.tool summary").first.click()
        await say(page, "break")
        await say(page, "refund A-1")
        await expect(page.locator(".approval")).to_be_visible()
        await say(page, "behind")
        await turn(page, 1).get_by_role("button", name="Edit").click()
        await check_accessible(page)
        await page.keyboard.press("Escape")
        await page.get_by_role("button", name="Stop").click()
        await say(page, f"it is {slow}")
        await expect(page.locator(".said.assistant").last).to_have_text("it is")
        await check_accessible(page)
        lab.go(slow)


async def test_only_the_page_s_own_files_run(address: str) -> None:
    async with httpx.AsyncClient(base_url=address) as client:
        for path in ("/", "/page/chat.js", "/page/style.css", "/page/icon.svg"):
            answer = await client.get(path)
            assert answer.status_code == 200
            policy = answer.headers["content-security-policy"]
            assert "default-src 'none'" in policy
            assert "unsafe" not in policy
        page = (await client.get("/")).text
        assert "style=" not in page
        assert "onclick" not in page
