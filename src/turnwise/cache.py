"""The decoded histories of recent sessions, so that a turn moves and decodes only what is new.

A `HistorySnapshot` is a session's items as of one commit. It never changes. The snapshots of one
session share their storage: the next one is the same list, longer. The cache is bounded in bytes
and does no I/O. Threads may share it, and the snapshots in it.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from typing import Any

from turnwise.call_pairs import is_whole
from turnwise.codec import Codec, DecodeError
from turnwise.process import LOCK, ProcessBound, keep_forever
from turnwise.types import Base

Item = dict[str, Any]
_DECODED = 4
"""About how many bytes a decoded item takes for each byte of its JSON."""
_OVERHEAD = 48
"""How many bytes Python adds to each bytes object."""
_ENTRY_OVERHEAD = 700
"""About how many bytes a snapshot takes in the cache besides its items."""


class _Storage:
    """The items of one session, raw, and decoded as far as somebody needed them."""

    __slots__ = ("bytes", "decoded", "raw")

    def __init__(self, raw: list[bytes]) -> None:
        self.raw = raw
        self.decoded: list[Item] = []
        self.bytes = _bytes(raw)


def _bytes(raw: list[bytes]) -> int:
    return sum(map(len, raw)) + _OVERHEAD * len(raw)


class HistorySnapshot:
    """A session's items as of `tip`: all of them, or only the last ones if not `complete`."""

    __slots__ = ("_codec", "_length", "_storage", "_whole", "complete", "incarnation", "tip")

    def __init__(
        self,
        codec: Codec,
        incarnation: str,
        tip: Base,
        raw: list[bytes],
        *,
        complete: bool = True,
    ) -> None:
        self._codec = codec
        self._storage = _Storage(raw)
        self._length = len(raw)
        self._whole: bool | None = None
        self.incarnation = incarnation
        self.tip = tip
        self.complete = complete

    def __len__(self) -> int:
        return self._length

    @property
    def size(self) -> int:
        """About how many bytes it takes in memory."""
        factor = 1 + _DECODED * bool(self._storage.decoded)
        return _ENTRY_OVERHEAD + self._storage.bytes * factor

    def items(self) -> list[Item]:
        """The cached items themselves, to be read only: everybody gets the same objects."""
        decoded, raw = self._storage.decoded, self._storage.raw
        if (known := len(decoded)) < self._length:
            more = self._codec.decode_many(raw[known : self._length])
            with LOCK:  # another thread may have been faster, and its items are in use
                decoded += more[len(decoded) - known :]
        return decoded[: self._length]

    def copies(self, last: int | None = None) -> list[Item]:
        """The caller's own copies: of all items, or of the last ones."""
        first = 0 if last is None else max(0, self._length - last)
        return self._codec.decode_many(self._storage.raw[first : self._length])

    def is_whole(self, items: Sequence[Item]) -> bool:
        """Whether `items`, which are all of this snapshot, hold no half of a pair."""
        if self._whole is None:
            self._whole = is_whole(items)
        return self._whole

    def extended(self, tip: Base, raw: list[bytes]) -> HistorySnapshot:
        """The next snapshot: this one, and the raw items that were added up to `tip`."""
        later = HistorySnapshot.__new__(HistorySnapshot)
        later._codec, later.incarnation, later.tip = self._codec, self.incarnation, tip
        later.complete = self.complete
        later._storage = self._grow(raw)
        later._length = self._length + len(raw)
        later._whole = True if self._whole and self._are_whole(raw) else None
        return later

    def _are_whole(self, raw: list[bytes]) -> bool:
        try:
            return is_whole(self._codec.decode_many(raw))
        except DecodeError:  # raised to whoever asks for the items
            return False

    def _grow(self, raw: list[bytes]) -> _Storage:
        with LOCK:
            storage = self._storage
            if len(storage.raw) != self._length:  # another snapshot has extended this one already
                storage = _Storage(storage.raw[: self._length])
            storage.raw += raw
            storage.bytes += _bytes(raw)
            return storage


class Cache(ProcessBound):
    """The snapshots of the sessions used last, together no larger than `max_bytes`."""

    def __init__(self, max_bytes: int) -> None:
        super().__init__()
        self._max_bytes = max_bytes
        self._bytes = 0
        self._snapshots: OrderedDict[str, tuple[HistorySnapshot, int]] = OrderedDict()

    def get(self, session_id: str) -> HistorySnapshot | None:
        """The session's snapshot, if it is cached."""
        with LOCK:
            found = self._snapshots.get(session_id)
            if found is None:
                return None
            snapshot, size = found
            if size == snapshot.size:
                self._snapshots.move_to_end(session_id)
            else:  # it was decoded since
                self.put(session_id, snapshot)
            return snapshot

    def put(self, session_id: str, snapshot: HistorySnapshot) -> None:
        """Cache a snapshot as the one used last; drop those used longest ago if it gets full."""
        with LOCK:
            self.drop(session_id)
            size = snapshot.size
            self._snapshots[session_id] = snapshot, size
            self._bytes += size
            while self._bytes > self._max_bytes:
                _, (_, size) = self._snapshots.popitem(last=False)
                self._bytes -= size

    def drop(self, session_id: str) -> None:
        """Forget the session's snapshot, if it is cached."""
        with LOCK:
            _, size = self._snapshots.pop(session_id, (None, 0))
            self._bytes -= size

    def reset_in_child(self) -> None:
        """A child begins with an empty cache."""
        keep_forever(self._snapshots)
        self._snapshots, self._bytes = OrderedDict(), 0
