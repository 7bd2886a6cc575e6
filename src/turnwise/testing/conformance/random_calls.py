"""Random calls, a third of them resent late, against a model of the contract."""

from __future__ import annotations

import os
import random
from dataclasses import dataclass, field

import pytest

from turnwise.codec.elements import MARKER, is_item, parse_record
from turnwise.contracts import Store
from turnwise.testing.conformance.lab import LONG, Lab, Suite, expect, item
from turnwise.testing.conformance.model import Call, Model
from turnwise.testing.conformance.model_state import NOBODY
from turnwise.types import Base, Grant, History, Info

CALLS = int(os.environ.get("TURNWISE_CALLS", "400"))
"""Calls per seed; each seed is a test."""
SEEDS = int(os.environ.get("TURNWISE_SEEDS", "3"))
SHORT = 5
VERBS = {
    "append": 6,
    "begin": 12,
    "commit": 10,
    "journal": 6,
    "renew": 2,
    "abort": 3,
    "release": 3,
    "dead_letter": 1,
    "park": 1,
    "stop": 1,
    "resume": 2,
    "pop": 3,
    "clear": 1,
    "replace": 2,
    "submit": 4,
    "next": 6,
    "cancel": 2,
    "pass": 3,
}


class RandomCallsConformance(Suite):
    @pytest.mark.parametrize("number", range(SEEDS))
    async def test_any_calls_in_any_order_however_late(self, lab: Lab, number: int) -> None:
        seed = int(os.environ.get("TURNWISE_SEED", random.randrange(2**32)))
        print(f"TURNWISE_SEED={seed}")  # noqa: T201  # shown when the test fails, to repeat it
        await Run(lab, random.Random(seed)).go(CALLS)


