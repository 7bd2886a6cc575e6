"""The cache holds what was put into it, within its limit, and callers cannot damage it."""

from __future__ import annotations

import gc
import sys
import tracemalloc
from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, invariant, precondition, rule

from turnwise.cache import Cache, HistorySnapshot
from turnwise.codec import Codec, DecodeError
from turnwise.types import Base

Item = dict[str, Any]
codec = Codec()


def raw(number: int, size: int = 0) -> bytes:
    return codec.dump({"role": "user", "content": [{"n": number}], "more": "x" * size})


def snapshot(*numbers: int, size: int = 0) -> HistorySnapshot:
    elements = [raw(number, size) for number in numbers]
    return HistorySnapshot(codec, "i", Base(len(elements), "c"), elements)


def numbers(items: list[Item]) -> list[int]:
    return [item["content"][0]["n"] for item in items]


def spoil(items: list[Item]) -> None:
    """What a careless caller may do to what it was given."""
    for item in items:
        item["content"][0]["n"] = -1
        item["content"].append("more")
        item.clear()
    items.clear()


@dataclass
class Modelled:
    """A snapshot, and what it must hold for ever."""

    snapshot: HistorySnapshot
    numbers: list[int] = field(default_factory=list)


class Snapshots(RuleBasedStateMachine):
    """Snapshots that share storage and are extended in different ways, against plain lists."""

    snapshots = Bundle("snapshots")

    def __init__(self) -> None:
        super().__init__()
        self.cache = Cache(3_000)
        self.known: dict[str, Modelled] = {}
        self.made: list[Modelled] = []
        self.next = 0

    def fresh(self, count: int) -> list[int]:
        self.next += count
        return list(range(self.next - count, self.next))

    def keep(self, modelled: Modelled) -> Modelled:
        self.made.append(modelled)
        return modelled

    @rule(target=snapshots, count=st.integers(0, 4))
    def begin(self, count: int) -> Modelled:
        added = self.fresh(count)
        return self.keep(Modelled(snapshot(*added), added))

    @rule(target=snapshots, modelled=snapshots, count=st.integers(0, 4))
    def extend(self, modelled: Modelled, count: int) -> Modelled:
        added = self.fresh(count)
        tip = Base(self.next, f"c{self.next}")
        later = modelled.snapshot.extended(tip, [raw(number) for number in added])
        assert later.tip == tip
        return self.keep(Modelled(later, modelled.numbers + added))

    @rule(modelled=snapshots)
    def read_items(self, modelled: Modelled) -> None:
        assert numbers(modelled.snapshot.items()) == modelled.numbers

    @rule(modelled=snapshots, last=st.none() | st.integers(0, 6))
    def spoil_copies(self, modelled: Modelled, last: int | None) -> None:
        copies = modelled.snapshot.copies(last)
        first = 0 if last is None else max(0, len(modelled.numbers) - last)
        assert numbers(copies) == modelled.numbers[first:]
        spoil(copies)

    @rule(modelled=snapshots)
    def spoil_list(self, modelled: Modelled) -> None:
        modelled.snapshot.items().clear()

    @rule(session_id=st.sampled_from("abcd"), modelled=snapshots)
    def put(self, session_id: str, modelled: Modelled) -> None:
        self.cache.put(session_id, modelled.snapshot)
        self.known[session_id] = modelled

    @rule(session_id=st.sampled_from("abcd"))
    def get(self, session_id: str) -> None:
        found = self.cache.get(session_id)
        if found is not None:
            assert found is self.known[session_id].snapshot

    @rule(session_id=st.sampled_from("abcd"))
    def drop(self, session_id: str) -> None:
        self.cache.drop(session_id)
        self.known.pop(session_id, None)
        assert self.cache.get(session_id) is None

    @precondition(lambda self: self.made)
    @invariant()
    def nothing_changed(self) -> None:
        for modelled in self.made:
            assert len(modelled.snapshot) == len(modelled.numbers)
            assert numbers(modelled.snapshot.copies()) == modelled.numbers

    @invariant()
    def bounded(self) -> None:
        for session_id in "abcd":  # a look at all of them counts what was decoded since
            self.cache.get(session_id)
        held = [found for s in "abcd" if (found := self.cache.get(s)) is not None]
        assert sum(found.size for found in held) <= 3_000


Snapshots.TestCase.settings = settings(max_examples=60, stateful_step_count=30, deadline=None)
TestSnapshots = Snapshots.TestCase


def test_the_least_recently_used_goes_first() -> None:
    size = snapshot(1, size=1000).size
    cache = Cache(3 * size)
    for session_id in "abc":
        cache.put(session_id, snapshot(1, size=1000))
    assert cache.get("a") is not None
    cache.put("d", snapshot(1, size=1000))
    assert [s for s in "abcd" if cache.get(s)] == ["a", "c", "d"]


