"""What several verbs share: where the sessions are, and errors told in one line."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable, Coroutine
from typing import Annotated, Any

import typer

from turnwise.connect import connect
from turnwise.connect.sessions import DEFAULT_PREFIX
from turnwise.errors import TurnwiseError
from turnwise.session import Session

Url = Annotated[
    str,
    typer.Option(envvar="TURNWISE_URL", help="Where the sessions are: redis://, sqlite:///, ..."),
]
KeyPrefix = Annotated[str, typer.Option(help="What the keys of sessions begin with, on Redis.")]
PREFIX = DEFAULT_PREFIX


def with_sessions(
    act: Callable[[Session], Coroutine[Any, Any, None]], url: str, key_prefix: str, **options: Any
) -> None:
    """Do it with the sessions of a URL. Ends the program with 1 for an error of Turnwise."""

    async def run() -> None:
        async with connect(url, key_prefix=key_prefix, **options) as session:
            await act(session)

    try:
        asyncio.run(run())
    except TurnwiseError as error:
        sys.exit(f"turnwise: {error}")
