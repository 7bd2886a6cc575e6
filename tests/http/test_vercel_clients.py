"""The AI SDK's own clients, versions 5 to 7, against servers and workers that are processes."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable
from typing import Any
from uuid import uuid4

import httpx
import pytest
import pytest_asyncio

from tests.docs.pages import ROOT
from tests.http.node_clients import FOLDER, Program, install, node, running
from tests.http.recorded import (
    RESET,
    Events,
    agent,
    forecast,
    recorded,
    recorded_approval,
    researcher,
    with_approvals,
)
from tests.http.speaking import call, text
from tests.http.test_vercel_chunks import encoded
from tests.http.wire_lab import Client, Front, Lab, Server, ended, word
from tests.integration.programs import STARTED
from tests.scripted import outline
from turnwise.http.sse import frame
from turnwise.http.wires.vercel_chunks import RESUME

pytestmark = pytest.mark.asyncio(loop_scope="module")

VERSIONS = [5, 6, 7]


@pytest.fixture(autouse=True, scope="module")
def installed() -> None:
    install()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def program() -> AsyncIterator[Program]:
    async with running("chats.mjs") as program:
        yield program


class Chats:
    """Opens chats of one version."""

    def __init__(self, program: Program, server: Server | Front, version: int) -> None:
        self._program = program
        self.version = version
        self.api = f"{server.url}/v{version}"

    async def open(self, chat_id: str | None = None, messages: Any = ()) -> Client:
        client = Client(self._program, uuid4().hex)
        chat_id = chat_id or uuid4().hex
        await client.do(
            "open", version=self.version, api=self.api, id=chat_id, messages=list(messages)
        )
        return client

    async def messages(self, chat_id: str) -> Any:
        """What a chat begins with."""
        async with httpx.AsyncClient() as client:
            return (await client.get(f"{self.api}/{chat_id}/messages?before=")).json()["messages"]


@pytest.fixture(params=VERSIONS)
def chats(request: pytest.FixtureRequest, program: Program, server: Server) -> Chats:
    return Chats(program, server, request.param)


def streamed(events: Events, version: int) -> str:
    """The stream as a client gets it."""
    chunks = encoded(events, version)
    return "".join(frame(json.dumps(chunk)) for chunk in chunks) + ": keep-alive\n\n"


def shown(folded: Any) -> Any:
    """A message without what only tells how it came."""
    kept = ("type", "text", "toolCallId", "state", "input", "output", "approval", "data")
    return [{name: part[name] for name in kept if name in part} for part in folded["parts"]]


def said(shown: Any) -> str:
    """The texts of the last message."""
    parts = shown["messages"][-1]["parts"] if shown["messages"] else []
    return "".join(part["text"] for part in parts if part["type"] == "text")


async def test_the_page_prints_what_the_chats_here_use() -> None:
    helper = (FOLDER / "resuming.mjs").read_text()
    assert helper in (ROOT / "docs" / "serve-vercel.md").read_text()


@pytest.mark.parametrize("version", VERSIONS)
async def test_every_chunk_is_one_of_the_version_s(version: int) -> None:
    """Each stream is read by the package's own reader, which refuses what it does not know."""
    calls = [call("refund", "c1", order="A-1"), call("refund", "c2", order="A-2")]
    events, asked = await recorded_approval(agent(calls, [text("Done.")]))
    plain = await recorded(forecast())
    dead: Events = [("1-9", {"type": "turn.finished", "state": "dead", "error": "E: x"})]
    cancelled: Events = [("1-9", {"type": "turn.finished", "state": "cancelled"})]
    runs = [plain, events, with_approvals(events, asked), plain[:-1] + cancelled, plain[:-1] + dead]
    streams = [streamed(run, version) for run in runs]
    folded = await node("fold.mjs", {"version": version, "streams": streams})
    assert [each.get("error") for each in folded[:-1]] == [None] * 4
    assert "The turn failed (E)." in folded[-1]["error"]
    assert folded[0]["id"] == "answer-t"
    tools = [part for part in shown(folded[0]) if part["type"] == "tool-weather"]
    assert [part["output"] for part in tools] == [
        "sunny in Oslo",
        "sunny in Bergen",
        "sunny in Bodø",
    ]
    requests = [part for part in shown(folded[2]) if part.get("state") == "approval-requested"]
    assert len(requests) == (0 if version == 5 else 2)