def test_what_is_decoded_after_it_was_put_is_counted_when_next_got() -> None:
    first, second = snapshot(1, size=1000), snapshot(1, size=1000)
    cache = Cache(first.size + second.size)
    cache.put("a", first)
    cache.put("b", second)
    first.items()
    assert cache.get("a") is None or cache.get("b") is None
    assert sum(p.size for s in "ab" if (p := cache.get(s)) is not None) <= 2 * second.size


def test_a_snapshot_larger_than_the_cache_is_not_kept_and_does_not_block_others() -> None:
    cache = Cache(3_000)
    cache.put("large", snapshot(1, size=5_000))
    assert cache.get("large") is None
    small = snapshot(1)
    cache.put("small", small)
    assert cache.get("small") is small


@pytest.mark.parametrize("items", [0, 1])
def test_a_cache_of_no_bytes_keeps_nothing(items: int) -> None:
    cache = Cache(0)
    cache.put("s", snapshot(*range(items)))
    assert cache.get("s") is None


@pytest.mark.parametrize("items", [0, 1, 2])
@pytest.mark.parametrize("decoded", [False, True])
def test_small_histories_are_weighed_as_what_they_take(items: int, decoded: bool) -> None:
    """By the memory that Python allocates for a thousand of them."""
    sessions = 1000
    cache = Cache(10**9)
    gc.collect()
    tracemalloc.start()
    try:
        for session in range(sessions):
            held = HistorySnapshot(
                codec, f"i{session}", Base(items, f"c{session}"), [*map(raw, range(items))]
            )
            if decoded:
                held.items()
            cache.put(f"session-{session}", held)
        taken, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    names = (f"session-{session}" for session in range(sessions))
    weighed = sum(found.size for name in names if (found := cache.get(name)) is not None)
    assert 0.5 * taken <= weighed <= 2 * taken


def test_putting_again_counts_once() -> None:
    one = snapshot(1, size=1000)
    cache = Cache(one.size + 100)
    for _ in range(5):
        cache.put("s", one)
    assert cache.get("s") is one


@pytest.mark.parametrize("size", [0, 100, 2_000])
def test_the_size_is_about_what_python_holds(size: int) -> None:
    held = snapshot(*range(200), size=size)
    size_of_raw = sum(sys.getsizeof(raw(number, size)) for number in range(200))
    assert size_of_raw * 0.8 <= held.size <= size_of_raw * 1.5
    held.items()
    assert held.size >= size_of_raw * 2


def test_two_snapshots_that_extend_the_same_one() -> None:
    start = snapshot(1, 2)
    assert numbers(start.items()) == [1, 2]
    one = start.extended(Base(3, "one"), [raw(3)])
    other = start.extended(Base(3, "other"), [raw(30), raw(40)])
    again = one.extended(Base(4, "again"), [raw(4)])
    assert numbers(again.items()) == [1, 2, 3, 4]
    assert numbers(other.items()) == [1, 2, 30, 40]
    assert numbers(one.items()) == [1, 2, 3]
    assert numbers(start.items()) == [1, 2]
    assert numbers(start.copies(1)) == [2]


def test_an_extended_snapshot_does_not_decode_again() -> None:
    start = snapshot(1, 2)
    before = start.items()
    after = start.extended(Base(3, "c"), [raw(3)]).items()
    assert [one is other for one, other in zip(before, after, strict=False)] == [True, True]


def test_an_extended_snapshot_keeps_what_it_knows() -> None:
    tail = HistorySnapshot(codec, "i", Base(9, "c"), [raw(9)], complete=False)
    later = tail.extended(Base(10, "d"), [raw(10)])
    assert not later.complete
    assert (later.incarnation, later.tip) == ("i", Base(10, "d"))


def test_an_item_that_cannot_be_decoded_spoils_no_other() -> None:
    start = snapshot(1, 2)
    broken = start.extended(Base(3, "c"), [b'{"content": '])
    for _ in range(2):
        with pytest.raises(DecodeError) as caught:
            broken.items()
        assert caught.value.index is not None
    assert numbers(start.items()) == [1, 2]


CALL: Item = {"type": "function_call", "call_id": "c1", "name": "f", "arguments": "{}"}
OUTPUT: Item = {"type": "function_call_output", "call_id": "c1", "output": ""}


def test_whole_is_found_out_once_and_again_after_a_half() -> None:
    start = snapshot(1)
    assert start.is_whole(start.items())
    half = start.extended(Base(2, "c"), [codec.dump(CALL)])
    assert not half.is_whole(half.items())
    both = half.extended(Base(3, "d"), [codec.dump(OUTPUT)])
    assert both.is_whole(both.items())
    pair = start.extended(Base(3, "e"), [codec.dump(CALL), codec.dump(OUTPUT)])
    assert pair.is_whole(pair.items())
