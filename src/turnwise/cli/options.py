"""What all commands share: where the sessions are, and errors as one line."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable, Coroutine
from typing import Annotated, Any, TypeVar

import typer

from turnwise.connect import connect
from turnwise.errors import TurnwiseError
from turnwise.session import Session
from turnwise.stores.redis import DEFAULT_PREFIX

Url = Annotated[
    str,
    typer.Option(envvar="TURNWISE_URL", help="The store: redis://, sqlite:///, ..."),
]
KeyPrefix = Annotated[
    str,
    typer.Option(
        envvar="TURNWISE_KEY_PREFIX", help="On Redis: the prefix of all keys of sessions."
    ),
]
Reason = Annotated[str | None, typer.Option(help="Why, for the audit.", metavar="TEXT")]
By = Annotated[
    str | None,
    typer.Option(
        envvar="TURNWISE_BY",
        help="Who, for the audit.",
        metavar="NAME",
        show_default="user and host",
    ),
]
PREFIX = DEFAULT_PREFIX
Result = TypeVar("Result")


def with_sessions(
    act: Callable[[Session], Coroutine[Any, Any, Result]], url: str, key_prefix: str, **options: Any
) -> Result:
    """What `act` returns for the sessions of a URL. A Turnwise error ends the program: status 1."""

    if url.partition(":")[0] == "memory":
        sys.exit(
            "turnwise: sessions at memory:// are in the memory of the process that made them; no "
            "other process can reach them. Use redis://, valkey:// or sqlite:///"
        )

    async def run() -> Result:
        async with connect(url, key_prefix=key_prefix, **options) as session:
            return await act(session)

    try:
        return asyncio.run(run())
    except TurnwiseError as error:
        sys.exit(f"turnwise: {error}")