@pytest.mark.parametrize("version", VERSIONS)
async def test_what_the_provider_runs_shows_and_cites_is_on_the_page(version: int) -> None:
    streams = [streamed(await recorded(researcher()), version)]
    (folded,) = await node("fold.mjs", {"version": version, "streams": streams})
    assert folded.get("error") is None
    parts = folded["parts"]
    tools = [part for part in parts if part.get("toolCallId")]
    hosted = ["web_search", "code_interpreter", "almanac", "image_generation"]
    assert [part["type"].removeprefix("tool-") for part in tools] == hosted
    for part in tools:
        assert (part["state"], part["providerExecuted"]) == ("output-available", True)
    assert tools[2]["output"] == {"output": "a leap year"}
    assert [part["url"] for part in parts if part["type"] == "file"] == [
        "data:image/png;base64,aGk="
    ]
    cited = [(part["url"], part["title"]) for part in parts if part["type"] == "source-url"]
    assert cited == [(f"https://example.com/{x}", f"on https://example.com/{x}") for x in "ab"]


@pytest.mark.parametrize("version", VERSIONS)
async def test_no_void_text_stays(version: int) -> None:
    """Wherever the worker dies, and whatever the next one says."""
    dead = await recorded(forecast("It rains."))
    streams, whole = [], []
    for last in ("It rains.", "It rains. Often.", "It is dry."):
        events = await recorded(forecast(last))
        for cut in range(len(dead)):
            streams.append(streamed([*dead[:cut], *RESET, *events], version))
            whole.append(streamed(events, version))
    folded = await node("fold.mjs", {"version": version, "streams": streams})
    clean = await node("fold.mjs", {"version": version, "streams": whole})
    broke = 0
    for each, wanted in zip(folded, clean, strict=True):
        if RESUME in str(each.get("error")):
            broke += 1
        else:
            assert each.get("error") is None
            assert shown(each) == shown(wanted)
    assert (broke > 0) == (version < 7)


async def test_a_message_and_its_answer(chats: Chats, lab: Lab) -> None:
    chat_id = uuid4().hex
    chat = await chats.open(chat_id)
    await chat.do("send", text="weather Oslo Rome")
    await chat.until(lambda shown: shown["seen"])
    answer = chat.shown["messages"][-1]
    assert [part["type"] for part in answer["parts"]] == [
        *["step-start", "text", "tool-weather"] * 2,
        *["step-start", "text"],
    ]
    assert said(chat.shown).endswith("It is sunny in oslo and sunny in rome.")
    assert (chat.shown["status"], chat.shown["seen"]) == ("ready", ["finished"])
    items = outline(await lab.session.bind(chat_id).get_items())
    assert items[0] == "weather Oslo Rome"
    assert items[-1] == "It is sunny in oslo and sunny in rome."


async def test_the_session_has_the_conversation(chats: Chats) -> None:
    chat = await chats.open()
    for number in (1, 2, 3):
        await chat.do("send", text="count")
        await chat.until(_seen(number))
        assert said(chat.shown) == f"message {number}"


async def test_a_reload_goes_on_with_the_answer(chats: Chats, lab: Lab) -> None:
    chat_id, halt = uuid4().hex, word()
    chat = await chats.open(chat_id)
    await chat.do("send", text=f"this is {halt} all")
    await lab.reached(halt)
    await chat.until(lambda shown: said(shown) == "this is")
    await chat.do("leave")
    assert ended(chat.shown)
    reloaded = await chats.open(chat_id, await chats.messages(chat_id))
    assert [message["role"] for message in reloaded.shown["messages"]] == ["user"]
    await reloaded.do("resume")
    await reloaded.until(lambda shown: said(shown) == "this is")
    other = await chats.open(chat_id, await chats.messages(chat_id))
    await other.do("resume")
    await other.until(lambda shown: said(shown) == "this is")
    lab.go(halt)
    for each in (reloaded, other):
        await each.until(lambda shown: shown["seen"])
        assert said(each.shown) == f"this is {halt} all"
        assert len(each.shown["messages"]) == 2
        assert each.shown["seen"] == ["finished"]


