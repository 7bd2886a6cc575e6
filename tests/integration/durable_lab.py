"""Turns whose worker dies at an entry of the journal, and the workers that take them over."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from secrets import token_urlsafe
from typing import Any
from unittest.mock import patch

import agents
from agents import Agent, Model, ModelResponse, Usage
from agents.items import TResponseOutputItem, TResponseStreamEvent
from agents.testing import assistant_message, function_call
from openai.types.responses import (
    Response,
    ResponseCompletedEvent,
    ResponseOutputItemAddedEvent,
    ResponseOutputItemDoneEvent,
    ResponseTextDeltaEvent,
    ResponseUsage,
)
from openai.types.responses.response_usage import InputTokensDetails, OutputTokensDetails

from turnwise import Runner
from turnwise.codec import Codec
from turnwise.durable import replay
from turnwise.errors import StoreUnavailable
from turnwise.fleet import PastTurn
from turnwise.journal_entries import (
    Entry,
    decode_entries,
)
from turnwise.session import Session
from turnwise.stores.embedded.memory import MemoryStore
from turnwise.turns import Runtime, Settings
from turnwise.types import Grant

agents.set_tracing_disabled(True)  # there is nobody to send traces to

Output = Sequence[TResponseOutputItem]
Reply = Output | Callable[[list[Any]], Output]
LEASE = 15.0
TOKENS = 7


@dataclass
class Ledger:
    """What was really done, by any worker."""

    models: Counter[str] = field(default_factory=Counter)
    tools: Counter[str] = field(default_factory=Counter)
    keys: dict[str, set[str]] = field(default_factory=dict)


class Sage(Model):
    """A model whose reply depends on nothing but what it is given.

    `replies` are those of one run: the first to the user's message, and so on.
    """

    def __init__(self, ledger: Ledger, name: str, *replies: Reply) -> None:
        self.ledger = ledger
        self.name = name
        self.replies = replies

    async def get_response(self, *args: Any, **options: Any) -> ModelResponse:
        step, output = self._reply(*args, **options)
        usage = Usage(
            requests=1, input_tokens=step, output_tokens=TOKENS, total_tokens=step + TOKENS
        )
        return ModelResponse(output=output, usage=usage, response_id=f"{self.name}-{step}")

    async def stream_response(
        self, *args: Any, **options: Any
    ) -> AsyncIterator[TResponseStreamEvent]:
        step, output = self._reply(*args, **options)
        for index, item in enumerate(output):
            place: Any = {"output_index": index, "sequence_number": 0}
            yield ResponseOutputItemAddedEvent(
                type="response.output_item.added", item=item, **place
            )
            if item.type == "message":
                yield ResponseTextDeltaEvent(
                    type="response.output_text.delta",
                    delta=getattr(item.content[0], "text", ""),
                    item_id=item.id,
                    content_index=0,
                    logprobs=[],
                    **place,
                )
            yield ResponseOutputItemDoneEvent(type="response.output_item.done", item=item, **place)
        yield self._completed(step, output)

    def _completed(self, step: int, output: list[Any]) -> ResponseCompletedEvent:
        usage = ResponseUsage(
            input_tokens=step,
            output_tokens=TOKENS,
            total_tokens=step + TOKENS,
            input_tokens_details=InputTokensDetails.model_validate(
                {"cached_tokens": 0, "cache_write_tokens": 0}
            ),
            output_tokens_details=OutputTokensDetails(reasoning_tokens=0),
        )
        response = Response(
            id=f"{self.name}-{step}",
            created_at=0,
            model="sage",
            object="response",
            output=output,
            parallel_tool_calls=False,
            tool_choice="auto",
            tools=[],
            usage=usage,
        )
        return ResponseCompletedEvent(
            type="response.completed", sequence_number=0, response=response
        )

    def _reply(self, *args: Any, **options: Any) -> tuple[int, list[Any]]:
        given = options["input"] if "input" in options else args[1]
        items = [{"role": "user"}] if isinstance(given, str) else given
        step = steps(items)
        self.ledger.models[f"{self.name} {step}"] += 1
        reply = self.replies[min(step, len(self.replies) - 1)]
        return step, list(reply(items) if callable(reply) else reply)


def steps(items: Sequence[Any]) -> int:
    """How often a model answered since the user spoke last."""
    count, was_model = 0, False
    for item in items:
        kind = item.get("type") or "message"
        is_model = item.get("role") == "assistant" or kind.endswith("call")
        if item.get("role") == "user":
            count = 0
        elif is_model and not was_model:
            count += 1
        was_model = is_model
    return count


def says(text: str) -> Output:
    return [assistant_message(text)]


def calls(*names: str, **arguments: Any) -> Output:
    """Calls of tools, in parallel; the call id is the tool's name."""
    return [function_call(name, json.dumps(arguments), call_id=f"of_{name}") for name in names]


