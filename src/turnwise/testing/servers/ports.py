"""Free TCP ports on the loopback address."""

import random
import socket
from collections import deque

HOST = "127.0.0.1"

# Below the ports that the system gives to outgoing connections: a client that keeps trying to
# reach a stopped server on such a port would sooner or later be connected to itself, and hold
# the port when the server wants it back.
_PORTS = range(20_000, 32_000)

# The system's source of randomness, since test tools seed the shared one, and then all
# processes of a parallel run would try the same ports.
_random = random.SystemRandom()
_recent: deque[int] = deque(maxlen=256)


def free_port() -> int:
    """A port that nobody uses now, other than the last ones given out in this process.

    Somebody may take it before the caller does; the caller then asks again.
    """
    for _ in range(1_000):
        port = _random.choice(_PORTS)
        if port not in _recent and _is_free(port):
            _recent.append(port)
            return port
    raise RuntimeError(f"no free port on {HOST} in {_PORTS.start}-{_PORTS.stop}")


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError:
            return False
    return True
