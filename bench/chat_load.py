"""The load generator for the chat app: `python -m bench.chat_load <port>`.

Each line of its input is a job as JSON: route, seconds, connections, turns. It answers with
requests per second, and requests per second of the server's CPU time. Its HTTP client is minimal,
so that it takes little CPU time itself.
"""

from __future__ import annotations

import asyncio
import json
import re
import sys
import time
from itertools import count

from bench.history import HistoryGenerator

_LENGTH = re.compile(rb"content-length: (\d+)", re.IGNORECASE)
_conversations = count()


async def load(
    port: int, route: str, seconds: float, connections: int, turns: int
) -> tuple[float, float]:
    """Each connection sends conversations of `turns` messages, one after the other."""
    cpu, start = await _cpu(port), time.perf_counter()
    connected = [
        _send_conversations(port, route, start + seconds, turns) for _ in range(connections)
    ]
    served = sum(await asyncio.gather(*connected))
    elapsed = time.perf_counter() - start
    return served / elapsed, served / (await _cpu(port) - cpu)


async def _cpu(port: int) -> float:
    """The server's CPU time in seconds."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(b"GET /cpu HTTP/1.1\r\nHost: localhost\r\n\r\n")
    answer = float(await _response(reader))
    writer.close()
    return answer


async def _send_conversations(port: int, route: str, end: float, turns: int) -> int:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    [message] = HistoryGenerator().items(1)
    served = 0
    while time.perf_counter() < end:
        conversation = f"chat-{next(_conversations)}"
        body = json.dumps({"conversation": conversation, "text": message["content"]}).encode()  # type: ignore[typeddict-item]  # a message has content
        request = _request(route, body)
        for _ in range(turns):
            writer.write(request)
            await _response(reader)
            served += 1
            if time.perf_counter() >= end:
                break
    writer.close()
    return served


def _request(route: str, body: bytes) -> bytes:
    head = (
        f"POST {route} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
        f"Content-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


async def _response(reader: asyncio.StreamReader) -> bytes:
    head = await reader.readuntil(b"\r\n\r\n")
    length = _LENGTH.search(head)
    if not head.startswith(b"HTTP/1.1 200") or length is None:
        raise RuntimeError(f"the server answered {head!r}")
    return await reader.readexactly(int(length[1]))


def main() -> None:
    port = int(sys.argv[1])
    for line in sys.stdin:
        job = json.loads(line)
        print(json.dumps(asyncio.run(load(port, **job))), flush=True)


if __name__ == "__main__":
    main()
