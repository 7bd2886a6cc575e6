"""How a session id becomes a key, and back.

A session's key is the prefix and the id, readable: only `{ } %`, white space and control
characters are percent-encoded, so that an id can neither choose its cluster slot nor break a line.
Every other key and channel of Turnwise starts with `{`. Of these keys, those in `Keys.fleet` and
the owners' stay; each of the others has an expiry.
"""

from __future__ import annotations

import re
from urllib.parse import unquote

from turnwise.errors import InvalidKeyPrefix

DEFAULT_PREFIX = "agents:sessions:"
_SDK_PREFIX = "agents:session"
SHARDS = 4
"""How many ready streams there are, so that the nodes of a cluster share the work."""
_UNSAFE = re.compile(r"[{}%\s\x00-\x1f\x7f-\x9f\ud800-\udfff]")
_WILDCARD = re.compile(r"[*?\[]")
_PREFIX = re.compile(r"[^{}\ud800-\udfff]*")
_GLOB = re.compile(r"([*?\[\]\\])")


class Keys:
    """The keys and channels under one prefix."""

    def __init__(self, prefix: str) -> None:
        given: object = prefix  # also from callers without a type checker
        if not isinstance(given, str) or not _PREFIX.fullmatch(given):
            raise InvalidKeyPrefix(
                f"the key prefix {prefix!r} is no text without braces, which choose the slot in a "
                "cluster: leave them out"
            )
        self.prefix = prefix
        self.wake_channel = "{" + prefix + "wake}:"
        """What the channel of each worker begins with; the worker's name follows."""
        names = (*map(str, range(SHARDS)), "swept")
        self.ready = tuple(f"{{{prefix}ready-{name}}}" for name in names)
        """The streams; the last is that of the sessions which a sweep found, maybe all at once."""
        self.ready_channel = "{" + prefix + "ready}"
        self.dead_letters = "{" + prefix + "dead-letters}"
        self.swept = "{" + prefix + "swept}"
        self.workers = "{" + prefix + "workers}"
        self.counts = "{" + prefix + "counts}"
        self.audit = "{" + prefix + "audit}"
        self.orders = "{" + prefix + "orders}"
        self.api_keys = "{" + prefix + "api-keys}"
        self.open_turns = "{" + prefix + "open-turns}"
        self.webhooks = "{" + prefix + "webhooks}"
        lasting = self.dead_letters, self.audit, self.orders, self.api_keys, self.webhooks
        self.fleet = (*self.ready, *lasting)
        """The keys that are no sessions and have no expiry, but for those of `owned`."""

    def events(self, session_id: str, turn_id: str) -> str:
        """The stream of a turn's events, and the channel on which new ones are published."""
        return f"{{{self.session(session_id)}}}:events:{_encode(turn_id)}"

    def owned(self, owner: str) -> str:
        """The hash of an owner's session ids. It has no expiry."""
        return f"{{{self.prefix}owned:{_encode(owner)}}}"

    def session(self, session_id: str) -> str:
        return self.prefix + _encode(session_id)

    def session_id(self, key: bytes | str) -> str:
        text = key if isinstance(key, str) else key.decode(errors="replace")
        return unquote(text[len(self.prefix) :])

    def is_own(self, key: str) -> bool:
        """Whether the key begins with the prefix; what a pattern finds may not."""
        return key.startswith(self.prefix)

    def pattern_beside(self, match: str) -> str:
        """The same, and at the default prefix also the SDK's sessions at its own default prefix."""
        if match == "*" and self.prefix == DEFAULT_PREFIX:
            return _SDK_PREFIX + "*"
        return self.pattern(match)

    def pattern(self, match: str) -> str:
        """A SCAN pattern for a superset of the session ids that match a glob.

        It keeps the glob's text before the first wildcard only: Redis matches bytes of the encoded
        id, where the glob means characters of the id.
        """
        beginning = _WILDCARD.split(match, maxsplit=1)[0]
        rest = "" if beginning == match else "*"
        return _GLOB.sub(r"\\\1", self.prefix + _encode(beginning)) + rest


def _encode(text: str) -> str:
    return _UNSAFE.sub(_escaped, text)


def _escaped(match: re.Match[str]) -> str:
    """A glob may have what no id has: a lone surrogate, for a byte that is no UTF-8."""
    return "".join(f"%{byte:02X}" for byte in match[0].encode(errors="surrogatepass"))
