"""The SDK's runner, made durable for what runs in a turn."""

from __future__ import annotations

import asyncio
import inspect
from functools import cache
from types import new_class
from typing import Any, cast

from agents import (
    Agent,
    ComputerTool,
    RunConfig,
    RunHooks,
    RunResult,
    RunResultStreaming,
    RunState,
    Tool,
    ToolErrorFormatter,
    ToolErrorFormatterArgs,
    resolve_computer,
)
from agents.lifecycle import RunHooksBase
from agents.models.interface import Model, ModelProvider

from turnwise.durable import sdk
from turnwise.durable.calls import output_told, rejection_told
from turnwise.durable.computers import make_computer_durable
from turnwise.durable.context import Call, Restart, Run, being_in, here, untracked_run
from turnwise.durable.models import DurableProvider, durable_model
from turnwise.durable.proxy import ObjectProxy, make_proxy
from turnwise.durable.tools import make_durable
from turnwise.durable.turn import holder_of


def install() -> None:
    """Make the SDK's runs in turns durable, in this process. Runs outside of turns stay as is."""
    current = sdk.get_default_agent_runner()
    if not isinstance(current, DurableRunner):
        sdk.set_default_agent_runner(DurableRunner(current))


class DurableRunner(sdk.AgentRunner):
    """Runs what is in a turn so that another worker can go on with it; all else as before."""

    def __init__(self, inner: sdk.AgentRunner) -> None:
        self._inner = inner

    async def run(self, starting_agent: Agent[Any], input: Any, **options: Any) -> RunResult:
        run = _run(starting_agent, input, options, streamed=False)
        if run is None:
            with being_in(untracked_run()):
                return await self._inner.run(starting_agent, input, **options)
        run.task = asyncio.current_task()
        prepared = Prepared(run, options)
        savepoint = (
            run.turn.savepoint() if run.turn is not None and options.get("session") else None
        )
        try:
            while True:
                try:
                    with being_in(run):
                        result = await self._inner.run(starting_agent, input, **prepared.options)
                    run.check()
                except Restart as restart:
                    if restart.run is not run:
                        raise
                    if savepoint is not None and run.turn is not None:
                        run.turn.restore(savepoint)
                    run.begin_again(_first(starting_agent, input))
                else:
                    run.results.append(result)
                    if run.siblings is not None:
                        run.siblings.ends(starting_agent, input, result)
                    return result
        finally:
            run.is_over = True
            await prepared.close()

    def run_sync(self, starting_agent: Agent[Any], input: Any, **options: Any) -> RunResult:
        if holder_of(options.get("session")) is None:
            with being_in(untracked_run()):
                return self._inner.run_sync(starting_agent, input, **options)
        return super().run_sync(starting_agent, input, **options)  # which calls `run`

    def run_streamed(
        self, starting_agent: Agent[Any], input: Any, **options: Any
    ) -> RunResultStreaming:
        run = _run(starting_agent, input, options, streamed=True)
        if run is None:
            with being_in(untracked_run()):
                return self._inner.run_streamed(starting_agent, input, **options)
        prepared = Prepared(run, options)
        with being_in(run):
            result = self._inner.run_streamed(starting_agent, input, **prepared.options)
        run.task = result.run_loop_task
        run.results.append(result)
        if run.siblings is not None:
            run.siblings.ends(starting_agent, input, result)
        prepared.close_after(result)
        return result


def _run(agent: Agent[Any], input: Any, options: dict[str, Any], *, streamed: bool) -> Run | None:
    """The run that begins, if it is in a turn: given as its session, or around it."""
    place = here()
    holder = holder_of(options.get("session"))
    if holder is None and place is None:
        return None
    around = None if place is None else place.run if isinstance(place, Call) else place
    if holder is None and around is not None:
        holder = around.holder
    assert holder is not None
    if around is None or holder.durable_turn is not around.turn:
        place = None  # a turn of its own
    run = Run(holder, place, _first(agent, input), input, streamed=streamed)
    if isinstance(place, Call):
        place.inside.append(run)
    if place is None and holder.runs is not None:
        run.siblings = holder.runs
        run.siblings.begins(input)
    run.begin()
    return run


def _first(agent: Agent[Any], input: Any) -> Agent[Any]:
    """The agent that a run begins with."""
    if isinstance(input, RunState):
        return sdk.current_agent(input) or agent
    return agent


