"""The verbs as Lua scripts: one file per verb.

A session's verb is preceded by the constants that Lua shares with Python and by what these verbs
share. The scripts in folders work on other keys, and are complete.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from hashlib import sha1
from pathlib import Path

from turnwise import limits
from turnwise.codec import MAX_EXPANSION, elements, zstd
from turnwise.stores.header import FORMAT

_LUA = Path(__file__).parent / "lua"
_SHARED = ("session", "history", "queue", "lease")
_CONSTANTS: dict[str, int | bytes] = {
    "FORMAT": FORMAT,
    "TOMBSTONE": elements.TOMBSTONE,
    "RECORD": elements.RECORD,
    "MARKER": elements.MARKER,
    "TICKET": elements.TICKET,
    "MESSAGE": elements.MESSAGE,
    "CANCELLED_MESSAGE": elements.CANCELLED_MESSAGE,
    "FIRST_ITEM_BYTE": elements.FIRST_ITEM_BYTE,
    "BARE_FRAME": zstd.BARE,
    "DICTIONARY_FRAME": zstd.ITEMS_1,
    "MAX_EXPANSION": MAX_EXPANSION,
    "READ_LIMIT": limits.READ_LIMIT,
    "RECENT_ELEMENTS": limits.RECENT_ELEMENTS,
    "PUSH_LIMIT": limits.PUSH_LIMIT,
    "FINISHED_TOKENS": limits.FINISHED_TOKENS,
    "HEAD_TIMEOUT_MS": limits.HEAD_TIMEOUT_MS,
    "LATE_MS": limits.LATE_MS,
}


@dataclass(frozen=True, slots=True)
class Script:
    """One verb: its text, and the digest by which a server that has seen it knows it."""

    name: str
    text: str
    digest: str

    @classmethod
    def of(cls, name: str, text: str) -> Script:
        return cls(name, text, sha1(text.encode(), usedforsecurity=False).hexdigest())


@cache
def script(name: str) -> Script:
    """The script of a verb, or of `folder/verb`."""
    text = _read(name)
    if "/" not in name:
        shebang, body = text.split("\n", 1)
        shared = "\n".join(_read(f"shared/{part}") for part in _SHARED)
        text = f"{shebang}\n{_constants()}\n{shared}\n{body}"
    return Script.of(name, text)


def _read(name: str) -> str:
    return (_LUA / f"{name}.lua").read_text(encoding="utf-8")


def _constants() -> str:
    return "\n".join(f"local {name} = {_literal(value)}" for name, value in _CONSTANTS.items())


def _literal(value: int | bytes) -> str:
    if isinstance(value, int):
        return str(value)
    return "'" + "".join(f"\\{byte:03d}" for byte in value) + "'"
