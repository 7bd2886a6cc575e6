"""Bytes that are not an item give DecodeError, which names the place and never the content.

Compressed items carry a checksum, so no damage goes unseen. Those stored as plain JSON do not:
there, what is still JSON is taken for what was written.
"""

from __future__ import annotations

import contextlib

import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.item_shapes import Shapes
from tests.unit.codec_items import Item
from turnwise.codec import Codec, DecodeError
from turnwise.codec.zstd import MAX_RAW

codec = Codec()
SECRET = "top secret content"
ITEM: Item = {"type": "message", "role": "user", "content": f"{SECRET} {'lorem ipsum ' * 20}"}
COMPRESSED = codec.encode(ITEM)
PLAIN = Codec(compression=False).encode(ITEM)
LOOSE = Codec(compression=False).encode({"n": float("nan"), "text": SECRET})
BARE = codec.encode({"text": "x" * 100_000})
NEIGHBOUR = codec.encode({"role": "assistant", "content": "something else " * 10})

whole = pytest.mark.parametrize(
    "element", [COMPRESSED, PLAIN, LOOSE, BARE], ids=["dictionary", "plain", "loose", "bare"]
)


def refused(element: bytes) -> DecodeError:
    with pytest.raises(DecodeError) as caught:
        codec.decode(element)
    assert SECRET not in str(caught.value)
    for count in (0, 1, 12):  # alone, between a few, and between as many as are joined
        neighbours = [NEIGHBOUR] * count
        with pytest.raises(DecodeError) as among:
            codec.decode_many([*neighbours, element, *neighbours])
        assert among.value.index == count
        assert f"element {count}: " in str(among.value)
        assert SECRET not in str(among.value)
    return caught.value


def test_the_samples_are_what_they_are_called() -> None:
    assert [e[0] for e in (COMPRESSED, PLAIN, LOOSE, BARE)] == [0x12, 0x7B, 0x10, 0x11]


@whole
def test_cut_short_anywhere(element: bytes) -> None:
    for length in range(len(element)):
        refused(element[:length])


@whole
@pytest.mark.parametrize("more", [b"\0", b"}", b"x", b"{}", COMPRESSED, BARE[1:], NEIGHBOUR[1:]])
def test_something_behind_it(element: bytes, more: bytes) -> None:
    refused(element + more)


@pytest.mark.parametrize("element", [COMPRESSED, NEIGHBOUR, BARE], ids=["one", "other", "bare"])
def test_no_flipped_bit_of_a_compressed_item_gives_another(element: bytes) -> None:
    for place in range(1, len(element)):
        for bit in range(8):
            flipped = bytearray(element)
            flipped[place] ^= 1 << bit
            assert same_or_refused(bytes(flipped), element)


def same_or_refused(damaged: bytes, element: bytes) -> bool:
    """A frame's header holds bits that mean nothing, so the same item may come out."""
    right = codec.decode(element)
    try:
        if codec.decode(damaged) != right:
            return False
    except DecodeError:
        pass
    try:
        return codec.decode_many([element] * 9 + [damaged]) == [right] * 10
    except DecodeError as error:
        return error.index == 9


@settings(deadline=None)
@given(
    st.binary(max_size=60),
    st.sampled_from([b"", b"{", b"\x10", b"\x11", b"\x12", b"\x12(\xb5/\xfd"]),
)
def test_any_bytes_give_an_item_or_the_error(noise: bytes, start: bytes) -> None:
    for decode in (codec.decode, lambda e: codec.decode_many([e] * 9)):
        try:
            decode(start + noise)
        except DecodeError:
            continue
        assert (start + noise)[:1] in (b"{", b"\x10", b"\x11", b"\x12")


@pytest.mark.parametrize("first", [n for n in range(256) if n not in (0x10, 0x11, 0x12, 0x7B)])
def test_any_other_first_byte(first: int) -> None:
    error = refused(bytes([first]) + PLAIN[1:])
    word = "marker" if first < 0x10 else "a newer version may have written it"
    assert word in str(error)
    assert f"0x{first:02x}" in str(error)


@pytest.mark.parametrize(
    "text",
    [
        b"{",
        b"{}{}",
        b'{"a": 1',
        b'{"a": tru}',
        b'{"a": NaN}',
        b'{"a": "\xff"}',
        b'{"a": "\xed\xa0\x80"}',
        b'{"a" 1}',
        b'{"a": ' + b"[" * 100_000,
        b"\x10",
        b"\x10[]",
        b"\x10null",
        b"\x10{",
        b'\x10{"a": "\xff"}',
        b"\x10" + b'{"a":' * 100_000,
        b"\x10\x10{}",
    ],
)
def test_json_that_is_no_object(text: bytes) -> None:
    refused(text)
    refused(frame(text))


@pytest.mark.parametrize(
    "text", [b"", b"[]", b"null", b"12", b'"text"', b"\x01c 1 2 turn ", b"\x12{}"]
)
def test_a_frame_that_holds_no_item(text: bytes) -> None:
    refused(frame(text))


def frame(text: bytes) -> bytes:
    return b"\x11" + zstandard.ZstdCompressor().compress(text)


def test_a_frame_with_the_wrong_dictionary() -> None:
    refused(b"\x11" + COMPRESSED[1:])
    other = zstandard.train_dictionary(4096, [Codec().dump(i) for i in Shapes(9).items(500)])
    compress = zstandard.ZstdCompressor(dict_data=other, write_dict_id=False).compress
    element = b"\x12" + compress(PLAIN)
    for decode in (codec.decode, lambda e: codec.decode_many([e] * 9)):
        with contextlib.suppress(DecodeError):
            assert decode(element) in (ITEM, [ITEM] * 9)


def test_a_frame_that_declares_too_much() -> None:
    bomb = frame(b"{" + b" " * (MAX_RAW + 1))
    assert len(bomb) < 20_000
    assert "more than" in str(refused(bomb))


def test_a_frame_that_does_not_declare_its_size() -> None:
    compressor = zstandard.ZstdCompressor(write_content_size=False)
    for first in (b"\x11", b"\x12"):
        with pytest.raises(DecodeError, match="does not declare its size"):
            codec.decode(first + compressor.compress(PLAIN))


def test_json_nested_too_deeply() -> None:
    text = b'{"a":[' * 5_000 + b"1" + b"]}" * 5_000
    for element in (text, b"\x10" + text, frame(text)):
        refused(element)


def test_neighbours_of_a_damaged_element_are_named_right() -> None:
    elements = [NEIGHBOUR] * 30
    for index in (0, 7, 29):
        for damage in (b"", COMPRESSED[:-1], b"\x05", b"\x12"):
            with pytest.raises(DecodeError) as caught:
                codec.decode_many([*elements[:index], damage, *elements[index + 1 :]])
            assert caught.value.index == index
            with pytest.raises(DecodeError) as caught:
                codec.raw_many([*elements[:index], damage, *elements[index + 1 :]])
            assert caught.value.index == index