async def test_there_is_nothing_to_resume(chats: Chats) -> None:
    chat_id = uuid4().hex
    chat = await chats.open(chat_id)
    await chat.do("resume")
    await chat.do("send", text="count")
    await chat.until(lambda shown: said(shown) == "message 1" and ended(shown))
    reloaded = await chats.open(chat_id, await chats.messages(chat_id))
    await reloaded.do("resume")
    await reloaded.until(ended)
    assert reloaded.shown["messages"][-1]["id"] == chat.shown["messages"][-1]["id"]
    assert shown(reloaded.shown["messages"][-1]) == shown(chat.shown["messages"][-1])


async def test_stop_cancels_the_turn(chats: Chats, lab: Lab) -> None:
    chat_id, halt = uuid4().hex, word()
    chat = await chats.open(chat_id)
    await chat.do("send", text=f"this is {halt} all")
    await lab.reached(halt)
    await chat.do("stop")
    await chat.until(ended)
    assert chat.shown["status"] == "ready"
    assert await lab.session.bind(chat_id).get_items() == []
    await chat.do("send", text="count")
    await chat.until(lambda shown: said(shown) == "message 1" and ended(shown))


async def test_an_error_says_no_secret(chats: Chats) -> None:
    chat = await chats.open()
    await chat.do("send", text="break")
    await chat.until(lambda shown: shown["status"] == "error")
    assert chat.shown["error"] == "The turn failed (UserError)."
    assert "secret" not in json.dumps(chat.shown)


async def test_an_answer_is_given_again(chats: Chats, lab: Lab) -> None:
    chat_id = uuid4().hex
    chat = await chats.open(chat_id)
    for number, message in enumerate(["count", "who", "count"]):
        await chat.do("send", text=message)
        await chat.until(_seen(number + 1))
    await chat.do("regenerate")
    await chat.until(_seen(4))
    assert said(chat.shown) == "message 3"
    first = chat.shown["messages"][0]["id"]
    await chat.do("send", text="count", messageId=first)
    await chat.until(_seen(5))
    assert said(chat.shown) == "message 1"
    await chat.do("regenerate")
    await chat.until(_seen(6))
    assert len(chat.shown["messages"]) == 2
    assert outline(await lab.session.bind(chat_id).get_items()) == ["count", "message 1"]
    assert [m["id"] for m in await chats.messages(chat_id)] == [
        m["id"] for m in chat.shown["messages"]
    ]


@pytest.mark.parametrize("version", [6, 7])
async def test_approvals(program: Program, server: Server, lab: Lab, version: int) -> None:
    chat_id = uuid4().hex
    chat = await Chats(program, server, version).open(chat_id)
    await chat.do("send", text="refund A-1 A-2")
    await chat.until(lambda shown: len(_asked(shown)) == 2 and ended(shown))
    first, second = _asked(chat.shown)
    await chat.do("approve", id=first["approval"]["id"], approved=True)
    await chat.do("approve", id=second["approval"]["id"], approved=False, reason="Too much.")
    await chat.until(lambda shown: len(shown["seen"]) == 2)
    assert chat.shown["seen"] == ["finished", "finished"]
    assert said(chat.shown) == "It is refunded A-1 and Too much.."
    assert len(chat.shown["messages"]) == 2
    outputs = [part.get("output") for part in chat.shown["messages"][-1]["parts"]]
    assert [output for output in outputs if output] == ["refunded A-1", "Too much."]


async def test_approvals_that_somebody_else_decides(chats: Chats, lab: Lab) -> None:
    """The client of version 5 cannot answer, but sees what is asked; a reload shows the rest."""
    chat_id = uuid4().hex
    chat = await chats.open(chat_id)
    await chat.do("send", text="refund A-1")
    await chat.until(lambda shown: shown["seen"] and ended(shown))
    asked = await lab.session.pending_approvals(chat_id)
    if chats.version == 5:
        data = [part for part in chat.shown["messages"][-1]["parts"] if "data" in part]
        assert data[0]["data"]["approvalId"] == asked[0].id
    reloaded = await chats.open(chat_id, await chats.messages(chat_id))
    await reloaded.do("resume")
    await reloaded.until(lambda shown: shown["seen"])
    assert shown(reloaded.shown["messages"][-1]) == shown(chat.shown["messages"][-1])
    await lab.session.decide(chat_id, approve=[asked[0].id])
    await reloaded.do("resume", answer=chat.shown["messages"][-1]["id"])
    await reloaded.until(lambda shown: said(shown) == "It is refunded A-1." and ended(shown))
    assert len(reloaded.shown["messages"]) == 2


