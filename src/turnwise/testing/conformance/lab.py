"""What a store brings to the suite, and the helpers of its tests."""

from __future__ import annotations

import secrets
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, TypeVar

import pytest

from turnwise.codec.elements import is_item
from turnwise.contracts import Store
from turnwise.limits import Limits
from turnwise.types import Base, Cancelled, Done, Grant, History, Info, SessionSummary

T = TypeVar("T")
NONSENSE = (
    *("", "nonsense", "-1", "0", "0-", "-0", "1-2-3", "1/", "*", "\x00", "\udcff", "²-³"),
    *("9" * 25, f"{'9' * 25}-0", f"0-{'9' * 5000}", f"no-such-node/{'9' * 20}"),
)
"""What a caller may take for a cursor or an id that a store answered."""
LONG = 60_000
"""A lease, in ms, that does not expire during a test."""


class Lab(ABC):
    """Sessions, and stores that share them.

    Attributes:
        lease: a lease, in ms, that is short enough for a test to wait until it expires.
        steps: whether the clock can be set. If not, time passes by itself.
    """

    lease: int = 5_000
    steps: bool = False

    @abstractmethod
    def store(self, limits: Limits | None = None) -> Store:
        """Another store on the same sessions. The lab closes it."""

    @abstractmethod
    async def now(self) -> int:
        """The store's time, in ms."""

    @abstractmethod
    async def tick(self) -> None:
        """Let a little time pass: at least 1 ms, and less than 100."""

    def step(self, ms: int) -> None:
        """Set the clock forward, or back."""
        raise NotImplementedError

    async def until(self, condition: Callable[[], Awaitable[bool]], limit: int = 30_000) -> None:
        """Let time pass until `condition` holds; fail after `limit` ms of it."""
        deadline = await self.now() + limit
        while not await condition():
            assert await self.now() < deadline, "the condition never held"
            await self.tick()

    async def passed(self, ms: int) -> None:
        """Let that much time pass."""
        end = await self.now() + ms

        async def over() -> bool:
            return await self.now() >= end

        await self.until(over)

    async def dead(self, session_id: str, *, beyond: int = 0) -> None:
        """Let time pass until the open turn has no live lease, and then `beyond` ms more."""
        store = self.store()

        async def over() -> bool:
            info = expect(Info, await store.info(session_id))
            return info.open_turn is None or (info.open_turn.lease_remaining or 0) <= 0

        await self.until(over)
        await self.passed(beyond)


@dataclass(frozen=True, slots=True)
class Held:
    """A turn that a test holds."""

    store: Store
    session_id: str
    token: str
    grant: Grant

    @property
    def ids(self) -> tuple[str, str, str]:
        return self.session_id, self.grant.turn_id, self.token

    async def commit(self, *items: bytes, base: Base | None = None, **options: Any) -> Any:
        commit_id = options.pop("commit_id", None) or mint()
        base = base or self.grant.tip
        return await self.store.commit(*self.ids, base, commit_id, items, **options)


class Suite:
    """What all parts of the suite share: the fixture `lab`, which each store overrides."""

    @pytest.fixture
    async def lab(self) -> Lab:
        """An empty lab of the store under test."""
        raise NotImplementedError

    @pytest.fixture
    def store(self, lab: Lab) -> Store:
        return lab.store()


def mint() -> str:
    return secrets.token_urlsafe(12)


def item(content: object) -> bytes:
    return b'{"content":"%b"}' % str(content).encode()


def expect(kind: type[T], answer: object) -> T:
    assert isinstance(answer, kind), answer
    return answer


async def begun(
    store: Store, session_id: str, turn_id: str | None = None, lease: int = LONG, **options: Any
) -> Held:
    """Open a turn, which must be granted."""
    token = options.pop("token", None) or mint()
    turn_id = turn_id or mint()
    options.setdefault("worker", "worker")
    answer = await store.begin(session_id, turn_id, token, lease, **options)
    return Held(store, session_id, token, expect(Grant, answer))


async def try_begin(
    store: Store, session_id: str, turn_id: str | None = None, **options: Any
) -> object:
    """The answer of a begin, which need not be granted."""
    token = options.pop("token", None) or mint()
    options.setdefault("worker", "other")
    return await store.begin(session_id, turn_id or mint(), token, LONG, **options)


async def taken(store: Store, session_id: str, lease: int = LONG) -> Held:
    """Open the next message as a turn, which must be granted."""
    token = mint()
    answer = await store.next(session_id, token, lease, worker="worker")
    return Held(store, session_id, token, expect(Grant, answer))


async def outcome(store: Store, session_id: str, turn_id: str | None = None, **options: Any) -> str:
    """The outcome of a cancel, of a turn that is not finished otherwise."""
    return expect(Cancelled, await store.cancel(session_id, turn_id, **options)).outcome


async def added(store: Store, session_id: str, *contents: object) -> Base:
    """Append items in one turn; the base that names the history after it."""
    answer = await store.append(session_id, mint(), [item(content) for content in contents])
    return expect(Done, answer).tip


async def contents(store: Store, session_id: str) -> list[bytes]:
    """The items of the history."""
    history = expect(History, await store.read(session_id))
    found = [element for element in history.elements if is_item(element)]
    assert len(found) == history.items
    return found


async def ids(store: Store, match: str = "*", count: int = 500) -> list[str]:
    """The ids of all sessions, read in pages of about `count`."""
    page = await store.page(match, None, count)
    found = [session.session_id for session in page.sessions]
    while page.cursor is not None:
        page = await store.page(match, page.cursor, count)
        found += [session.session_id for session in page.sessions]
    return found


def items(*contents: object) -> list[bytes]:
    return [item(content) for content in contents]


async def only_session(store: Store) -> SessionSummary:
    """The only session in a store's listing; `info` says the same of it."""
    page = await store.page()
    found = [*page.sessions]
    while page.cursor is not None:  # a page may be empty: each node of a cluster has its own
        page = await store.page(cursor=page.cursor)
        found += page.sessions
    (only,) = found
    info = await store.info(only.session_id)
    assert isinstance(info, Info)
    assert (info.state, info.since) == (only.state, only.since)
    return only
