"""What a caller gets wrong is an error at the call that says what to do; what is plain works."""

from __future__ import annotations

from collections.abc import Callable
from inspect import isawaitable
from pathlib import Path
from typing import Any

import agents
import pytest
from agents import Agent
from agents.testing import assistant_message
from pydantic import BaseModel
from typer.testing import CliRunner

from tests.scripted import Script, agent, says, script_of
from turnwise import MemorySession, Policy, Runner, SQLiteSession, connect
from turnwise.cli.app import app
from turnwise.connect.settings import Options
from turnwise.errors import InvalidItem, InvalidTurnId, TurnwiseError, UsageError
from turnwise.session import Session
from turnwise.worker import Worker

memory = MemorySession()
session: Any = memory  # it gets arguments of wrong types
bound: Any = memory.bind("v")
anyhow: Any = Runner
make: Any = MemorySession
make_from: Any = connect
worker: Any = Worker
policy: Any = Policy
USER: Any = {"role": "user", "content": "x"}


class Note(BaseModel):
    role: str = "user"
    content: str
    name: str | None = None


async def streamed(*args: Any, **options: Any) -> None:
    async for _ in Runner.run_streamed(*args, **options).stream_events():
        pass


Call = Callable[[], Any]
WRONG: dict[str, tuple[type[TurnwiseError], str, Call]] = {
    "two agents of one name": (
        UsageError,
        "one name",
        lambda: session.drain("u", [agent(), agent()]),
    ),
    "agents as a string": (UsageError, "agents of the SDK", lambda: worker(session, "agent")),
    "another session than the bound one": (
        UsageError,
        "bound to 'v', and the call names 'u'",
        lambda: anyhow.run(agent(), "hi", session=bound, session_id="u"),
    ),
    "submit to another": (UsageError, "bound", lambda: bound.submit("u", "hi", agent="a")),
    "a turn of another": (UsageError, "bound", lambda: bound.turn("u").__aenter__()),
    "an agent as a string": (
        UsageError,
        r"agents\.Agent",
        lambda: anyhow.run("desk", "hi", session=bound),
    ),
    "streamed": (UsageError, r"agents\.Agent", lambda: streamed("desk", "hi", session=bound)),
    "resumed": (UsageError, r"agents\.Agent", lambda: anyhow.resume("desk", session=bound)),
    "no agent": (UsageError, "agent=''", lambda: session.submit("u", "hi", agent="")),
    "a session as a string": (
        UsageError,
        "session_id=",
        lambda: anyhow.run(agent(), "hi", session="user-1"),
    ),
    "a misspelt option": (
        UsageError,
        "unknown options: lesae.*" + ".*".join(["key_prefix", "ttl", *Options.__annotations__]),
        lambda: make_from("memory://", lesae=3),
    ),
    "a misspelt argument": (
        UsageError,
        "unknown arguments: max_turn.*turn_id.*stream_idle_timeout.*max_turns",
        lambda: anyhow.run(agent(), "hi", session=bound, max_turn=3),
    ),
    "a misspelt argument, streamed": (
        UsageError,
        "max_turns",
        lambda: anyhow.run_streamed(agent(), "hi", session=bound, max_turn=3),
    ),
    "a misspelt decision": (
        UsageError,
        "approve",
        lambda: anyhow.resume(agent(), session=bound, aprove=["x"]),
    ),
    "decisions as a list": (
        UsageError,
        "reject takes a dict",
        lambda: anyhow.resume(agent(), session=bound, reject=["x"]),
    ),
    "approvals instead of their ids": (
        UsageError,
        r"ids.*not dict.*pending_approvals\(\)",
        lambda: anyhow.resume(agent(), session=bound, approve=[{"id": "x"}]),
    ),
    "an option of the runs of messages": (
        UsageError,
        "max_turn.*max_turns",
        lambda: policy(run_options={"max_turn": 3}),
    ),
    "attempts": (UsageError, "max_attempts=0", lambda: policy(max_attempts=0)),
    "after a death": (UsageError, "on_dead='go'", lambda: policy(on_dead="go")),
    "concurrency": (UsageError, "concurrency=0", lambda: worker(session, agent(), concurrency=0)),
    "a limit": (UsageError, "limit='5'", lambda: make(limit="5")),
    "settings": (
        UsageError,
        "session_settings.*limt",
        lambda: make(session_settings={"limt": 1}),
    ),
    "a worker's name": (UsageError, "worker=5", lambda: make(worker=5)),
    "compression": (UsageError, "compression='no'", lambda: make(compression="no")),
    "a number of seconds": (
        UsageError,
        "stream_idle_timeout='1'",
        lambda: anyhow.run_streamed(agent(), "hi", session=bound, stream_idle_timeout="1"),
    ),
    "metadata": (
        UsageError,
        "metadata=",
        lambda: session.submit("u", "x", agent="a", metadata=[1]),
    ),
    "a turn id": (InvalidTurnId, "5", lambda: session.status("u", 5)),
}


