"""Writers of one journal that share a call, when one of them is cancelled in it."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest

from turnwise.codec import Codec
from turnwise.errors import TurnwiseError
from turnwise.journal_entries import AttemptFailedEntry, encode_entry
from turnwise.turns.journal import Journal
from turnwise.types import Base, Done, Gone, Stale


class Store:
    """Appends each batch once by its index. Each call takes one of its `answers`."""

    def __init__(self) -> None:
        self.stored: list[bytes] = []
        self.sent = 0
        self.answers = asyncio.Semaphore(0)
        self.lose = False
        """Whether what is sent does not arrive."""

    async def send(self, index: int, batch: Sequence[bytes]) -> Done:
        self.sent += 1
        lost = self.lose
        await self.answers.acquire()
        if not lost:
            self.stored[index : index + len(batch)] = batch
        return Done(Base(len(self.stored), "c"))


async def _refused(answer: Stale | Gone) -> TurnwiseError:
    raise AssertionError(answer)


@pytest.fixture
def store() -> Store:
    return Store()


CODEC = Codec()
ENTRY = encode_entry(CODEC, AttemptFailedEntry())


async def _until_sent(store: Store, count: int) -> None:
    while store.sent < count:
        await asyncio.sleep(0)


@pytest.mark.parametrize("lose", [False, True])
async def test_who_shares_a_call_with_a_cancelled_writer_waits_for_its_entries(
    store: Store, lose: bool
) -> None:
    """As when a tool's own timeout cancels its start entry, and another tool's went with it."""
    journal = Journal(CODEC, ("s", "t"), [], 0, store.send, _refused)
    first = asyncio.create_task(journal.write(AttemptFailedEntry()))
    await _until_sent(store, 1)
    second, third = (asyncio.create_task(journal.write(AttemptFailedEntry())) for _ in range(2))
    await asyncio.sleep(0)  # they wait for the first, and go out together
    store.lose = lose
    store.answers.release()
    await first
    await _until_sent(store, 2)
    store.lose = False
    second.cancel()
    await asyncio.wait({second, third}, return_when=asyncio.FIRST_COMPLETED)
    assert not third.done()
    store.answers.release()
    await third
    assert store.stored == [ENTRY] * 3
    store.answers.release()
    await journal.write(AttemptFailedEntry())
    assert store.stored == [ENTRY] * 4


async def test_an_unforeseen_error_of_one_writer_is_not_the_end_of_another_s_entries(
    store: Store,
) -> None:
    failures: list[Exception] = [ZeroDivisionError()]

    async def send(index: int, batch: Sequence[bytes]) -> Any:
        answer = await store.send(index, batch)
        if store.sent == 2 and failures:
            store.stored.clear()
            store.stored.append(ENTRY)
            raise failures.pop()
        return answer

    journal = Journal(CODEC, ("s", "t"), [], 0, send, _refused)
    writers = [asyncio.create_task(journal.write(AttemptFailedEntry())) for _ in range(3)]
    await _until_sent(store, 1)
    for _ in range(3):
        store.answers.release()
    found = await asyncio.gather(*writers, return_exceptions=True)
    assert [type(one) for one in found] == [type(None), ZeroDivisionError, type(None)]
    assert store.stored == [ENTRY] * 3
