"""The stored bytes, frozen: what any release wrote must be read for ever.

A sample may be added here, never changed or removed.
"""

from __future__ import annotations

from base64 import b64decode
from hashlib import sha256
from pathlib import Path

import pytest

import turnwise.codec
from tests.unit.codec_items import Item, same
from turnwise.codec import Codec

SAMPLES: list[tuple[str, int, str, Item]] = [
    (
        "plain JSON",
        0x7B,
        (
            "eyJyb2xlIjoidXNlciIsImNvbnRlbnQiOiJHcsO8w59lIPCfmIAiLCJuIjpbMSwyLjUsdHJ1ZSxudWxsLDExODA1"
            "OTE2MjA3MTc0MTEzMDM0MjRdfQ=="
        ),
        {"role": "user", "content": "Grüße 😀", "n": [1, 2.5, True, None, 2**70]},
    ),
    (
        "loose JSON",
        0x10,
        "EHsieCI6SW5maW5pdHksInMiOiJcdWQ4MDAifQ==",
        {"x": float("inf"), "s": "\ud800"},
    ),
    (
        "loose JSON, escaped by another writer",
        0x10,
        "EHsiYSI6Ilx1ZDgwMCIsIm4iOk5hTn0=",
        {"a": "\ud800", "n": float("nan")},
    ),
    (
        "a frame with the dictionary",
        0x12,
        "Eii1L/0kYl0BAGhIaSEgSSdtdG8yMHRoCvwefnvnGjTPZe4uTBHZ5x5FfgSVnOrCiYkpYxGsu76v",
        {
            "content": "Hi! I'm looking to book a flight from New York to Seattle on May 20th.",
            "role": "user",
        },
    ),
    (
        "loose JSON in a frame with the dictionary",
        0x12,
        "Eii1L/0kWn0BAOOBBiWN/MDPAzMZMSBfDLsRAgMy5/axjY0LCAQCBfx8g9yoHJ33HSh4kK08niwDQ3FgnQ==",
        {
            "role": "user",
            "content": "Can you help me with my reservation? \ud800",
            "score": float("-inf"),
        },
    ),
    (
        "a frame without a dictionary",
        0x11,
        "ESi1L/2kSxkBAP0AALh7InRleHQiOiJsb3JlbSBpcHN1bSAifQEAYzKeFybIBo04",
        {"text": "lorem ipsum " * 6000},
    ),
]


@pytest.mark.parametrize(("name", "first", "stored", "item"), SAMPLES)
def test_what_was_stored_once_is_read_for_ever(
    name: str, first: int, stored: str, item: Item
) -> None:
    element = b64decode(stored)
    assert element[0] == first, name
    for codec in (Codec(), Codec(compression=False)):
        assert same(codec.decode(element), item)
        assert same(codec.decode_many([element] * 10), [item] * 10)
        assert same(codec.decode(codec.raw(element)), item)


def test_the_dictionary_never_changes() -> None:
    dictionary = Path(turnwise.codec.__file__).with_name("items-1.zdict").read_bytes()
    assert sha256(dictionary).hexdigest() == DICTIONARY


DICTIONARY = "960f9864e0d5dad213446a55e6a72e0d301e667de2852acaaa1c2a64b6ba2be0"


@pytest.mark.parametrize(
    ("item", "text"),
    [
        ({"b": 1, "a": [1.0, "ü\n"]}, b'{"b":1,"a":[1.0,"\xc3\xbc\\n"]}'),
        ({"n": float("nan"), "t": "ü"}, b'\x10{"n":NaN,"t":"\\u00fc"}'),
        ({"t": "\ud83d\ude00"}, b'\x10{"t":"\xed\xa0\xbd\xed\xb8\x80"}'),
    ],
)
def test_what_is_written_without_compression(item: Item, text: bytes) -> None:
    assert Codec(compression=False).encode(item) == text
