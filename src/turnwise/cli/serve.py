"""`turnwise serve`: agents over HTTP, as a process."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from turnwise.cli.loading import freeze_garbage_collector, load, load_hooks
from turnwise.cli.logs import set_up_logging
from turnwise.cli.options import Connected, verb
from turnwise.cli.run_options import RUNS, AgentsArgument, RunOptions, option
from turnwise.session import Session
from turnwise.worker import Worker

if TYPE_CHECKING:
    from turnwise.http.app import Wire
    from turnwise.http.webhook import Webhook

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
    webhook_url: Annotated[
        str | None,
        option(_SERVER, "Where it is told that responses in the background are over.", "URL"),
    ] = None,
    webhook_secret: Annotated[
        str | None,
        option(
            _SERVER,
            "What webhooks are signed by: whsec_ and base64; better given by the environment, or "
            "by --webhook-secret-file.",
            "SECRET",
        ),
    ] = None,
    webhook_secret_file: Annotated[
        Path | None, option(_SERVER, "A file with the secret.", "FILE", exists=True, dir_okay=False)
    ] = None,
    ai_sdk: Annotated[
        Literal[5, 6, 7],
        option(_SERVER, "The major version of the package `ai` in pages that use useChat."),
    ] = 6,
    session_header: Annotated[
        list[str] | None,
        option(
            _SERVER,
            "A header of chat completions that names the session; as often as there are such. The "
            "first that a request has counts.",
            "NAME",
            show_default="X-OpenWebUI-Chat-Id, X-Conversation-Id",
        ),
    ] = None,
    page: Annotated[
        bool, option(_SERVER, "Whether the page at / lets people chat with the agents.")
    ] = True,
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
        if error.name not in ("fastapi", "jwt", "limits", "standardwebhooks", "uvicorn"):
            raise
        sys.exit(f"turnwise: the server needs {error.name}; install turnwise[serve]")
    set_up_logging(runs.log_level, runs.log_format)
    found, made = load(agents), [hook for each in runs.hooks or () for hook in load_hooks(each)]
    principals = None if auth in (None, "keys") else load(auth)
    limits = load(quota) if quota else Quota() if auth else None
    webhook = _webhook(webhook_url, webhook_secret, webhook_secret_file)
    freeze_garbage_collector()

    async def run(session: Session) -> None:
        worker = None
        if workers_inside:
            worker = Worker(
                session, found, concurrency=workers_inside, grace=runs.grace, policy=runs.policy
            )
        authenticate = by_api_key(session) if auth == "keys" else principals
        quotas = None if limits is None else Quotas(session, limits)
        replica = Replica(Gateway(session, found, quotas, webhook), worker)
        await serve_replica(
            replica,
            host,
            port,
            authenticate=authenticate,
            wires=_wires(ai_sdk, session_header),
            page=page,
            on_ready=lambda address: typer.echo(f"serving at {address}"),
        )
        if replica.failed:
            sys.exit(1)

    try:
        where.run(run, **runs.for_connect(made))
    except NotListening as error:
        sys.exit(f"turnwise: {error}")


def _wires(ai_sdk: Literal[5, 6, 7], session_headers: Sequence[str] | None) -> list[Wire]:
    """All of them, of which two have options."""
    from turnwise.http.app import WIRES
    from turnwise.http.wires import completions, vercel

    names = session_headers or completions.SESSION_HEADERS
    own: dict[Wire, Wire] = {
        completions.router: partial(completions.router, session_headers=names),
        vercel.router: partial(vercel.router, ai_sdk=ai_sdk),
    }
    return [own.get(wire, wire) for wire in WIRES]


def _webhook(url: str | None, secret: str | None, file: Path | None) -> Webhook | None:
    """The endpoint, if there is one."""
    from turnwise.http.webhook import Webhook

    if url is None:
        return None
    if (secret is None) == (file is None):
        raise typer.BadParameter(
            "with --webhook-url, give TURNWISE_WEBHOOK_SECRET or --webhook-secret-file"
        )
    return Webhook(url, file.read_text() if file is not None else secret or "")
