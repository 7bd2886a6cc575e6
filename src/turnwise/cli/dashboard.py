"""`turnwise dashboard`: the pages for operators, run alone."""

from __future__ import annotations

import sys
from ipaddress import IPv4Network, IPv6Network, ip_network
from typing import Annotated

import typer

from turnwise.cli.options import Connected, verb
from turnwise.session import Session


def _networks(given: list[str]) -> list[IPv4Network | IPv6Network]:
    try:
        return [ip_network(each, strict=False) for each in given]
    except ValueError as error:
        raise typer.BadParameter(f"--proxy: {error}") from None


@verb
def dashboard(
    where: Connected,
    host: Annotated[str, typer.Option(help="The address to listen at.")] = "127.0.0.1",
    port: Annotated[
        int, typer.Option(help="The port; 0 takes a free one.", min=0, max=65535)
    ] = 8111,
    token: Annotated[
        str | None,
        typer.Option(
            help="Let in only who knows this, at least 16 characters; better given by the "
            "environment.",
            envvar="TURNWISE_DASHBOARD_TOKEN",
        ),
    ] = None,
    user_header: Annotated[
        str | None,
        typer.Option(
            help="Let in only whom a proxy names in this header, as OIDC proxies do: "
            "X-Forwarded-User, for example.",
            metavar="HEADER",
            envvar="TURNWISE_DASHBOARD_USER_HEADER",
        ),
    ] = None,
    proxy: Annotated[
        list[str] | None,
        typer.Option(
            help="With --user-header: where that proxy connects from; may come several times.",
            metavar="NETWORK",
            show_default="127.0.0.0/8, ::1",
        ),
    ] = None,
    read_only: Annotated[
        bool, typer.Option("--read-only", help="Only show: nothing can be changed.")
    ] = False,
) -> None:
    """Serve pages that show the sessions, the workers and what is stuck, until SIGTERM or SIGINT.

    Without --token or --user-header it listens on loopback only.
    """
    try:
        from turnwise.dashboard.authentication import Authenticate, Token, UserHeader
        from turnwise.dashboard.serve import NotListening, serve
    except ModuleNotFoundError as error:
        if error.name not in ("jinja2", "starlette", "uvicorn"):
            raise
        sys.exit(f"turnwise: the dashboard needs {error.name}; install turnwise[dashboard]")
    if token is not None and user_header is not None:
        raise typer.BadParameter("give --token or --user-header, not both")
    authenticate: Authenticate | None = None
    if user_header is not None:
        authenticate = UserHeader(user_header, _networks(proxy or ["127.0.0.0/8", "::1"]))
    elif token is not None:
        try:
            authenticate = Token(token)
        except ValueError as error:
            raise typer.BadParameter(f"--token: {error}") from None

    async def run(session: Session) -> None:
        await serve(
            session,
            host,
            port,
            authenticate=authenticate,
            read_only=read_only,
            on_ready=lambda address: typer.echo(f"dashboard at {address}"),
        )

    try:
        where.run(run)
    except NotListening as error:
        sys.exit(f"turnwise: {error}")
