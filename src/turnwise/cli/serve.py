"""`turnwise serve`: agents over HTTP, as a process."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from turnwise.cli.loading import freeze_garbage_collector, load, load_hooks
from turnwise.cli.logs import set_up_logging
from turnwise.cli.options import Connected, verb
from turnwise.cli.run_options import RUNS, AgentsArgument, RunOptions, option
from turnwise.session import Session
from turnwise.worker import Worker

_SERVER = "Server"


@verb
def serve(
    agents: AgentsArgument,
    where: Connected,
    runs: RunOptions,
    host: Annotated[str, option(_SERVER, "The address to listen at.")] = "127.0.0.1",
    port: Annotated[int, option(_SERVER, "The port; 0 takes a free one.", min=0, max=65535)] = 8000,
    auth: Annotated[
        str | None,
        option(
            _SERVER,
            "Who may use it: `keys` for who has an API key (`turnwise keys`), or module:name of "
            "what says who sends a request, such as by_jwt(...).",
            "keys|MODULE:NAME",
        ),
    ] = None,
    quota: Annotated[
        str | None,
        option(
            _SERVER,
            "module:name of a Quota: what each client may do. With --auth there are limits anyway.",
            "MODULE:NAME",
        ),
    ] = None,
    workers_inside: Annotated[
        int,
        option(
            RUNS,
            "How many sessions are served inside this process at the same time; with 0, `turnwise "
            "worker` processes run all turns.",
            min=0,
        ),
    ] = 50,
) -> None:
    """Answer messages over HTTP, until SIGTERM or SIGINT.

    Every option may come from the environment, TURNWISE_PORT for --port. Without authentication it
    listens on loopback only.

    Exit status: 0 ended by a signal; 1 it failed; 2 the command line or the environment is wrong.
    """
    try:
        from turnwise.http.api_keys import by_api_key
        from turnwise.http.gateway import Gateway
        from turnwise.http.quotas import Quota, Quotas
        from turnwise.http.replica import Replica
        from turnwise.http.serve import NotListening
        from turnwise.http.serve import serve as serve_replica
    except ModuleNotFoundError as error:
        if error.name not in ("fastapi", "jwt", "limits", "uvicorn"):
            raise
        sys.exit(f"turnwise: the server needs {error.name}; install turnwise[serve]")
    set_up_logging(runs.log_level, runs.log_format)
    found, made = load(agents), [hook for each in runs.hooks or () for hook in load_hooks(each)]
    principals = None if auth in (None, "keys") else load(auth)
    limits = load(quota) if quota else Quota() if auth else None
    freeze_garbage_collector()

    async def run(session: Session) -> None:
        worker = None
        if workers_inside:
            worker = Worker(
                session, found, concurrency=workers_inside, grace=runs.grace, policy=runs.policy
            )
        authenticate = by_api_key(session) if auth == "keys" else principals
        quotas = None if limits is None else Quotas(session, limits)
        replica = Replica(Gateway(session, found, quotas), worker)
        await serve_replica(
            replica,
            host,
            port,
            authenticate=authenticate,
            on_ready=lambda address: typer.echo(f"serving at {address}"),
        )
        if replica.failed:
            sys.exit(1)

    try:
        where.run(run, **runs.for_connect(made))
    except NotListening as error:
        sys.exit(f"turnwise: {error}")
