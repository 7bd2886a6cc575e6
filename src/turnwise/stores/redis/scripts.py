"""The verbs as Lua: one file per verb. In front of a session's verb is the part that they share.

What is no session has verbs of its own, in folders.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from hashlib import sha1
from pathlib import Path

_LUA = Path(__file__).parent / "lua"
_SHARED = ("session", "history", "queue", "lease")


@dataclass(frozen=True, slots=True)
class Script:
    """One verb: its text, and the digest by which a server that has seen it knows it."""

    name: str
    text: str
    digest: str


@cache
def script(name: str) -> Script:
    text = (_LUA / f"{name}.lua").read_text()
    if "/" not in name:
        shebang, body = text.split("\n", 1)
        shared = "\n".join((_LUA / "shared" / f"{part}.lua").read_text() for part in _SHARED)
        text = f"{shebang}\n{shared}\n{body}"
    return Script(name, text, sha1(text.encode(), usedforsecurity=False).hexdigest())
