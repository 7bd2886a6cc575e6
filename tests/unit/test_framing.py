"""The fault proxy finds requests and replies in a stream of RESP."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from turnwise.testing.proxy.framing import Framer, command_words

FRAMES = [
    b"+OK\r\n",
    b"-ERR no\r\n",
    b":1\r\n",
    b"_\r\n",
    b"$-1\r\n",
    b"*-1\r\n",
    b"*0\r\n",
    b"$0\r\n\r\n",
    b"$7\r\na\r\nb\r\nc\r\n",
    b"*3\r\n$1\r\na\r\n*2\r\n:1\r\n*0\r\n_\r\n",
    b"%2\r\n+a\r\n:1\r\n+b\r\n*1\r\n#t\r\n",
    b"|1\r\n+ttl\r\n:3\r\n$2\r\nhi\r\n",
    b">3\r\n+message\r\n+channel\r\n$2\r\nhi\r\n",
    b"~2\r\n,1.5\r\n(12345\r\n",
    b"=6\r\ntxt:ab\r\n",
]


@given(st.lists(st.sampled_from(FRAMES)), st.randoms(use_true_random=False))
def test_frames_are_found_wherever_the_pieces_end(frames: list[bytes], rng: random.Random) -> None:
    stream, framer, found = b"".join(frames), Framer(), []
    while stream:
        size = rng.randint(1, 12)
        found += framer.feed(stream[:size])
        stream = stream[size:]
    assert found == frames


def test_garbage_is_no_reply() -> None:
    with pytest.raises(ValueError, match="not RESP"):
        Framer().feed(b"HTTP/1.1 400 Bad Request\r\n")


def test_requests_may_be_inline() -> None:
    frames = Framer(requests=True).feed(b"set a  1\r\n*1\r\n$4\r\nPING\r\n\r\n")
    assert [command_words(frame) for frame in frames] == [[b"set", b"a", b"1"], [b"PING"], [b""]]
