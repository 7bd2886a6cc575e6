"""A conversation of the SDK as turns in their stored form.

Each beginning of it has a name that is made of its items, so that a session shows how much of it it
has: another import writes what is missing, and a third one nothing.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from hashlib import blake2b
from itertools import pairwise
from typing import Any

from turnwise.call_pairs import paired
from turnwise.codec import Codec
from turnwise.codec.elements import marker, record
from turnwise.fleet.taking_over import Turns
from turnwise.types import NO_USAGE, Base, Record, SDKConversation, SDKItem, TokenUsage

Item = Mapping[str, Any]


class SDKHistory:
    """What `take_over` makes a session of.

    Args:
        session_id: the id of the session to be made.
        conversation: what was read.
        items: each item that is to be imported, with what was read of it.
        notes: what is remarkable.
    """

    def __init__(
        self,
        codec: Codec,
        session_id: str,
        conversation: SDKConversation,
        items: Sequence[tuple[SDKItem, Item]],
        notes: tuple[str, ...],
    ) -> None:
        self.session_id = session_id
        self.created_ms = int((conversation.created_at or 0) * 1000)
        self.expires_at = conversation.expires_at
        self.notes = (*conversation.notes, *notes, *_halves([item for _, item in items]))
        self._codec = codec
        self._items = items
        self._usage = conversation.usage
        self._names = ["", *_names(read for read, _ in items)]
        self.last_commit_id = self._names[-1]

    def behind(self, tip: Base | None) -> Turns | None:
        if tip is not None and tip.commit_id not in self._names[1:]:
            return None
        first = 0 if tip is None else self._names.index(tip.commit_id)
        elements: list[bytes] = []
        turns, total = 0, NO_USAGE
        for start, end in self._turns(first):
            usage = self._usage_of(start, first)
            turns, total = turns + 1, total + usage
            elements += self._stored(start, end, usage)
        return Turns(elements, turns, len(self._items) - first, total)

    def _turns(self, first: int) -> Iterator[tuple[int, int]]:
        """From where to where each turn goes, from an item on."""
        count = len(self._items)
        starts = [at for at in range(first, count) if at == first or self._begins_turn(at)]
        return pairwise([*starts, count] if starts else [])

    def _begins_turn(self, at: int) -> bool:
        """The SDK's own count decides; where it has none, the first message of a user."""
        (before, item_before), (read, item) = self._items[at - 1], self._items[at]
        if read.turn is not None and before.turn is not None:
            return read.turn != before.turn
        return item.get("role") == "user" and item_before.get("role") != "user"

    def _usage_of(self, start: int, first: int) -> TokenUsage:
        """A turn's; nothing for the rest of a turn that was imported in part before."""
        turn = self._items[start][0].turn
        is_rest = start == first and start > 0 and not self._begins_turn(start)
        return NO_USAGE if turn is None or is_rest else self._usage.get(turn, NO_USAGE)

    def _stored(self, start: int, end: int, usage: TokenUsage) -> list[bytes]:
        items = [self._codec.encode(item) for _, item in self._items[start:end]]
        at = self._items[end - 1][0].at or time.time()
        name = self._names[end]
        ended = Record(name, int(at * 1000), len(items), "turn", usage=usage)
        return [*items, marker(name), record(ended)]


def _names(items: Iterable[SDKItem]) -> Iterator[str]:
    """The name of the beginning that ends with each item."""
    digest = blake2b(digest_size=12)
    for item in items:
        data = item.data if isinstance(item.data, bytes) else item.data.encode(errors="replace")
        digest.update(len(data).to_bytes(8, "big") + data)
        yield f"import:{digest.hexdigest()}"


def _halves(items: Sequence[Item]) -> tuple[str, ...]:
    count = len(items) - len(paired(items))
    return (f"{count} items are halves of pairs, which no model is given",) if count else ()