@pytest.mark.parametrize("version", VERSIONS)
async def test_a_worker_is_killed_in_mid_answer(program: Program, alone: Lab, version: int) -> None:
    """What the dead one had said is gone from the page, and the next one's answer is there once."""
    halt = word()
    server, one = await alone.server(), alone.worker("one")
    chat = await Chats(program, server, version).open()
    await chat.do("send", text=f"weather Oslo {halt}")
    await alone.reached(halt)
    await chat.until(lambda shown: len(_tools(shown)) == 2)
    await one.kill()
    alone.forget(halt)
    alone.worker("two")
    await alone.reached(halt)
    alone.go(halt)
    await chat.until(lambda shown: "finished" in shown["seen"])
    assert chat.shown["seen"] == ["finished"]  # it has not noticed: nothing was void
    assert said(chat.shown).count("Let me see.") == 2
    assert len(_tools(chat.shown)) == 2


@pytest.mark.parametrize("version", VERSIONS)
async def test_a_worker_is_killed_in_mid_word(program: Program, alone: Lab, version: int) -> None:
    halt, later = word(), word()
    server, one = await alone.server(), alone.worker("one")
    chat = await Chats(program, server, version).open()
    await chat.do("send", text=f"who {later} {halt}")
    await alone.reached(later)
    alone.go(later)
    await alone.reached(halt)
    await chat.until(lambda shown: said(shown) == f"one says {later}")
    await one.kill()
    alone.go(halt)
    alone.worker("two")
    await chat.until(lambda shown: "finished" in shown["seen"])
    assert said(chat.shown) == f"two says {later} {halt}"
    assert len(chat.shown["messages"]) == 2
    assert ("broke" in chat.shown["seen"]) == (version < 7)


@pytest.mark.parametrize("version", VERSIONS)
async def test_a_server_is_killed_in_mid_answer(program: Program, alone: Lab, version: int) -> None:
    halt = word()
    server = await alone.server()
    alone.worker("one")
    chat = await Chats(program, server, version).open()
    await chat.do("send", text=f"this is {halt} all")
    await alone.reached(halt)
    await chat.until(lambda shown: said(shown) == "this is")
    await server.process.kill()
    await chat.until(lambda shown: shown["seen"])
    assert chat.shown["seen"][-1] == "broke"
    await alone.server(port=server.port)
    alone.go(halt)
    await chat.until(lambda shown: "finished" in shown["seen"])
    assert said(chat.shown) == f"this is {halt} all"
    assert len(chat.shown["messages"]) == 2


@pytest.mark.parametrize("version", VERSIONS)
async def test_a_server_drains_and_another_goes_on(
    program: Program, alone: Lab, version: int
) -> None:
    halt = word()
    one, two = await alone.server(), await alone.server()
    alone.worker("one")
    async with Front(one).listening() as front:
        chat = await Chats(program, front, version).open()
        await chat.do("send", text=f"this is {halt} all")
        await alone.reached(halt)
        await chat.until(lambda shown: said(shown) == "this is")
        front.lead_to(two)
        await one.process.terminate(STARTED)
        alone.go(halt)
        await chat.until(lambda shown: "finished" in shown["seen"])
    assert chat.shown["seen"][-1] == "finished"
    assert any(RESUME in each for each in chat.shown["seen"])  # it was told, and came back
    assert said(chat.shown) == f"this is {halt} all"
    assert len(chat.shown["messages"]) == 2


def _seen(count: int) -> Callable[[Any], bool]:
    """Whether so many streams have ended."""
    return lambda shown: len(shown["seen"]) == count


def _asked(shown: Any) -> list[Any]:
    parts = shown["messages"][-1]["parts"] if shown["messages"] else []
    return [part for part in parts if part.get("state") == "approval-requested"]


def _tools(shown: Any) -> list[Any]:
    parts = shown["messages"][-1]["parts"] if shown["messages"] else []
    return [part for part in parts if part["type"] == "tool-weather" and part.get("input")]
