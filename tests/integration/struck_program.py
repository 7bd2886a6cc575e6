"""A Ctrl-C between a command and its reply: what is another session given? URL is its argument.

It prints what it read of each session afterwards, a JSON object a line.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from unittest import mock

from redis.asyncio import Redis
from redis.asyncio.cluster import ClusterNode

from tests.integration.fault_lab import message
from turnwise import connect
from turnwise.runner.sync import run_until_complete
from turnwise.session import Session

NAMES = "ann", "bob", "cat", "dan", "eve", "fay"  # so many that some are on one node of a cluster


@contextmanager
def struck() -> Iterator[None]:
    """The next reply is not read: KeyboardInterrupt comes at the first line of what would."""
    places = [
        mock.patch.object(place, "parse_response", interrupt) for place in (Redis, ClusterNode)
    ]
    for place in places:
        place.start()
    try:
        yield
    except KeyboardInterrupt:
        print("struck", flush=True)
    finally:
        for place in places:
            place.stop()


async def interrupt(*_: object, **__: object) -> Any:
    raise KeyboardInterrupt


def read(session: Session, name: str) -> list[str]:
    session.runtime.reader.cache.drop(name)
    items = run_until_complete(session.bind(name).get_items())
    return [str(item.get("content")) for item in items]


def main(url: str) -> None:
    session = connect(url)
    for name in NAMES:
        run_until_complete(session.bind(name).add_items([message(f"{name}'s text")]))
    for name in NAMES:
        with struck():
            read(session, name)
    for _ in range(3):
        print(json.dumps({name: read(session, name) for name in reversed(NAMES)}), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
