"""The load generator for chat apps: `python -m bench.chat_load`.

Each line of its input is a job as JSON: the arguments of `load`. It answers with the number of
requests that were served, and the seconds that they took. Its HTTP client is minimal, so that it
takes little CPU time itself.
"""

from __future__ import annotations

import asyncio
import json
import re
import sys
import time
from collections.abc import Iterator
from itertools import chain, count, repeat

from bench.history import HistoryGenerator

_LENGTH = re.compile(rb"content-length: (\d+)", re.IGNORECASE)
_conversations = count()


async def load(
    port: int,
    route: str,
    seconds: float,
    connections: int,
    turns: int,
    known: str = "",
) -> tuple[int, float]:
    """Each connection sends conversations of `turns` messages, one after the other.

    With a name in `known`, each goes on with a conversation of its own that is there: NAME-0,
    NAME-1 and so on.
    """
    start = time.perf_counter()
    connected = [
        _send(port, route, start + seconds, _names(turns, known and f"{known}-{number}"))
        for number in range(connections)
    ]
    served = sum(await asyncio.gather(*connected))
    return served, time.perf_counter() - start


def _names(turns: int, known: str) -> Iterator[str]:
    """The conversation of each message."""
    if known:
        return repeat(known)
    return chain.from_iterable(repeat(f"chat-{next(_conversations)}", turns) for _ in count())


async def _send(port: int, route: str, end: float, conversations: Iterator[str]) -> int:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    [message] = HistoryGenerator().items(1)
    text = message["content"]  # type: ignore[typeddict-item]  # a message has content
    served = 0
    for conversation in conversations:
        writer.write(request("POST", route, {"session_id": conversation, "message": text}))
        await _response(reader)
        served += 1
        if time.perf_counter() >= end:
            break
    writer.close()
    return served


def request(method: str, route: str, body: object = None, headers: str = "") -> bytes:
    """An HTTP request as bytes. `headers` are further lines, each with its end."""
    content = b"" if body is None else json.dumps(body).encode()
    head = (
        f"{method} {route} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
        f"{headers}Content-Length: {len(content)}\r\n\r\n"
    )
    return head.encode() + content


async def _response(reader: asyncio.StreamReader) -> bytes:
    head = await reader.readuntil(b"\r\n\r\n")
    length = _LENGTH.search(head)
    if not head.startswith(b"HTTP/1.1 200") or length is None:
        raise RuntimeError(f"the server answered {head!r}")
    return await reader.readexactly(int(length[1]))


def main() -> None:
    for line in sys.stdin:
        print(json.dumps(asyncio.run(load(**json.loads(line)))), flush=True)


if __name__ == "__main__":
    main()
