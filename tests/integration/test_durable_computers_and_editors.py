"""Patches and actions of computers over a takeover: nothing is done twice."""

from __future__ import annotations

import asyncio
from collections import Counter
from functools import partial
from typing import Any

import agents
import pytest
from agents import Agent, ApplyPatchTool, ComputerTool, RunHooks, function_tool

from tests.integration.durable_computers import (
    SCREENS,
    AsyncScreen,
    Editor,
    Screen,
    click,
    clicking,
    patch,
    patching,
    typed,
    used,
)
from tests.integration.durable_lab import WAYS, Ledger, Sage, Scenario, calls, says
from tests.integration.durable_takeovers import taken_over, undisturbed
from tests.integration.stores import KINDS, Sessions, new_sessions_of
from turnwise import Runner, repeatable
from turnwise.durable.calls import OUTCOME_UNKNOWN
from turnwise.errors import TurnCancelled
from turnwise.journal_entries import ResponseEntry

PATCHES = {
    "create a": 1,
    "update b": 3,
    "update a2": 1,
    "one": 1,
    "delete c": 1,
}


sessions = new_sessions_of(KINDS)


@pytest.mark.parametrize("way", ["turnwise", "streamed-sdk"])
async def test_a_patch_is_applied_once(way: str) -> None:
    scenario = Scenario(patching)
    calm, ledger, entries = await undisturbed(scenario, WAYS[way])
    assert ledger.tools == PATCHES
    plain = await agents.Runner.run(patching(Ledger()), "go")
    assert calm.history == plain.to_input_list()
    for dies_at in range(1, entries + 1):
        for acknowledged in (False, True):
            over = await taken_over(scenario, WAYS[way], dies_at, acknowledged=acknowledged)
            assert over.ledger.tools <= Counter(PATCHES), (dies_at, over.journal)
            assert over.by_first.models.total() >= len(over.entries(ResponseEntry))
            assert len(over.outcome.history) == len(calm.history)
            for item, expected in zip(over.outcome.history, calm.history, strict=True):
                if item.get("call_id") in over.unknown_calls and "output" in item:
                    assert item["output"] == OUTCOME_UNKNOWN
                    assert item.get("status", "failed") == "failed"
                else:
                    assert item == expected


async def test_a_repeatable_patch_is_applied_again() -> None:
    def build(ledger: Ledger) -> Agent[Any]:
        tool = repeatable(ApplyPatchTool(Editor(ledger)))
        model = Sage(ledger, "m", [patch("create_file", "a")], says("done"))
        return Agent(name="a", model=model, tools=[tool])

    over = await taken_over(Scenario(build), WAYS["turnwise"], 2, acknowledged=False)
    assert over.unknown == ["apply_patch"]
    assert over.outcome.history[2]["output"] == "created a"


@pytest.mark.parametrize("screen", SCREENS)
async def test_a_computer_acts_once(screen: str) -> None:
    scenario = Scenario(partial(clicking, screen=SCREENS[screen]))
    calm, ledger, entries = await undisturbed(scenario, WAYS["turnwise"])
    done = ledger.tools
    assert done["click 1"] == 2
    assert done["drag ['shift']"] == 1
    plain = await agents.Runner.run(clicking(Ledger(), SCREENS[screen]), "go")
    assert calm.history == plain.to_input_list()
    doubtful = 0
    for dies_at in range(1, entries + 1):
        over = await taken_over(scenario, WAYS["turnwise"], dies_at, acknowledged=False)
        total, journal = over.ledger.tools, over.journal
        assert total - Counter({"wait": 1}) <= done, (dies_at, journal)
        if over.unknown == [] or over.unknown == ["other"]:
            assert total - Counter({"wait": 1}) >= done - Counter({"wait": 1, "other": 1})
            expected = [item for item in calm.history if item.get("call_id") != "of_other"]
            given = [i for i in over.outcome.history if i.get("call_id") != "of_other"]
            assert given == expected, (dies_at, journal)
        else:
            doubtful += 1
            assert len(over.outcome.history) == len(calm.history)
    assert doubtful >= 5


async def test_actions_after_one_of_unknown_outcome_are_skipped() -> None:
    """Nobody knows where the text would go. The model sees what the screen shows."""

    def build(ledger: Ledger) -> Agent[Any]:
        model = Sage(
            ledger,
            "m",
            [used("one", click(1), typed("a")), used("two", typed("b"))],
            [used("three", typed("c"))],
            says("done"),
        )
        return Agent(name="a", model=model, tools=[ComputerTool(Screen(ledger))])

    scenario = Scenario(build)
    over = await taken_over(scenario, WAYS["turnwise"], 2, acknowledged=False)
    assert over.unknown == ["computer_use_preview"]
    assert over.ledger.tools == {"type c": 1}
    screens = [i["output"]["image_url"][-8:] for i in over.outcome.history if "output" in i]
    assert screens == ["screen-0", "screen-0", "screen-1"]