class Prepared:
    """The options of a durable run: its models, and the hook that tells which agent is at work."""

    def __init__(self, run: Run, options: dict[str, Any]) -> None:
        given = options.get("run_config")
        if isinstance(given, RunConfig) and "_turnwise_original" in vars(given):
            given = vars(given)["_turnwise_original"]
        config, self._owns_provider = sdk.normalize_config(given)
        run.original = config
        self._provider: ModelProvider = config.model_provider
        self._run = run
        hooks = options.get("hooks")
        self.options = options | {
            "run_config": _durable(config, run),
            "hooks": _durable_hooks(hooks, run),
        }
        for tool in run.agent.tools:  # a resumed run calls them before it asks a model
            make_durable(tool)

    async def close(self) -> None:
        if self._owns_provider:
            await sdk.close_provider(self._provider)
        if self._run.above is None and self._run.turn is not None:
            await self._run.replay.resend_if_cancelled()

    def close_after(self, result: RunResultStreaming) -> None:
        if self._owns_provider:
            sdk.close_when_over(result, self._provider)
        task = result.run_loop_task
        if task is not None:
            task.add_done_callback(lambda _: setattr(self._run, "is_over", True))


def _model(config: Any) -> Any:
    """What the run config says, else the model of the agent at work if that is an object."""
    fields = vars(config)
    model, run = fields["model"], fields.get("_turnwise_run")
    if run is None:
        return model
    if model is None:
        model = run.agent.model
        return durable_model(model, run) if isinstance(model, Model) else None
    return durable_model(model, run) if isinstance(model, Model) else model


def _set_model(config: Any, model: Any) -> None:
    vars(config)["model"] = model


class _DurableConfig:
    """The run config of a durable run: it has the models that the run will ask.

    Naming an agent's model object here changes nothing else: the SDK resolves model settings alike
    for a model object, whether the agent has it or the run config.
    """

    model = property(_model, _set_model)


@cache
def _durable_kind(kind: type[RunConfig]) -> type[Any]:
    return new_class(kind.__name__, (_DurableConfig, kind))


def _durable(config: RunConfig, run: Run) -> RunConfig:
    kind: Any = type(config)
    durable = object.__new__(_durable_kind(kind))
    vars(durable).update(vars(config))
    vars(durable).update(
        model_provider=make_proxy(config.model_provider, DurableProvider, run),
        _turnwise_original=config,
        _turnwise_run=run,
    )
    if config.tool_error_formatter is not None:
        durable.tool_error_formatter = _telling(config.tool_error_formatter, run)
    return cast(RunConfig, durable)


def _telling(formatter: ToolErrorFormatter, run: Run) -> ToolErrorFormatter:
    """The formatter, which also tells the run what it says of a rejected call."""

    async def publisher(args: ToolErrorFormatterArgs[Any]) -> str | None:
        text = formatter(args)
        text = await text if inspect.isawaitable(text) else text
        if args.kind == "approval_rejected":
            rejection_told(run, args.call_id, text)
        return text

    return publisher


class _WatchingHooks(ObjectProxy):
    """Hooks that also tell the run which agent is at work, and what tools it is about to call.

    And what their outputs are.
    """

    __slots__ = ()

    async def on_agent_start(self, context: Any, agent: Agent[Any]) -> None:
        self._turnwise_context.agent = agent
        await self._turnwise_original.on_agent_start(context, agent)

    async def on_tool_start(self, context: Any, agent: Agent[Any], tool: Tool) -> None:
        make_durable(tool)  # of a resumed run no model has seen the tools of its servers
        if isinstance(tool, ComputerTool):
            make_computer_durable(await resolve_computer(tool=tool, run_context=context))
        await self._turnwise_original.on_tool_start(context, agent, tool)

    async def on_tool_end(self, context: Any, agent: Agent[Any], tool: Tool, result: Any) -> None:
        output_told(self._turnwise_context, tool, result, context)
        await self._turnwise_original.on_tool_end(context, agent, tool, result)


def _durable_hooks(hooks: Any, run: Run) -> Any:
    if hooks is None:
        hooks = RunHooks()
    if not isinstance(hooks, RunHooksBase):
        return hooks  # which the SDK refuses
    return make_proxy(hooks, _WatchingHooks, run)
