"""Durable runs change nothing that the application sees: agents, models, tools, approvals."""

from __future__ import annotations

import asyncio
import copy
import dataclasses
import pickle
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from typing import Any

import agents
import pytest
from agents import (
    Agent,
    AgentHooks,
    FunctionTool,
    ModelProvider,
    RunConfig,
    RunHooks,
    function_tool,
)
from agents.run import AgentRunner, get_default_agent_runner, set_default_agent_runner
from agents.tool_context import ToolContext

from tests.integration.durable_lab import (
    WAYS,
    Lab,
    Ledger,
    Mortal,
    Sage,
    calls,
    last_response_with_commit,
    says,
)
from turnwise import Runner


class Watching(RunHooks[Any]):
    """Notes every object that a run shows."""

    def __init__(self) -> None:
        self.agents: list[Any] = []
        self.tools: list[Any] = []
        self.contexts: list[Any] = []

    async def on_agent_start(self, context: Any, agent: Any) -> None:
        self.agents.append(agent)

    async def on_llm_start(self, context: Any, agent: Any, *given: Any) -> None:
        self.agents.append(agent)

    async def on_tool_start(self, context: Any, agent: Any, tool: Any) -> None:
        self.agents.append(agent)
        self.tools.append(tool)

    async def on_tool_end(self, context: Any, agent: Any, tool: Any, result: Any) -> None:
        self.tools.append(tool)

    async def on_agent_end(self, context: Any, agent: Any, output: Any) -> None:
        self.agents.append(agent)


class WatchingAgent(AgentHooks[Any]):
    def __init__(self) -> None:
        self.seen: list[Any] = []

    async def on_tool_start(self, context: Any, agent: Any, tool: Any) -> None:
        self.seen += [agent, tool]


@pytest.mark.parametrize("way", WAYS)
async def test_hooks_and_results_have_the_applications_own_objects(way: str) -> None:
    seen: list[Any] = []
    config = RunConfig(workflow_name="named")

    @function_tool
    def one(context: ToolContext[Any]) -> str:
        seen.append(context.agent)
        seen.append(context.run_config)
        return "one"

    invoker = one.on_invoke_tool
    model = Sage(Ledger(), "m", calls("one"), says("done"))
    own = WatchingAgent()
    agent = Agent(name="a", model=model, tools=[one], hooks=own)
    hooks = Watching()
    options = {"hooks": hooks, "run_config": config}
    result, _, _ = await WAYS[way](Lab().session(), agent, "go", options)
    assert {id(each) for each in hooks.agents} == {id(agent)}
    assert {id(each) for each in hooks.tools} == {id(one)}
    assert own.seen == [agent, one]
    assert seen[0] is agent
    assert seen[1] is config
    assert result.last_agent is agent
    assert all(item.agent is agent for item in result.new_items)
    assert agent.model is model
    assert agent.tools == [one]
    assert one.on_invoke_tool is invoker
    assert (type(agent), type(model), type(one)) == (Agent, Sage, FunctionTool)


async def test_models_keep_their_class_and_attributes() -> None:
    """The model itself is called, and a provider that was given is not closed."""
    asked: list[Any] = []

    class Own(Sage):
        __slots__ = ("extra",)

        async def get_response(self, *args: Any, **options: Any) -> Any:
            asked.append(self)
            return await super().get_response(*args, **options)

    class Provider(ModelProvider):
        closed = False

        def get_model(self, model_name: str | None) -> Own:
            return model

        async def aclose(self) -> None:
            self.closed = True

    model = Own(Ledger(), "m", says("done"))
    provider = Provider()
    session = Lab().session()
    config = RunConfig(model_provider=provider)
    await Runner.run(Agent(name="a", model="x"), "go", session=session, run_config=config)
    await Runner.run(Agent(name="a", model=model), "go", session=session)
    await Runner.run(Agent(name="a"), "go", session=session, run_config=RunConfig(model=model))
    assert asked == [model] * 3
    assert not provider.closed


async def test_agents_and_tools_are_copied_as_before() -> None:
    @function_tool
    def one() -> str:
        return "one"

    model = Sage(Ledger(), "m", calls("one"), says("done"))
    agent = Agent(name="a", model=model, tools=[one])
    session = Lab().session()
    await Runner.run(agent, "go", session=session, turn_id="t")
    clone = agent.clone(name="b")
    assert (type(clone), clone.model, clone.tools) == (Agent, model, [one])
    assert dataclasses.replace(agent) == agent
    plain = Agent(name="a", instructions="be kind")
    says_done = RunConfig(model=Sage(Ledger(), "m", says("done")))
    await Runner.run(plain, "go", session=session, run_config=says_done)
    assert pickle.loads(pickle.dumps(plain)).name == "a"
    for copied in (copy.copy(one), copy.deepcopy(one)):
        agent.tools = [copied]
        await session.clear_session()
        result = await Runner.run(agent, "go", session=session)
        assert result.final_output == "done"


