"""The SDK's default runner, replaced by one whose runs in turns are durable."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Sequence
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
from turnwise.durable.calls import note_output, note_rejection
from turnwise.durable.computers import make_computer_durable
from turnwise.durable.context import (
    Call,
    Restart,
    Run,
    current_scope,
    entered,
    scope_of_untracked_run,
)
from turnwise.durable.inputs import plain_items
from turnwise.durable.models import DurableProvider, durable_model
from turnwise.durable.proxy import ObjectProxy, make_proxy, recently_derived
from turnwise.durable.responses import to_json
from turnwise.durable.sdk_states import current_agent
from turnwise.durable.tools import make_durable
from turnwise.durable.turn import holder_of
from turnwise.enclosing import PartOf, tasks_included


def install() -> None:
    """Make the SDK's runs in turns durable, in this process. Other runs stay as they are."""
    current = sdk.get_default_agent_runner()
    if not isinstance(current, DurableRunner):
        sdk.set_default_agent_runner(DurableRunner(current))


class DurableRunner(sdk.AgentRunner):
    """Runs durably what is in a turn, and leaves everything else to the runner before it."""

    def __init__(self, inner: sdk.AgentRunner) -> None:
        self._inner = inner

    async def run(self, starting_agent: Agent[Any], input: Any, **options: Any) -> RunResult:
        run = _begin_run(starting_agent, input, options, streamed=False)
        if run is None:
            with entered(scope_of_untracked_run()):
                return await self._inner.run(starting_agent, input, **options)
        given = plain_items(input)
        run.task = asyncio.current_task()
        durable = _DurableOptions(run, options)
        savepoint = None
        if run.turn is not None and options.get("session"):
            savepoint = run.turn.savepoint()
        try:
            while True:
                try:
                    with entered(run), PartOf(run.enclosing_turn):
                        result = await self._inner.run(starting_agent, given, **durable.options)
                    run.check()
                except Restart as restart:
                    if restart.run is not run:
                        raise
                    if savepoint is not None and run.turn is not None:
                        run.turn.restore(savepoint)
                        run.unread_for = _input_items(input)
                    run.restart(_first_agent(starting_agent, input))
                else:
                    _ended(run, starting_agent, given, result)
                    return result
        finally:
            run.is_over = True
            await durable.close()

    def run_sync(self, starting_agent: Agent[Any], input: Any, **options: Any) -> RunResult:
        if holder_of(options.get("session")) is None:
            with entered(scope_of_untracked_run()):
                return self._inner.run_sync(starting_agent, input, **options)
        return super().run_sync(starting_agent, input, **options)  # which calls `run`

    def run_streamed(
        self, starting_agent: Agent[Any], input: Any, **options: Any
    ) -> RunResultStreaming:
        run = _begin_run(starting_agent, input, options, streamed=True)
        if run is None:
            with entered(scope_of_untracked_run()), tasks_included():
                return self._inner.run_streamed(starting_agent, input, **options)
        given = plain_items(input)
        durable = _DurableOptions(run, options)
        with entered(run), tasks_included(), PartOf(run.enclosing_turn):
            result = self._inner.run_streamed(starting_agent, given, **durable.options)
        run.task = result.run_loop_task
        _ended(run, starting_agent, given, result)
        durable.close_after(result)
        return result


def _begin_run(
    agent: Agent[Any], input: Any, options: dict[str, Any], *, streamed: bool
) -> Run | None:
    """The run that begins, if it is in a turn: its session's, or that of the run around it."""
    scope = current_scope()
    holder = holder_of(options.get("session"))
    if holder is None and scope is None:
        return None
    around = scope.run if isinstance(scope, Call) else scope
    if holder is None and around is not None:
        holder = around.holder
    assert holder is not None
    if around is None or holder.durable_turn is not around.turn:
        scope = None  # its session has a turn of its own
    run = Run(holder, scope, _first_agent(agent, input), input, streamed=streamed)
    if options.get("session") is not None:
        run.unread_for = _input_items(input)
        run.adds_items = options["session"] is holder
    if isinstance(scope, Call):
        scope.runs.append(run)
    if scope is None and holder.runs is not None:
        run.block_runs = holder.runs
        run.block_runs.begins(input)
    if run.turn is not None:
        run.claim_path()
    return run


def _ended(run: Run, agent: Agent[Any], input: Any, result: RunResult | RunResultStreaming) -> None:
    """A run has its result. A streamed one has it from the start, and ends with its task."""
    run.results.append(result)
    if run.block_runs is not None:
        run.block_runs.ends(agent, input, result)


