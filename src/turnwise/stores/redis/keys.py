"""How a session id becomes a key, and back.

A session's key is the prefix and the id, readable: only `{ } %`, white space and control
characters are percent-encoded, so that a key can neither choose its own slot nor break a line.
Every key and channel of Turnwise that is not a session starts with `{`. Of the keys among them
those in `Keys.fleet` stay; every other one carries an expiry.
"""

from __future__ import annotations

import re
from urllib.parse import unquote

from turnwise.errors import InvalidKeyPrefix

SHARDS = 4
"""How many streams tell of messages, so that a cluster's nodes share the work."""
_UNSAFE = re.compile(r"[{}%\s\x00-\x1f\x7f-\x9f]")
_WILDCARD = re.compile(r"[*?\[]")
_TEXT = re.compile(r"[^{}\ud800-\udfff]*")
_GLOB = re.compile(r"([*?\[\]\\])")


def _encode(match: re.Match[str]) -> str:
    return "".join(f"%{byte:02X}" for byte in match[0].encode())


def _is_prefix(prefix: object) -> bool:
    return isinstance(prefix, str) and _TEXT.fullmatch(prefix) is not None


class Keys:
    """The keys under one prefix."""

    def __init__(self, prefix: str) -> None:
        if not _is_prefix(prefix):
            raise InvalidKeyPrefix(
                f"the key prefix {prefix!r} is no text without braces, which choose the slot in a "
                "cluster: leave them out"
            )
        self.prefix = prefix
        self.channel = "{" + prefix + "wake}:"
        self.ready = tuple(f"{{{prefix}ready-{shard}}}" for shard in range(SHARDS))
        self.ready_channel = "{" + prefix + "ready}"
        self.dead = "{" + prefix + "dead}"
        self.swept = "{" + prefix + "swept}"
        self.fleet = (*self.ready, self.dead)
        """The keys without an expiry that are no sessions."""

    def events(self, session_id: str, turn_id: str) -> str:
        """The stream of a turn's events, and the channel that tells of new ones."""
        return f"{{{self.session(session_id)}}}:events:{_UNSAFE.sub(_encode, turn_id)}"

    def session(self, session_id: str) -> str:
        return self.prefix + _UNSAFE.sub(_encode, session_id)

    def session_id(self, key: bytes | str) -> str:
        text = key if isinstance(key, str) else key.decode(errors="replace")
        return unquote(text[len(self.prefix) :])

    def pattern(self, match: str) -> str:
        """A SCAN pattern for at least the session ids that match a glob: by its plain beginning.

        Redis would count bytes, and of the encoded form, where a glob means characters.
        """
        beginning = _WILDCARD.split(match, 1)[0]
        rest = "" if beginning == match else "*"
        return _escape(self.prefix + _UNSAFE.sub(_encode, beginning)) + rest


def _escape(text: str) -> str:
    return _GLOB.sub(r"\\\1", text)
