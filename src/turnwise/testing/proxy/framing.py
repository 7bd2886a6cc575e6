"""Whole values in a stream of RESP2 or RESP3."""

_SIMPLE = frozenset({b"+", b"-", b":", b"_", b",", b"#", b"("})
_BULK = frozenset({b"$", b"=", b"!"})
# Parts for each counted one. An attribute (|) comes before the value that it belongs to.
_AGGREGATE = {b"*": 1, b"~": 1, b">": 1, b"%": 2, b"|": 2}


class Framer:
    """Cuts a stream of RESP2 or RESP3 into whole values, wherever the pieces end.

    With `requests`, a line that is no RESP value is an inline command.
    """

    def __init__(self, *, requests: bool = False) -> None:
        self._requests = requests
        self._buffer = bytearray()
        self._position = 0
        self._missing = 1

    def feed(self, data: bytes) -> list[bytes]:
        """The values that `data` completes, as they came. ValueError if it is no RESP."""
        self._buffer += data
        frames = []
        while self._skip_value():
            frames.append(bytes(self._buffer[: self._position]))
            del self._buffer[: self._position]
            self._position, self._missing = 0, 1
        return frames

    def _skip_value(self) -> bool:
        # Position and number of missing parts are kept, so that no byte is looked at twice.
        while self._missing:
            end = self._buffer.find(b"\r\n", self._position)
            if end < 0:
                return False
            parts, after = self._describe(bytes(self._buffer[self._position : end]), end + 2)
            if after > len(self._buffer):
                return False
            self._missing += parts - 1
            self._position = after
        return True

    def _describe(self, line: bytes, after: int) -> tuple[int, int]:
        """How many parts follow the value that begins with `line`, and where it ends without."""
        kind = line[:1]
        if kind in _SIMPLE:
            return 0, after
        if kind in _BULK:
            length = int(line[1:])
            return 0, after + length + 2 if length >= 0 else after
        if kind in _AGGREGATE:
            return max(int(line[1:]), 0) * _AGGREGATE[kind] + (kind == b"|"), after
        if self._requests:
            return 0, after
        raise ValueError(f"not RESP: {line[:80]!r}")


def command_words(frame: bytes) -> list[bytes]:
    """The words of a request: an array of bulk strings, or an inline command."""
    if not frame.startswith(b"*"):
        return frame.split() or [b""]
    words = []
    position = frame.index(b"\r\n") + 2
    while position < len(frame):
        end = frame.index(b"\r\n", position)
        start, length = end + 2, int(frame[position + 1 : end])
        words.append(frame[start : start + length])
        position = start + length + 2
    return words or [b""]