def _first_agent(agent: Agent[Any], input: Any) -> Agent[Any]:
    """The agent with which a run begins."""
    if isinstance(input, RunState):
        return current_agent(input) or agent
    return agent


def _input_items(input: Any) -> Sequence[Any] | None:
    """The items of a run's input; None for a state, whose run reads no history."""
    if isinstance(input, RunState):
        return None
    return () if isinstance(input, str) else [to_json(item) for item in input]


class _DurableOptions:
    """The options of a run, with durable models, and with hooks that follow the run."""

    def __init__(self, run: Run, options: dict[str, Any]) -> None:
        given = options.get("run_config")
        if isinstance(given, RunConfig) and "_turnwise_original" in vars(given):
            given = vars(given)["_turnwise_original"]
        config, self._owns_provider = sdk.normalize_config(given)
        run.config = config
        self._provider: ModelProvider = config.model_provider
        self._run = run
        hooks = options.get("hooks")
        self.options = options | {
            "run_config": _durable_config(config, run),
            "hooks": _tracking_hooks(hooks, run),
        }
        for tool in run.agent.tools:  # a resumed run calls them before it asks a model
            make_durable(tool)

    async def close(self) -> None:
        if self._owns_provider:
            await sdk.close_provider(self._provider)
        if self._run.parent is None and self._run.turn is not None:
            await self._run.replay.flushed()

    def close_after(self, result: RunResultStreaming) -> None:
        """Close when the streamed run is over."""
        if self._owns_provider:
            sdk.close_when_over(result, self._provider)
        task = result.run_loop_task
        if task is not None:
            task.add_done_callback(lambda _: setattr(self._run, "is_over", True))


def _model(config: Any) -> Any:
    """The run config's model; else the model object of the agent at work, if it has one."""
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
    """The run config of a durable run. Its `model` is the durable model of the agent at work.

    That changes no model settings: the SDK resolves them alike for a model object of the agent and
    of the run config.
    """

    model = property(_model, _set_model)


@recently_derived
def _durable_config_class(kind: type[RunConfig]) -> type[Any]:
    return new_class(kind.__name__, (_DurableConfig, kind))


def _durable_config(config: RunConfig, run: Run) -> RunConfig:
    kind: Any = type(config)
    durable = object.__new__(_durable_config_class(kind))
    vars(durable).update(vars(config))
    vars(durable).update(
        model_provider=make_proxy(config.model_provider, DurableProvider, run),
        _turnwise_original=config,
        _turnwise_run=run,
    )
    if config.tool_error_formatter is not None:
        durable.tool_error_formatter = _noting_rejections(config.tool_error_formatter, run)
    return cast(RunConfig, durable)


def _noting_rejections(formatter: ToolErrorFormatter, run: Run) -> ToolErrorFormatter:
    async def format_error(args: ToolErrorFormatterArgs[Any]) -> str | None:
        text = formatter(args)
        text = await text if inspect.isawaitable(text) else text
        if args.kind == "approval_rejected":
            note_rejection(run, args.call_id, text)
        return text

    return format_error


class _TrackingHooks(ObjectProxy):
    """Run hooks that also note the agent at work and the outputs of its tools.

    Tools that no model of the run has seen become durable before their first call: those of MCP
    servers in a resumed run, and computers.
    """

    __slots__ = ()

    async def on_agent_start(self, context: Any, agent: Agent[Any]) -> None:
        self._turnwise_context.agent = agent
        await self._turnwise_original.on_agent_start(context, agent)

    async def on_tool_start(self, context: Any, agent: Agent[Any], tool: Tool) -> None:
        make_durable(tool)
        if isinstance(tool, ComputerTool):
            make_computer_durable(await resolve_computer(tool=tool, run_context=context))
        await self._turnwise_original.on_tool_start(context, agent, tool)

    async def on_tool_end(self, context: Any, agent: Agent[Any], tool: Tool, result: Any) -> None:
        note_output(self._turnwise_context, tool, result, context)
        await self._turnwise_original.on_tool_end(context, agent, tool, result)


def _tracking_hooks(hooks: Any, run: Run) -> Any:
    if hooks is None:
        hooks = RunHooks()
    if not isinstance(hooks, RunHooksBase):
        return hooks  # which the SDK refuses
    return make_proxy(hooks, _TrackingHooks, run)
