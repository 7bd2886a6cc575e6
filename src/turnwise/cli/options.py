"""What all commands share: where the sessions are, and errors as one line."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable, Coroutine
from typing import Annotated, Any

import typer

from turnwise.connect import connect
from turnwise.errors import TurnwiseError
from turnwise.session import Session
from turnwise.stores.redis import DEFAULT_PREFIX

Url = Annotated[
    str,
    typer.Option(envvar="TURNWISE_URL", help="The store: redis://, sqlite:///, ..."),
]
KeyPrefix = Annotated[str, typer.Option(help="On Redis: the prefix of all keys of sessions.")]
PREFIX = DEFAULT_PREFIX


def with_sessions(
    act: Callable[[Session], Coroutine[Any, Any, None]], url: str, key_prefix: str, **options: Any
) -> None:
    """Call `act` with the sessions of a URL. A Turnwise error ends the program with status 1."""

    if url.partition(":")[0] == "memory":
        sys.exit(
            "turnwise: sessions at memory:// are in the memory of the process that made them; no "
            "other process can reach them. Use redis://, valkey:// or sqlite:///"
        )

    async def run() -> None:
        async with connect(url, key_prefix=key_prefix, **options) as session:
            await act(session)

    try:
        asyncio.run(run())
    except TurnwiseError as error:
        sys.exit(f"turnwise: {error}")