@dataclass
class Run:
    """Random calls on one session."""

    lab: Lab
    rng: random.Random
    model: Model = field(default_factory=Model)
    sent: list[Call] = field(default_factory=list)
    turns: list[tuple[str, str]] = field(default_factory=list)
    named: list[str] = field(default_factory=list)
    tips: list[tuple[Base, list[bytes], int]] = field(default_factory=list)
    story: list[str] = field(default_factory=list)
    count: int = 0

    async def go(self, calls: int) -> None:
        store = self.lab.store()
        if self.rng.random() < 1 / 3:
            store = store.for_owner("alice")  # for their own sessions nothing is different
        await self._send(store, ("append", {"op_id": "first", "items": []}))
        for _ in range(calls):
            again = self.sent and self.rng.random() < 1 / 3
            call = self.rng.choice(self.sent) if again else self._invent()
            if call is None:
                await self.lab.passed(3 * SHORT)
            else:
                await self._send(store, call)

    async def _send(self, store: Store, call: Call) -> None:
        answer = await self._ask(store, call)
        self.story.append(f"{call} -> {answer}")
        try:
            self.model.accept(call, answer)
            await self._look(store)
        except AssertionError as error:
            story = "\n".join(self.story[-40:])
            raise AssertionError(f"{error}\n{story}\n{self.model.open}") from None
        if call not in self.sent:
            self.sent.append(call)
        if isinstance(answer, Grant):
            self.turns.append((answer.turn_id, call[1]["token"]))

    async def _ask(self, store: Store, call: Call) -> object:
        verb, args = call
        options = dict(args)
        if verb in ("begin", "next"):
            options["lease_ms"] = SHORT if options.pop("mortal") else LONG
            options["worker"] = "w"
            if options.pop("ticket_ms", False):
                options["ticket_ms"] = LONG
        return await getattr(store, verb)("s", **options)

    async def _look(self, store: Store) -> None:
        """Compare history, session and bases with the model."""
        history = expect(History, await store.read("s"))
        assert [e for e in history.elements if is_item(e)] == self.model.items
        self._check_turns(history)
        self.model.compare(expect(Info, await store.info("s")))
        for turn_id in self.rng.sample(self.named, min(1, len(self.named))):
            self.model.look(turn_id, await store.status("s", turn_id))
        model = self.model
        model.tip = history.tip
        for base, before, cuts in self.rng.sample(self.tips, min(2, len(self.tips))):
            since = expect(History, await store.read("s", base))
            assert since.follows or cuts < model.cuts
            if since.follows:
                assert model.items[: len(before)] == before
                new = [e for e in since.elements if is_item(e)]
                assert new == model.items[len(before) :]
        if not self.tips or self.tips[-1][0] != history.tip:
            self.tips.append((history.tip, list(model.items), model.cuts))

    def _check_turns(self, history: History) -> None:
        """Each marker has its record, no turn_id comes twice, and the last record is the tip."""
        marks = [(i, e) for i, e in enumerate(history.elements) if not is_item(e)]
        markers, records = marks[::2], marks[1::2]
        assert all(e.startswith(MARKER) for _, e in markers)
        assert [i + 1 for i, _ in markers] == [i for i, _ in records]
        assert len({e for _, e in markers}) == len(markers)
        assert parse_record(records[-1][1]).commit_id == history.tip.commit_id
        assert history.tip.position == len(history.elements)

    # Inventing calls.

    def _invent(self) -> Call | None:
        verb = self.rng.choices(list(VERBS), list(VERBS.values()))[0]
        return None if verb == "pass" else getattr(self, f"_{verb}")()

    def _new(self, what: str) -> str:
        self.count += 1
        return f"{what}-{self.count}"

    def _items(self) -> list[bytes]:
        return [item(self._new("item")) for _ in range(self.rng.randrange(4))]

    def _turn(self) -> dict[str, str]:
        """The open turn and its token, mostly; sometimes others."""
        opened = self.model.open
        held = opened is not None and opened.token != NOBODY
        if opened is not None and held and self.rng.random() < 0.8:
            return {"turn_id": opened.turn_id, "token": opened.token}
        turn_id, token = self.rng.choice(self.turns or [("none", "none")])
        return {"turn_id": turn_id, "token": token}

    def _turn_id(self) -> str:
        """A new one, or one that was used before."""
        if not self.named or self.rng.random() < 0.6:
            self.named.append(self._new("turn"))
            return self.named[-1]
        return self.rng.choice(self.named)

    def _mortal(self) -> bool:
        return self.rng.random() < 0.4

    def _base(self) -> Base:
        right = not self.tips or self.rng.random() < 0.8
        return self.model.tip if right else self.rng.choice(self.tips)[0]

    def _append(self) -> Call:
        return "append", {"op_id": self._new("op"), "items": self._items()}

    def _begin(self) -> Call:
        args = {"turn_id": self._turn_id(), "token": self._new("token"), "mortal": self._mortal()}
        return "begin", {**args, "ticket_ms": self.rng.random() < 0.3}

    def _resume(self) -> Call:
        turn_id = self._turn()["turn_id"]
        args = {"turn_id": turn_id, "token": self._new("token"), "mortal": self._mortal()}
        return "begin", {**args, "resume": True}

    def _next(self) -> Call:
        return "next", {"token": self._new("token"), "mortal": self._mortal()}

    def _commit(self) -> Call:
        keep = self.rng.randrange(len(self.model.items) + 1) if self.rng.random() < 0.2 else None
        change = {"base": self._base(), "commit_id": self._new("commit")}
        kind = "turn" if self.rng.random() < 0.9 else "cancelled"
        change = {**change, "items": self._items(), "keep": keep, "kind": kind}
        return "commit", {**self._turn(), **change}

    def _journal(self) -> Call:
        opened = self.model.open
        length = len(opened.journal) if opened else 0
        index = length if self.rng.random() < 0.8 else self.rng.randrange(length + 2)
        return "journal", {**self._turn(), "index": index, "entries": [item(self._new("entry"))]}

    def _renew(self) -> Call:
        return "renew", self._turn()

    def _abort(self) -> Call:
        return "abort", self._turn()

    def _release(self) -> Call:
        delay = LONG if self.rng.random() < 0.1 else 0
        decided = self.rng.choice((None, None, True, False))
        how = {"counted": self.rng.random() < 0.5, "delay_ms": delay, "decided": decided}
        return "release", {**self._turn(), **how}

    def _dead_letter(self) -> Call:
        return "dead_letter", {**self._turn(), "letter": b"letter"}

    def _park(self) -> Call:
        return "park", {**self._turn(), "state": item(self._new("state"))}

    def _stop(self) -> Call:
        return "stop", {**self._turn(), "letter": b"letter"}

    def _pop(self) -> Call:
        return "pop", {"op_id": self._new("op"), "base": self._base()}

    def _clear(self) -> Call:
        return "clear", {"op_id": self._new("op")}

    def _replace(self) -> Call:
        keep = self.rng.randrange(len(self.model.items) + 1)
        change = {"base": self._base(), "keep": keep, "items": self._items()}
        return "replace", {"op_id": self._new("op"), **change}

    def _submit(self) -> Call:
        return "submit", {"turn_id": self._turn_id(), "message": b"message"}

    def _cancel(self) -> Call:
        turn_id = self._turn_id() if self.rng.random() < 0.5 else self._turn()["turn_id"]
        options = {"keep": self.rng.random() < 0.5, "force": self.rng.random() < 0.2}
        options["open_only"] = self.rng.random() < 0.3
        reason = self._new('a "reason" \u2713') if self.rng.random() < 0.7 else ""
        return "cancel", {"turn_id": turn_id, **options, "reason": reason}