async def test_other_code_uses_editors_and_computers_as_before(sessions: Sessions) -> None:
    """What hooks, tools and the application do with them is not a model's call."""
    ledger = Ledger()
    editor, screen = Editor(ledger), Screen(ledger)
    patches, computer = ApplyPatchTool(editor), ComputerTool(screen)
    shown: list[Any] = []

    class Watching(RunHooks[Any]):
        async def on_tool_end(self, context: Any, agent: Any, tool: Any, result: Any) -> None:
            shown.append(screen.screenshot())

    @function_tool
    def press() -> str:
        screen.click(7, 0, "left")
        return str(screen.screenshot())

    model = Sage(
        ledger, "m", [patch("create_file", "a"), used("one", click(1))], calls("press"), says("x")
    )
    tools: list[Any] = [patches, computer, press]
    helper = Agent(name="a", model=model, tools=tools)
    session = sessions.worker(session_id="s")
    await Runner.run(helper, "go", session=session, turn_id="t", hooks=Watching())
    assert len(shown) == 3
    assert all(isinstance(each, str) for each in shown)
    assert patches.editor.root == "/files"  # type: ignore[attr-defined]
    assert patches.editor.update_file is not None
    assert computer.computer is screen
    assert screen.screenshot() == "screen-2"
    assert isinstance(screen, Screen)
    assert ledger.tools == {"create a": 1, "click 1": 1, "click 7": 1}


async def test_a_resent_turn_repeats_no_patch_and_no_action(sessions: Sessions) -> None:
    ledger, stuck = Ledger(), asyncio.Event()

    class Slow(AsyncScreen):
        __slots__ = ()

        async def keypress(self, keys: list[str]) -> None:
            await super().keypress(keys)
            if self.screen.ledger.tools["keypress x"] == 1:
                stuck.set()
                await asyncio.Event().wait()

    def build() -> Agent[Any]:
        model = Sage(
            ledger,
            "m",
            [patch("create_file", "a")],
            [used("one", click(1), {"type": "keypress", "keys": ["x"]}, typed("a"))],
            [used("two", typed("b"))],
            says("done"),
        )
        tools: list[Any] = [ComputerTool(Slow(ledger)), ApplyPatchTool(Editor(ledger))]
        return Agent(name="a", model=model, tools=tools)

    here, there = sessions.worker(session_id="s"), sessions.worker(session_id="s")
    first = asyncio.create_task(Runner.run(build(), "go", session=here, turn_id="t"))
    await asyncio.wait({first, asyncio.create_task(stuck.wait())}, return_when="FIRST_COMPLETED")
    first.cancel()
    await asyncio.wait({first})
    result = await Runner.run(build(), "go", session=there, turn_id="t")
    assert result.final_output == "done"
    assert ledger.tools == {"create a": 1, "click 1": 1, "keypress x": 1, "type b": 1}
    assert ledger.models == {"m 0": 1, "m 1": 1, "m 2": 1, "m 3": 1}
    history = await here.get_items()
    seen: list[Any] = [i for i in history if i.get("type") == "computer_call_output"]
    screens = [item["output"]["image_url"][-8:] for item in seen]
    assert screens == ["screen-2", "screen-3"]


async def test_an_interrupted_turn_keeps_its_patches(sessions: Sessions) -> None:
    ledger, stuck = Ledger(), asyncio.Event()

    class Then(Editor):
        """Says when the last patch is made."""

        def delete_file(self, operation: Any) -> str:
            self.ledger.tools["delete c"] += 1
            stuck.set()
            raise ValueError("no c")

    @function_tool
    async def wait() -> str:
        await asyncio.Event().wait()
        return "never"

    patches = [patch("create_file", "a"), patch("update_file", "b"), patch("delete_file", "c")]
    model = Sage(ledger, "m", [*patches, *calls("wait")], says("x"))
    tools: list[Any] = [ApplyPatchTool(Then(ledger)), wait]
    helper = Agent(name="a", model=model, tools=tools)
    here, there = sessions.worker(session_id="s"), sessions.worker(session_id="s")
    running = asyncio.create_task(Runner.run(helper, "go", session=here))
    await stuck.wait()
    async with there.turn(busy="interrupt"):
        history: list[Any] = await there.get_items()
    with pytest.raises(TurnCancelled):
        await running
    outputs = {i["call_id"]: i for i in history if str(i.get("type")).endswith("_output")}
    said = [(outputs[f"of_{n}"]["status"], outputs[f"of_{n}"].get("output")) for n in "abc"]
    assert said == [("completed", "created a"), ("completed", None), ("failed", "no c")]


async def test_an_approved_patch_is_applied_once(sessions: Sessions) -> None:
    ledger = Ledger()

    def build(*replies: Any) -> Agent[Any]:
        tool = ApplyPatchTool(Editor(ledger), needs_approval=True)
        return Agent(name="a", model=Sage(ledger, "m", *replies), tools=[tool])

    patches = [patch("create_file", "a"), patch("update_file", "a2")]
    session = sessions.worker(session_id="s")
    asked = await Runner.run(build(patches), "go", session=session)
    assert len(asked.interruptions) == 2
    waiting = await session.pending_approvals()
    result = await Runner.resume(
        build(patches, says("done")),
        session=sessions.worker(session_id="s"),
        approve=[each.id for each in waiting],
    )
    assert result.final_output == "done"
    assert ledger.tools == {"create a": 1, "update a2": 1}
