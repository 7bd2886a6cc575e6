"""OpenAI's own JavaScript client, against servers and workers that are processes."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from typing import Any
from uuid import uuid4

import pytest
import pytest_asyncio

from tests.docs.pages import blocks
from tests.http.node_clients import Program, install, run_code, running
from tests.http.wire_lab import LONGEST, Lab, Server, word
from tests.integration.programs import STARTED
from turnwise.testing.servers.waiting import until

pytestmark = pytest.mark.asyncio(loop_scope="module")

TOOL = {
    "type": "function",
    "name": "look_up",
    "parameters": {"type": "object", "properties": {"order": {"type": "string"}}},
    "strict": False,
}


@pytest.fixture(autouse=True, scope="module")
def installed() -> None:
    install()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def program() -> AsyncIterator[Program]:
    async with running("openai.mjs") as program:
        yield program


class Client:
    """The client of one server. What it throws, or returns, is as JSON."""

    def __init__(self, program: Program, server: Server) -> None:
        self._program = program
        self.server = server

    async def __call__(self, call: str, *given: Any) -> Any:
        """What a method of the client returns."""
        answer = await self._ask("get", call, given)
        assert "thrown" not in answer, answer["thrown"]
        return answer["got"]

    async def ask(self, text: Any, **more: Any) -> Any:
        """Ask the agent for a response."""
        return await self("responses.create", {"model": "helper", "input": text, **more})

    async def thrown(self, call: str, *given: Any) -> Any:
        """What a method of the client throws."""
        answer = await self._ask("get", call, given)
        assert "thrown" in answer, answer
        return answer["thrown"]

    async def all(self, call: str, *given: Any) -> Any:
        """What the client gets by going through all pages of a list."""
        return (await self._ask("all", call, given))["got"]

    async def stream(self, call: str, *given: Any) -> Stream:
        """The stream that a method of the client opens."""
        name = uuid4().hex
        answer = await self._program(
            op="open", name=name, of=self.server.url, call=call, **{"with": given}
        )
        assert "thrown" not in answer, answer["thrown"]
        return Stream(self._program, name)

    async def over(self, response_id: str) -> Any:
        """The response when it is over."""
        found: list[Any] = []

        async def reached() -> bool:
            found.append(await self("responses.retrieve", response_id))
            return found[-1]["status"] not in ("queued", "in_progress")

        await until(reached, LONGEST, "the response is over")
        return found[-1]

    async def _ask(self, op: str, call: str, given: Any) -> Any:
        return await self._program(op=op, of=self.server.url, call=call, **{"with": given})


class Stream:
    """A stream that the client reads; `events` are those that it has shown so far."""

    def __init__(self, program: Program, name: str) -> None:
        self._program = program
        self._name = name
        self.events: list[Any] = []

    async def until(self, reached: Callable[[Any], Any]) -> Any:
        """Wait until its client has got this."""
        shown: list[Any] = []

        async def holds() -> bool:
            shown.append(await self._program(op="show", name=self._name))
            self.events = shown[-1]["events"]
            return bool(reached(shown[-1]))

        try:
            await until(holds, LONGEST, "the stream shows it")
        except TimeoutError as error:
            raise AssertionError(shown[-1]) from error
        return shown[-1]

    async def ended(self) -> Any:
        """All that it shows at its end, which is a good one."""
        shown = await self.until(lambda shown: shown["ended"])
        assert "thrown" not in shown, shown["thrown"]
        return shown

    async def leave(self) -> None:
        """Close the connection."""
        await self._program(op="leave", name=self._name)


@pytest.fixture
def client(program: Program, server: Server) -> Client:
    return Client(program, server)


def text_of(response: Any) -> str:
    """What the response says: the client adds this to each response."""
    return str(response["output_text"])


def said(events: list[Any]) -> str:
    """What the deltas say."""
    deltas = (each for each in events if each["type"] == "response.output_text.delta")
    return "".join(each["delta"] for each in deltas)


def says(text: str) -> Callable[[Any], bool]:
    return lambda shown: said(shown["events"]) == text


def numbers(events: list[Any]) -> list[int]:
    return [each["sequence_number"] for each in events]


async def test_a_response(client: Client) -> None:
    response = await client.ask("hello", metadata={"a": "b"})
    assert (text_of(response), response["status"]) == ("hello", "completed")
    assert response["metadata"] == {"a": "b"}
    again = await client("responses.retrieve", response["id"])
    assert (again["output"], again["id"]) == (response["output"], response["id"])
    following = await client.ask("count", previous_response_id=response["id"])
    assert text_of(following) == "message 2"


async def test_the_page_s_example(server: Server) -> None:
    block = next(block for block in blocks("js") if block.page == "docs/serve-responses.md")
    code = block.content.replace("http://localhost:8000", server.url).replace("support", "helper")
    assert await run_code(code) == "Where is my order?\n"


async def test_a_stream(client: Client) -> None:
    stream = await client.stream(
        "responses.create", {"model": "helper", "input": "one two three", "stream": True}
    )
    events = (await stream.ended())["events"]
    assert said(events) == "one two three"
    assert numbers(events) == list(range(len(events)))
    assert [events[0]["type"], events[-1]["type"]] == ["response.created", "response.completed"]
    helper = await client.stream("responses.stream", {"model": "helper", "input": "think so"})
    final = (await helper.ended())["final"]
    assert [item["type"] for item in final["output"]] == ["reasoning", "message"]
    assert text_of(final) == "so"


async def test_one_in_the_background_is_asked_for_until_it_is_over(
    client: Client, lab: Lab
) -> None:
    halt = word()
    created = await client.ask(f"this is {halt} all", background=True)
    assert created["status"] == "queued"
    await lab.reached(halt)
    running = await client("responses.retrieve", created["id"])
    assert (running["status"], text_of(running)) == ("in_progress", "this is")
    lab.go(halt)
    assert text_of(await client.over(created["id"])) == f"this is {halt} all"


async def test_a_stream_goes_on_at_another_replica(
    program: Program, client: Client, lab: Lab
) -> None:
    halt = word()
    asked = {"model": "helper", "input": f"this is {halt} all", "background": True, "stream": True}
    stream = await client.stream("responses.create", asked)
    seen = (await stream.until(says("this is")))["events"]
    await stream.leave()
    there = Client(program, await lab.server())
    cursor, response_id = seen[-1]["sequence_number"], seen[0]["response"]["id"]
    going_on = {"stream": True, "starting_after": cursor}
    rest = await there.stream("responses.retrieve", response_id, going_on)
    lab.go(halt)
    events = seen + (await rest.ended())["events"]
    assert said(events) == f"this is {halt} all"
    assert numbers(events) == list(range(len(events)))
    helper = await there.stream("responses.stream", {"response_id": response_id})
    assert text_of((await helper.ended())["final"]) == f"this is {halt} all"
    await there.server.process.terminate(STARTED)


async def test_a_replica_dies_under_a_stream(program: Program, alone: Lab) -> None:
    halt = word()
    here, there = Client(program, await alone.server()), Client(program, await alone.server())
    alone.worker("one")
    asked = {"model": "helper", "input": f"this is {halt} all", "background": True, "stream": True}
    stream = await here.stream("responses.create", asked)
    seen = (await stream.until(says("this is")))["events"]
    await here.server.process.kill()
    shown = await stream.until(lambda shown: shown["ended"])
    assert shown["thrown"]["message"] == "terminated"  # as `fetch` says it
    cursor, response_id = seen[-1]["sequence_number"], seen[0]["response"]["id"]
    going_on = {"stream": True, "starting_after": cursor}
    rest = await there.stream("responses.retrieve", response_id, going_on)
    alone.go(halt)
    events = seen + (await rest.ended())["events"]
    assert said(events) == f"this is {halt} all"
    assert numbers(events) == list(range(len(events)))


@pytest.mark.parametrize("call", ["responses.create", "responses.stream"])
async def test_a_worker_dies_under_a_stream(program: Program, alone: Lab, call: str) -> None:
    halt, later = word(), word()
    client, one = Client(program, await alone.server()), alone.worker("one")
    stream = await client.stream(
        call, {"model": "helper", "input": f"who {later} {halt}", "stream": True}
    )
    await alone.reached(later)
    alone.go(later)
    await alone.reached(halt)
    await stream.until(says(f"one says {later}"))
    await one.kill()
    alone.go(halt)
    alone.worker("two")
    final = (await stream.ended())["events"][-1]["response"]
    items = [(item["status"], item["content"][0]["text"]) for item in final["output"]]
    assert items == [("completed", f"two says {later} {halt}")]


async def test_cancelling(client: Client, lab: Lab) -> None:
    halt = word()
    created = await client.ask(f"this is {halt} all", background=True)
    await lab.reached(halt)
    for _ in range(2):
        cancelled = await client("responses.cancel", created["id"])
        assert (cancelled["status"], cancelled["output"]) == ("cancelled", [])
    ended = await client.ask("hello", background=True)
    await client.over(ended["id"])
    refused = await client.thrown("responses.cancel", ended["id"])
    assert (refused["kind"], refused["status"]) == ("BadRequestError", 400)
    assert "Cannot cancel a completed response." in refused["message"]


async def test_deleting(client: Client) -> None:
    response = await client.ask("hello")
    await client("responses.delete", response["id"])
    for call in ("responses.retrieve", "responses.delete", "responses.inputItems.list"):
        gone = await client.thrown(call, response["id"])
        assert (gone["kind"], gone["status"]) == ("NotFoundError", 404)
        assert gone["type"] == "invalid_request_error"


async def test_input_items_in_pages(client: Client) -> None:
    items = [{"role": "user", "content": f"item {number}"} for number in range(25)]
    response = await client.ask(items)
    listed = await client.all("responses.inputItems.list", response["id"], {"order": "asc"})
    assert [one["content"][0]["text"] for one in listed] == [each["content"] for each in items]
    newest = await client("responses.inputItems.list", response["id"], {"limit": 2})
    assert newest["has_more"] is True
    assert [one["id"] for one in newest["data"]] == [one["id"] for one in listed[:-3:-1]]


async def test_conversations(client: Client) -> None:
    greeting = {"role": "user", "content": "hello"}
    made = await client("conversations.create", {"items": [greeting], "metadata": {"a": "b"}})
    conversation_id = made["id"]
    assert (made["object"], made["metadata"]) == ("conversation", {"a": "b"})
    response = await client.ask("count", conversation=conversation_id)
    assert text_of(response) == "message 2"
    assert response["conversation"] == {"id": conversation_id}
    listing = "conversations.items.list", conversation_id, {"order": "asc", "limit": 2}
    listed = await client.all(*listing)
    assert [one["content"][0]["text"] for one in listed] == ["hello", "count", "message 2"]
    names = {"conversation_id": conversation_id}
    one = await client("conversations.items.retrieve", listed[1]["id"], names)
    assert one == listed[1]
    added = await client("conversations.items.create", conversation_id, {"items": [greeting]})
    assert len(await client.all(*listing)) == 4
    after = await client("conversations.items.delete", added["data"][0]["id"], names)
    assert after["id"] == conversation_id
    assert await client.all(*listing) == listed
    changed = await client("conversations.update", conversation_id, {"metadata": {"a": "c"}})
    assert changed["metadata"] == {"a": "c"}
    deleted = await client("conversations.delete", conversation_id)
    assert deleted["deleted"] is True
    gone = await client.thrown("conversations.retrieve", conversation_id)
    assert (gone["kind"], gone["status"]) == ("NotFoundError", 404)


async def test_functions_that_the_client_runs(client: Client) -> None:
    response = await client.ask("use look_up order A-1", tools=[TOOL])
    calls = [item for item in response["output"] if item["type"] == "function_call"]
    assert [(one["name"], one["arguments"]) for one in calls] == [("look_up", '{"order": "A-1"}')]
    output = {"type": "function_call_output", "call_id": calls[0]["call_id"], "output": "shipped"}
    ended = await client.ask([output], previous_response_id=response["id"], tools=[TOOL])
    assert text_of(ended) == "It is shipped."


async def test_an_approval(client: Client) -> None:
    stream = await client.stream(
        "responses.create", {"model": "helper", "input": "refund A-1", "stream": True}
    )
    asked = (await stream.ended())["events"][-1]["response"]
    request = next(item for item in asked["output"] if item["type"] == "mcp_approval_request")
    assert request["name"] == "refund"
    yes = {
        "type": "mcp_approval_response",
        "approval_request_id": request["id"],
        "approve": True,
    }
    ended = await client.ask([yes], previous_response_id=asked["id"])
    assert text_of(ended) == "It is refunded A-1."
    assert [item["type"] for item in ended["output"]] == ["mcp_call", "message"]


async def test_errors_are_the_client_s_own(client: Client, lab: Lab) -> None:
    create = "responses.create"
    unknown = await client.thrown(create, {"model": "nobody", "input": "x"})
    assert (unknown["kind"], unknown["code"]) == ("NotFoundError", "model_not_found")
    previous = {"model": "helper", "input": "x", "previous_response_id": "resp_x"}
    lost = await client.thrown(create, previous)
    assert (lost["kind"], lost["param"]) == ("BadRequestError", "previous_response_id")
    wrong = await client.thrown(create, {"model": "helper", "input": "x", "metadata": {"a": 1}})
    assert (wrong["kind"], wrong["param"]) == ("BadRequestError", "metadata.a")
    halt = word()
    made = await client("conversations.create", {})
    busy = {"model": "helper", "conversation": made["id"], "background": True}
    await client(create, {**busy, "input": f"this is {halt}"})
    await lab.reached(halt)
    refused = await client.thrown(create, {**busy, "input": "x"})
    assert (refused["kind"], refused["code"]) == ("BadRequestError", "conversation_locked")
    lab.go(halt)
    failed = await client.ask("break")
    assert (failed["status"], failed["error"]["code"]) == ("failed", "server_error")
    assert "secret" not in str(failed)


async def test_who_is_not_known_is_refused(program: Program, alone: Lab) -> None:
    refused = await Client(program, await alone.server(auth="keys")).thrown(
        "responses.create", {"model": "helper", "input": "x"}
    )
    assert (refused["kind"], refused["status"]) == ("AuthenticationError", 401)
    assert refused["code"] == "invalid_api_key"
