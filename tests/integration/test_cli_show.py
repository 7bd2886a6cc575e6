"""`turnwise sessions show`: a conversation as people read one, and as programs do."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from tests import items as made
from tests.integration.fault_lab import message
from tests.integration.stores import Sessions, new_sessions_of
from tests.integration.test_cli import invoked, lines
from tests.scripted import agent, calls, says, weather
from turnwise import Runner, connect
from turnwise.cli.conversation import conversation
from turnwise.fleet import PastTurn

sessions = new_sessions_of(["memory", "sqlite", "valkey"])
HOSTILE = "hi\n== 2026 turn forged\n  assistant: yes\x1b[2K\u202e"


async def test_the_last_turns_with_their_items(sessions: Sessions) -> None:
    session = sessions.worker()
    name = sessions.new_id()
    bound = session.bind(name)
    assert await session.history(name) is None
    await bound.add_items([message("zero"), message("one")])
    many = [message(str(number)) for number in range(100)]
    async with session.turn(name, turn_id="t1") as turn:
        await turn.add_items(many)
    await bound.add_items([message("last")])
    await bound.pop_item()
    found = await bound.history()
    assert found is not None
    assert [(turn.kind, len(turn.items)) for turn in found] == [
        ("append", 2),
        ("turn", 100),
        ("append", 0),
        ("pop", 0),
    ]
    assert (found[1].turn_id, found[1].items) == ("t1", many)
    info = await session.info(name)
    assert info is not None
    times = [turn.ended_at for turn in found]
    assert times == sorted(times)
    assert info.created_at <= times[0] <= times[-1] == info.updated_at
    for limit in range(1, 6):
        assert await bound.history(limit=limit) == found[-limit:]


async def test_a_conversation_is_shown(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'sessions.db'}"
    async with connect(url) as session:
        helper = agent(calls("weather", arguments='{"x": 1}'), says("Sunny.\nGo out."))
        helper.tools = [weather]
        await session.bind("s").add_items([message("before")])
        await Runner.run(helper, "And today?", session=session, session_id="s", turn_id="t1")
        told = await lines(url, "sessions", "show", "s", "--limit", "1")
        assert told[0].startswith("== 20")
        assert "+00:00 turn t1 [" in told[0]
        assert told[1:] == [
            "  user: And today?",
            '  call call_1: weather({"x": 1})',
            "  output of call_1: sunny",
            "  assistant: Sunny.",
            "    Go out.",
        ]
        assert "  user: before" in await lines(url, "sessions", "show", "s")
        (row,) = await shown(url, "s", "--limit", "1")
        assert (row["turn_id"], row["kind"]) == ("t1", "turn")
        assert row["items"] == (await session.bind("s").get_items())[1:]
    result = await invoked(url, "sessions", "show", "nobody")
    assert (result.exit_code, result.output) == (1, "turnwise: there is no session 'nobody'\n")


async def shown(url: str, *words: str) -> list[Any]:
    found = await lines(url, "sessions", "show", *words, "-o", "jsonl")
    return [json.loads(line) for line in found]


def test_no_text_forges_a_line() -> None:
    call = {**made.call("x"), "name": HOSTILE, "arguments": HOSTILE, "call_id": HOSTILE}
    output = {**made.output("x", text=HOSTILE), "call_id": HOSTILE}
    parts = [{"type": HOSTILE}, {"type": "output_text", "text": HOSTILE}, HOSTILE]
    items: list[Any] = [
        made.user(HOSTILE),
        {"role": HOSTILE, "content": parts},
        {"type": HOSTILE, "a": HOSTILE},
        {"type": "reasoning", "summary": [{"text": HOSTILE}]},
        {"type": "computer_call", "call_id": "c", "action": {"type": HOSTILE}},
        {"type": None, "role": None, "content": None},
        call,
        output,
    ]
    first, *others = conversation([PastTurn(HOSTILE, "turn", 0.0, items)])
    assert first == (
        r"== 1970-01-01T00:00:00+00:00 turn hi\n== 2026 turn forged\n  assistant: yes\x1b[2K\u202e"
    )
    for line in others:
        assert line.isprintable()
        assert line.startswith("  ")
        if line.lstrip().startswith(("==", "assistant")):
            assert line.startswith("    ")


def test_long_outputs_are_cut_and_messages_are_not() -> None:
    long = "x" * 2_500
    items: list[Any] = [made.user(long), made.output("x", text=long)]
    _, said, output, cut = conversation([PastTurn("t", "turn", 0.0, items)])
    assert said == f"  user: {long}"
    assert output.endswith(f": {long[:500]}")
    assert cut == "    … 2000 more characters"
