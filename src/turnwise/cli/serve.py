"""`turnwise serve`: agents over HTTP, as a process."""

from __future__ import annotations

import sys
from typing import Annotated, Any

import typer

from turnwise.cli.loading import freeze_garbage_collector, load, load_hooks
from turnwise.cli.logs import LogFormat, LogLevel, set_up_logging
from turnwise.cli.options import PREFIX, KeyPrefix, Url, with_sessions
from turnwise.session import Session
from turnwise.turns import Settings
from turnwise.worker import Worker

_SETTINGS = Settings()
_SERVER, _RUNS = "Server", "Runs"


def _option(panel: str, help: str, metavar: str | None = None, **settings: Any) -> Any:
    return typer.Option(help=help, metavar=metavar, rich_help_panel=panel, **settings)


def serve(
    agents: Annotated[
        str,
        typer.Argument(
            help="module:name of one agent, several, or a mapping from names to agents. The first "
            "answers whom a message does not name.",
            metavar="MODULE:NAME",
            envvar="TURNWISE_AGENTS",
        ),
    ],
    url: Url,
    key_prefix: KeyPrefix = PREFIX,
    host: Annotated[str, _option(_SERVER, "The address to listen at.")] = "127.0.0.1",
    port: Annotated[
        int, _option(_SERVER, "The port; 0 takes a free one.", min=0, max=65535)
    ] = 8000,
    workers_inside: Annotated[
        int,
        _option(
            _RUNS,
            "How many sessions are served inside this process at the same time; with 0, `turnwise "
            "worker` processes run all turns.",
            min=0,
        ),
    ] = 50,
    grace: Annotated[
        float,
        _option(
            _RUNS,
            "How long running turns may take to finish after SIGTERM; then other workers "
            "continue them.",
            "SECONDS",
        ),
    ] = 20.0,
    lease: Annotated[
        float,
        _option(_RUNS, "How long a process that no longer answers keeps its turns.", "SECONDS"),
    ] = _SETTINGS.lease,
    approval_timeout: Annotated[
        float | None,
        _option(_RUNS, "When pending approvals are rejected.", "SECONDS", show_default="never"),
    ] = None,
    hooks: Annotated[
        list[str] | None,
        _option(
            _RUNS,
            "A function or class without arguments that makes a hook, or several; may come "
            "several times.",
            "MODULE:FACTORY",
        ),
    ] = None,
    log_level: Annotated[LogLevel, _option(_SERVER, "The least that is logged.")] = "info",
    log_format: Annotated[LogFormat, _option(_SERVER, "For people, or JSON Lines.")] = "text",
) -> None:
    """Answer messages over HTTP, until SIGTERM or SIGINT.

    Every option may come from the environment, TURNWISE_PORT for --port. Without authentication it
    listens on loopback only.

    Exit status: 0 ended by a signal; 1 it failed; 2 the command line or the environment is wrong.
    """
    try:
        from turnwise.http.gateway import Gateway
        from turnwise.http.replica import Replica
        from turnwise.http.serve import NotListening
        from turnwise.http.serve import serve as serve_replica
    except ModuleNotFoundError as error:
        if error.name not in ("fastapi", "uvicorn"):
            raise
        sys.exit(f"turnwise: the server needs {error.name}; install turnwise[serve]")
    set_up_logging(log_level, log_format)
    found, made = load(agents), [hook for each in hooks or () for hook in load_hooks(each)]
    freeze_garbage_collector()

    async def run(session: Session) -> None:
        worker = None
        if workers_inside:
            worker = Worker(session, found, concurrency=workers_inside, grace=grace)
        replica = Replica(Gateway(session, found), worker)
        await serve_replica(
            replica, host, port, on_ready=lambda address: typer.echo(f"serving at {address}")
        )
        if replica.failed:
            sys.exit(1)

    options = {"lease": lease, "approval_timeout": approval_timeout, "hooks": made}
    try:
        with_sessions(run, url, key_prefix, **options)
    except NotListening as error:
        sys.exit(f"turnwise: {error}")
