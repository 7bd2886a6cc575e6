"""`turnwise worker`: a background worker as a process."""

from __future__ import annotations

from contextlib import AsyncExitStack
from typing import Annotated

import typer

from turnwise.cli.loading import freeze_garbage_collector, load, load_hooks
from turnwise.cli.logs import set_up_logging
from turnwise.cli.options import Connected, verb
from turnwise.cli.run_options import PROCESS, RUNS, AgentsArgument, RunOptions, option
from turnwise.cli.worker_process import WorkerProcess
from turnwise.hooks import Hook
from turnwise.session import Session
from turnwise.worker import Worker


@verb
def worker(
    agents: AgentsArgument,
    where: Connected,
    runs: RunOptions,
    concurrency: Annotated[
        int, option(RUNS, "How many sessions are served at the same time.", min=1)
    ] = 50,
    startup_timeout: Annotated[
        float,
        option(PROCESS, "How long the store may take to answer at the start.", "SECONDS", min=0),
    ] = 60.0,
    metrics_port: Annotated[
        int | None,
        option(
            PROCESS,
            "Serve /metrics, /healthz and /readyz at this port; 0 takes a free one.",
            show_default="none",
            min=0,
            max=65535,
        ),
    ] = None,
    metrics_host: Annotated[
        str, option(PROCESS, "The address to listen at; :: for IPv6 too.", "ADDRESS")
    ] = "0.0.0.0",
) -> None:
    """Run submitted messages, until SIGTERM or SIGINT.

    Every option may come from the environment, TURNWISE_CONCURRENCY for --concurrency; one that may
    come several times, as words with spaces between them.

    Exit status: 0 ended by a signal; 1 it failed; 2 the command line or the environment is wrong;
    69 the store did not answer within --startup-timeout.
    """
    set_up_logging(runs.log_level, runs.log_format)
    found, made = load(agents), [hook for each in runs.hooks or () for hook in load_hooks(each)]
    if metrics_port is not None:
        made = _with_metrics(made)
    freeze_garbage_collector()

    async def work(session: Session) -> None:
        running = Worker(
            session, found, concurrency=concurrency, grace=runs.grace, policy=runs.policy
        )
        process = WorkerProcess(session, running, startup_timeout)
        async with AsyncExitStack() as stack:
            if metrics_port is not None:
                await stack.enter_async_context(process.probes(metrics_host, metrics_port))
            await process.run()

    where.run(work, **runs.for_connect(made))


def _with_metrics(hooks: list[Hook]) -> list[Hook]:
    try:
        from turnwise.observe.prometheus import TurnMetrics
    except ModuleNotFoundError:
        raise typer.BadParameter(
            "--metrics-port needs prometheus_client; install turnwise[prometheus]"
        ) from None
    has_some = any(isinstance(hook, TurnMetrics) for hook in hooks)
    return hooks if has_some else [*hooks, TurnMetrics()]