class Mortal:
    """A store as one worker sees it, who dies at an entry of the journal.

    Of the calls after that nothing arrives. `acknowledged` tells whether the worker still learns
    that the entry was written, and so goes on until it needs the store again.
    """

    def __init__(self, store: MemoryStore, dies_at: int | None, *, acknowledged: bool) -> None:
        self._store = store
        self._left = dies_at
        self._acknowledged = acknowledged
        self.is_dead = False
        self.written = 0
        self.entries: list[Entry] = []

    def __getattr__(self, name: str) -> Any:
        verb = getattr(self._store, name)
        if name in ("scan", "waiter", "on_wakeup", "aclose"):
            return verb
        return lambda *args, **options: self._call(verb, *args, **options)

    async def _call(self, verb: Callable[..., Awaitable[Any]], *args: Any, **options: Any) -> Any:
        if self.is_dead:
            raise StoreUnavailable("the worker is dead")
        return await verb(*args, **options)

    async def journal(
        self, session_id: str, turn_id: str, token: str, index: int, entries: Sequence[bytes]
    ) -> Any:
        if self.is_dead:
            raise StoreUnavailable("the worker is dead")
        now = entries if self._left is None else entries[: self._left]
        answer = await self._store.journal(session_id, turn_id, token, index, now)
        self.written += len(now)
        self.entries += decode_entries(Codec(), now)
        if self._left is not None:
            self._left -= len(now)
            if self._left <= 0:
                self.is_dead = True
                if not self._acknowledged or len(now) < len(entries):
                    raise StoreUnavailable("the worker is dead")
        return answer


@dataclass
class Outcome:
    """What a run left: the result, and what the session has."""

    history: list[Any]
    result: Any
    events: list[str]
    deltas: str
    turn: PastTurn


Build = Callable[[Ledger], Agent[Any]]


class Lab:
    """One store whose clock the test moves, and workers on it."""

    def __init__(self) -> None:
        self.now = 1_000_000_000
        self.store = MemoryStore(clock=lambda: self.now)

    def session(self, store: Any = None, **settings: Any) -> Session:
        made = Settings(lease=LEASE, **settings)
        used: Any = self.store if store is None else store
        return Session(Runtime(used, made, "worker"), session_id="s")

    def expire(self) -> None:
        """Let the lease of a dead worker run out."""
        self.now += int(LEASE * 1000) + 1

    async def journal(self) -> list[Entry]:
        """What a dead worker left, as the next one is given it; its lease has run out."""
        lease = int(LEASE * 1000)
        grant = await self.store.begin("s", "t", token_urlsafe(12), lease, worker="reader")
        assert isinstance(grant, Grant)
        self.expire()
        return decode_entries(Codec(), grant.journal)


Way = Callable[[Session, Agent[Any], Any, dict[str, Any]], Awaitable[tuple[Any, list[str], str]]]


async def by_turnwise(session: Session, agent: Agent[Any], input: Any, options: Any) -> Any:
    return await Runner.run(agent, input, session=session, turn_id="t", **options), [], ""


async def by_sdk(session: Session, agent: Agent[Any], input: Any, options: Any) -> Any:
    async with session.turn(turn_id="t") as turn:
        return await agents.Runner.run(agent, input, session=turn, **options), [], ""


async def streamed(session: Session, agent: Agent[Any], input: Any, options: Any) -> Any:
    result = Runner.run_streamed(agent, input, session=session, turn_id="t", **options)
    return result, *await read(result)


async def streamed_by_sdk(session: Session, agent: Agent[Any], input: Any, options: Any) -> Any:
    async with session.turn(turn_id="t") as turn:
        result = agents.Runner.run_streamed(agent, input, session=turn, **options)
        return result, *await read(result)


async def read(result: Any) -> tuple[list[str], str]:
    """The names of a stream's items, and its text."""
    names: list[str] = []
    text = ""
    async for event in result.stream_events():
        if event.type == "run_item_stream_event":
            names.append(event.name)
        elif event.type == "raw_response_event" and event.data.type == "response.output_text.delta":
            text += event.data.delta
    return names, text


WAYS: dict[str, Way] = {
    "turnwise": by_turnwise,
    "sdk": by_sdk,
    "streamed": streamed,
    "streamed-sdk": streamed_by_sdk,
}


def last_response_with_commit() -> AbstractContextManager[Any]:
    """A response waits for the next entry or the commit, however late that comes.

    A test that counts entries needs it: on a busy machine a response may be written by itself.
    """
    return patch.object(replay, "_FLUSH_DELAY", 60.0)


@dataclass
class Scenario:
    """A run: agents are built anew for each worker, as another process would."""

    build: Build
    input: Any = "go"
    options: Callable[[Ledger], dict[str, Any]] = lambda ledger: {}
    settings: dict[str, Any] = field(default_factory=dict)

    async def run(self, lab: Lab, ledger: Ledger, way: Way, store: Any = None) -> Outcome:
        session = lab.session(store, **self.settings)
        agent = self.build(ledger)
        with last_response_with_commit():
            result, events, deltas = await way(session, agent, self.input, self.options(ledger))
        (turn,) = await session.history() or []
        return Outcome(await session.get_items(), result, events, deltas, turn)


def kinds_of(journal: Sequence[Entry]) -> list[type[Entry]]:
    return [type(entry) for entry in journal]