async def test_runs_outside_of_turns_are_not_journaled() -> None:
    """The same agent at the same time: in a turn, in another turn, and in none."""
    ledger, together = Ledger(), asyncio.Barrier(3)

    @function_tool
    async def one() -> str:
        await together.wait()
        ledger.tools["one"] += 1
        return "one"

    agent = Agent(name="a", model=Sage(ledger, "m", calls("one"), says("done")), tools=[one])
    first, second = Lab(), Lab()
    stores = [Mortal(lab.store, None, acknowledged=True) for lab in (first, second)]
    with last_response_with_commit():
        results = await asyncio.gather(
            Runner.run(agent, "go", session=first.session(stores[0]), turn_id="t"),
            Runner.run(agent, "go", session=second.session(stores[1]), turn_id="t"),
            agents.Runner.run(agent, "go"),
        )
    assert [result.final_output for result in results] == ["done"] * 3
    assert [store.written for store in stores] == [3, 3]
    assert ledger.models.total() == 6


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize(
    ("arguments", "asks"),
    [
        ({"amount": 5, "note": "x"}, False),
        ({"amount": 50, "note": "x"}, True),
        ({"amount": 5}, True),
    ],
    ids=["small", "large", "with a default"],
)
async def test_tools_need_approvals_as_before(
    way: str, arguments: dict[str, Any], asks: bool
) -> None:
    """A callable policy sees the arguments; where a default was filled in, the SDK asks itself."""

    async def large(context: Any, given: dict[str, Any], call_id: str) -> bool:
        return bool(given["amount"] > 10)

    @function_tool(needs_approval=large)
    def pay(amount: int, note: str = "none") -> str:
        return "paid"

    def agent() -> Agent[Any]:
        model = Sage(Ledger(), "m", calls("pay", **arguments), says("done"))
        return Agent(name="a", model=model, tools=[pay])

    plain = await agents.Runner.run(agent(), "go")
    assert bool(plain.interruptions) == asks
    for _ in range(2):
        session = Lab().session()
        result, _, _ = await WAYS[way](session, agent(), "go", {})
        assert [item.tool_name for item in result.interruptions] == ["pay"] * asks


def test_importing_changes_nothing_in_the_sdk() -> None:
    code = (
        "import turnwise; from agents.run import AgentRunner, get_default_agent_runner;"
        "assert type(get_default_agent_runner()) is AgentRunner"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


async def test_a_runner_of_the_applications_own_stays_in_use() -> None:
    class Own(AgentRunner):
        runs = 0

        async def run(self, *args: Any, **options: Any) -> Any:
            self.runs += 1
            return await super().run(*args, **options)

    before, own = get_default_agent_runner(), Own()
    set_default_agent_runner(own)
    try:
        agent = Agent(name="a", model=Sage(Ledger(), "m", says("done")))
        await agents.Runner.run(agent, "go")
        store = Mortal(Lab().store, None, acknowledged=True)
        await Runner.run(agent, "go", session=Lab().session(store), turn_id="t")
        assert own.runs == 2
    finally:
        set_default_agent_runner(before)


@pytest.fixture
def loop() -> Iterator[None]:
    """The event loop of this thread, on which `run_sync` runs."""
    with closing(asyncio.new_event_loop()) as loop:
        asyncio.set_event_loop(loop)
        yield
        asyncio.set_event_loop(None)


@pytest.mark.usefixtures("loop")
def test_run_sync_is_durable_too() -> None:
    lab, ledger = Lab(), Ledger()

    @function_tool
    def one() -> str:
        ledger.tools["one"] += 1
        return "one"

    agent = Agent(name="a", model=Sage(ledger, "m", calls("one"), says("done")), tools=[one])
    session = lab.session(Mortal(lab.store, 3, acknowledged=False))
    with pytest.raises(Exception, match="dead"):
        Runner.run_sync(agent, "go", session=session, turn_id="t")
    lab.expire()
    result = Runner.run_sync(agent, "go", session=lab.session(), turn_id="t")
    assert result.final_output == "done"
    assert (ledger.tools["one"], ledger.models.total()) == (1, 2)
