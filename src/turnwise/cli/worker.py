"""`turnwise worker`: a background worker as a process."""

from __future__ import annotations

from contextlib import AsyncExitStack
from typing import Annotated, Any, Literal

import typer

from turnwise.background import Policy
from turnwise.cli.loading import freeze_garbage_collector, load, load_hooks
from turnwise.cli.logs import LogFormat, LogLevel, set_up_logging
from turnwise.cli.options import Connected, verb
from turnwise.cli.worker_process import WorkerProcess
from turnwise.connect.settings import Options
from turnwise.hooks import Hook
from turnwise.limits import Limits
from turnwise.session import Session
from turnwise.turns import Settings
from turnwise.worker import Worker

_POLICY, _LIMITS, _SETTINGS = Policy(), Limits(), Settings()
_RUNS, _MESSAGES, _PROCESS = "Runs", "Messages", "Process"
_HISTORY, _EVENTS = "Sessions, as the other processes have them", "Events"


def _option(panel: str, help: str, metavar: str | None = None, **settings: Any) -> Any:
    return typer.Option(help=help, metavar=metavar, rich_help_panel=panel, **settings)


@verb
def worker(
    context: typer.Context,
    agents: Annotated[
        str,
        typer.Argument(
            help="module:name of one agent, several, or a mapping from names to agents.",
            metavar="MODULE:NAME",
            envvar="TURNWISE_AGENTS",
        ),
    ],
    where: Connected,
    concurrency: Annotated[
        int, _option(_RUNS, "How many sessions are served at the same time.", min=1)
    ] = 50,
    lease: Annotated[
        float,
        _option(_RUNS, "How long a worker that no longer answers keeps its turns.", "SECONDS"),
    ] = _SETTINGS.lease,
    grace: Annotated[
        float,
        _option(
            _RUNS,
            "How long running turns may take to finish after SIGTERM; then other workers "
            "continue them.",
            "SECONDS",
        ),
    ] = 20.0,
    limit: Annotated[
        int | None,
        _option(_RUNS, "How many of a session's last items a run is given.", show_default="all"),
    ] = None,
    repeatable_tools: Annotated[
        list[str] | None,
        _option(
            _RUNS,
            "A tool that may run again after a worker died in it; as often as there are tools.",
            "TOOL",
        ),
    ] = None,
    approval_timeout: Annotated[
        float | None,
        _option(_RUNS, "When pending approvals are rejected.", "SECONDS", show_default="never"),
    ] = None,
    max_attempts: Annotated[
        int,
        _option(_MESSAGES, "Failed attempts after which a message is dead-lettered.", min=1),
    ] = _POLICY.max_attempts,
    backoff: Annotated[
        float,
        _option(
            _MESSAGES,
            "Pause after a first failed attempt; doubles each time, up to 60.",
            "SECONDS",
        ),
    ] = _POLICY.backoff,
    on_dead: Annotated[
        Literal["next", "stop"],
        _option(_MESSAGES, "After a dead letter its session runs the next message, or stops."),
    ] = _POLICY.on_dead,
    deploy_timeout: Annotated[
        float,
        _option(
            _MESSAGES,
            "How long a message waits for workers that know its agent.",
            "SECONDS",
        ),
    ] = _POLICY.deploy_timeout,
    turns_per_visit: Annotated[
        int,
        _option(_MESSAGES, "Turns of one session before others get their chance.", min=1),
    ] = _POLICY.turns_per_visit,
    max_queue: Annotated[
        int, _option(_MESSAGES, "How many callers and messages may wait for one session.")
    ] = _LIMITS.max_queue,
    ttl: Annotated[
        float | None,
        _option(
            _HISTORY,
            "How long a session lives after its last change.",
            "SECONDS",
            show_default="for ever",
        ),
    ] = None,
    retention: Annotated[
        float, _option(_HISTORY, "How long a finished turn_id is known.", "SECONDS")
    ] = _LIMITS.retention_ms / 1000,
    max_item_bytes: Annotated[
        int, _option(_HISTORY, "The largest item.", "BYTES")
    ] = _SETTINGS.max_item_bytes,
    max_turn_bytes: Annotated[
        int, _option(_HISTORY, "All items of one turn.", "BYTES")
    ] = _SETTINGS.max_turn_bytes,
    max_session_bytes: Annotated[
        int, _option(_HISTORY, "One session's history as stored.", "BYTES")
    ] = _LIMITS.max_bytes,
    compression: Annotated[
        bool, _option(_HISTORY, "Whether new items are compressed.")
    ] = _SETTINGS.compression,
    cache_bytes: Annotated[
        int, _option(_HISTORY, "Decoded history that this process keeps.", "BYTES")
    ] = _SETTINGS.cache_bytes,
    events_ttl: Annotated[
        float, _option(_EVENTS, "How long events are kept after the last one.", "SECONDS")
    ] = _LIMITS.events_ttl_ms / 1000,
    max_events: Annotated[
        int, _option(_EVENTS, "How many events of one message are kept.")
    ] = _LIMITS.max_events,
    max_event_bytes: Annotated[
        int, _option(_EVENTS, "All events of one attempt at a message.", "BYTES")
    ] = _SETTINGS.max_event_bytes,
    name: Annotated[
        str | None,
        _option(_PROCESS, "The worker's name.", show_default="host, process id and a mark"),
    ] = None,
    hooks: Annotated[
        list[str] | None,
        _option(
            _PROCESS,
            "A function or class without arguments that makes a hook, or several; may come "
            "several times.",
            "MODULE:FACTORY",
        ),
    ] = None,
    startup_timeout: Annotated[
        float,
        _option(_PROCESS, "How long the store may take to answer at the start.", "SECONDS", min=0),
    ] = 60.0,
    metrics_port: Annotated[
        int | None,
        _option(
            _PROCESS,
            "Serve /metrics, /healthz and /readyz at this port; 0 takes a free one.",
            show_default="none",
            min=0,
            max=65535,
        ),
    ] = None,
    metrics_host: Annotated[
        str, _option(_PROCESS, "The address to listen at; :: for IPv6 too.", "ADDRESS")
    ] = "0.0.0.0",
    log_level: Annotated[LogLevel, _option(_PROCESS, "The least that is logged.")] = "info",
    log_format: Annotated[LogFormat, _option(_PROCESS, "For people, or JSON Lines.")] = "text",
) -> None:
    """Run submitted messages, until SIGTERM or SIGINT.

    Every option may come from the environment, TURNWISE_CONCURRENCY for --concurrency; one that may
    come several times, as words with spaces between them.

    Exit status: 0 ended by a signal; 1 it failed; 2 the command line or the environment is wrong;
    69 the store did not answer within --startup-timeout.
    """
    set_up_logging(log_level, log_format)
    given = context.params
    found, made = load(agents), [hook for each in hooks or () for hook in load_hooks(each)]
    if metrics_port is not None:
        made = _with_metrics(made)
    freeze_garbage_collector()
    options = {key: given[key] for key in Options.__annotations__ if key in given}
    options |= {"worker": name, "limit": limit, "ttl": ttl, "hooks": made}

    async def work(session: Session) -> None:
        policy = Policy(**{key: given[key] for key in Policy.__annotations__ if key in given})
        running = Worker(session, found, concurrency=concurrency, grace=grace, policy=policy)
        process = WorkerProcess(session, running, startup_timeout)
        async with AsyncExitStack() as stack:
            if metrics_port is not None:
                await stack.enter_async_context(process.probes(metrics_host, metrics_port))
            await process.run()

    where.run(work, **options)


def _with_metrics(hooks: list[Hook]) -> list[Hook]:
    try:
        from turnwise.observe.prometheus import TurnMetrics
    except ModuleNotFoundError:
        raise typer.BadParameter(
            "--metrics-port needs prometheus_client; install turnwise[prometheus]"
        ) from None
    has_some = any(isinstance(hook, TurnMetrics) for hook in hooks)
    return hooks if has_some else [*hooks, TurnMetrics()]