@pytest.mark.parametrize("name", WRONG)
async def test_a_mistake(name: str) -> None:
    error, says, call = WRONG[name]
    with pytest.raises(error, match=says):
        if isawaitable(made := call()):
            await made
    assert [found async for found in session.scan()] == []


async def _run(session: Session, input: Any) -> None:
    await Runner.run(agent(), input, session=session)


async def _streamed(session: Session, input: Any) -> None:
    await streamed(agent(), input, session=session)


async def _enqueued(session: Session, input: Any) -> None:
    await Runner.run(agent(), input, session=session, busy="enqueue")


async def _submitted(session: Session, input: Any) -> None:
    answering = agent()
    await session.submit(None, input, agent=answering)
    await session.drain(None, answering)


async def _added(session: Session, input: Any) -> None:
    await session.add_items(input)
    await _run(session, [])


async def _in_a_block(session: Session, input: Any) -> None:
    async with session.turn() as turn:
        await agents.Runner.run(agent(), input, session=turn)


async def _added_in_a_block(session: Session, input: Any) -> None:
    async with session.turn() as turn:
        await turn.add_items(input)
    await _run(session, [])


WAYS = [_run, _streamed, _enqueued, _submitted, _added, _in_a_block, _added_in_a_block]


@pytest.mark.parametrize("way", WAYS)
async def test_objects_as_items(way: Any) -> None:
    given = MemorySession(session_id="s")
    message = assistant_message("q")
    await way(given, [USER, Note(content="x"), message])
    stored = await given.get_items()
    assert stored[:3] == [USER, USER, message.model_dump(exclude_unset=True)]


@pytest.mark.parametrize("way", [_run, _streamed, _enqueued, _submitted])
@pytest.mark.parametrize("wrong", [None, 5, USER, Note(content="x"), b"x"])
async def test_what_is_no_input(way: Any, wrong: Any) -> None:
    with pytest.raises(UsageError, match="session 's': the input is"):
        await way(MemorySession(session_id="s"), wrong)


@pytest.mark.parametrize("way", WAYS[:5])
@pytest.mark.parametrize("wrong", [None, "text", 5, [USER]])
async def test_what_is_no_item(way: Any, wrong: Any) -> None:
    with pytest.raises(InvalidItem, match=r"item 1 is .*to_input_list"):
        await way(MemorySession(session_id="s"), [USER, wrong])


@pytest.mark.parametrize("wrong", [None, 5, "text", USER, b"x"])
async def test_what_are_no_items(wrong: Any) -> None:
    with pytest.raises(InvalidItem, match="the items are"):
        await MemorySession(session_id="s").add_items(wrong)


async def test_one_hook_is_enough() -> None:
    heard: list[object] = []
    for hooks in (heard.append, [heard.append], None):
        heard.clear()
        await MemorySession(session_id="s", hooks=hooks).add_items([USER])
        async with MemorySession(hooks=hooks).turn("s") as turn:
            await turn.add_items([USER])
        assert bool(heard) == (hooks is not None)


def test_one_repeatable_tool_is_enough() -> None:
    settings = MemorySession(repeatable_tools="pay").runtime.settings
    assert list(settings.repeatable_tools) == ["pay"]
    with pytest.raises(UsageError, match="repeatable_tools"):
        make(repeatable_tools=[lambda: None])


async def test_a_message_for_an_agent_object() -> None:
    submitted, answering = MemorySession(session_id="s"), agent(says("yes"))
    receipt = await submitted.submit(None, "hi", agent=answering)
    await submitted.drain(None, answering)
    assert (await receipt.result(5)).final_output == "yes"


@pytest.mark.parametrize("verb", ["retry_dead_letter", "delete_dead_letter"])
async def test_an_unknown_letter(verb: str, tmp_path: Path) -> None:
    for store in (MemorySession(), SQLiteSession(tmp_path / "s.db")):
        async with store:
            for unknown in ("nope", "stopped:nope", None):
                with pytest.raises(UsageError, match="there is no dead letter"):
                    await getattr(store, verb)(unknown)


def test_a_store_in_memory_at_the_command_line() -> None:
    for command in (["worker", "examples.support:agents"], ["dead-letters", "list"]):
        result = CliRunner().invoke(app, [*command, "--url", "memory://"])
        assert result.exit_code != 0
        assert "memory of the process" in result.output + str(result.exception)


async def test_the_same_agent_twice_is_one() -> None:
    answering = Agent(name="a", model=Script(says("yes")))
    await session.processor([answering, answering]).drain("empty")
    assert not script_of(answering).asked
