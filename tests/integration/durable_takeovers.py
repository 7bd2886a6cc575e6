"""Turns that another worker takes over, held against a run that nobody disturbs."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeVar

from tests.integration.durable_lab import Lab, Ledger, Mortal, Outcome, Scenario, Way
from turnwise.durable.calls import OUTCOME_UNKNOWN
from turnwise.journal_entries import (
    Entry,
    ResponseEntry,
    ToolEndedEntry,
    ToolStartedEntry,
)

E = TypeVar("E")


@dataclass
class Takeover:
    """What came of a turn whose first worker died at an entry."""

    ledger: Ledger
    outcome: Outcome
    journal: list[Entry]
    by_first: Ledger
    attempts: int = 1

    def entries(self, kind: type[E]) -> list[E]:
        return [entry for entry in self.journal if isinstance(entry, kind)]

    @property
    def unknown(self) -> list[str]:
        """The tools that had begun and not ended."""
        return [entry.tool for entry in without_end(self.journal)]

    @property
    def unknown_calls(self) -> set[str]:
        """The ids of these calls."""
        return {entry.call.partition(".")[2] for entry in without_end(self.journal)}

    @property
    def ended(self) -> list[str]:
        started = Counter(entry.tool for entry in self.entries(ToolStartedEntry))
        return list((started - Counter(self.unknown)).elements())


def without_end(journal: Sequence[Entry]) -> list[ToolStartedEntry]:
    """The starts of tools that did not end."""
    ended = {(entry.run, entry.call) for entry in journal if isinstance(entry, ToolEndedEntry)}
    return [
        entry
        for entry in journal
        if isinstance(entry, ToolStartedEntry) and (entry.run, entry.call) not in ended
    ]


def usage(outcome: Outcome) -> Any:
    """What it cost; agents that ran side by side come in any order."""
    used = outcome.result.context_wrapper.usage
    return replace(used, request_usage_entries=[]), sorted(map(repr, used.request_usage_entries))


def kinds(outcome: Outcome) -> list[tuple[str, str]]:
    """Which agent made which items."""
    return [(item.type, item.agent.name) for item in outcome.result.new_items]


async def undisturbed(scenario: Scenario, way: Way) -> tuple[Outcome, Ledger, int]:
    """A run that nobody disturbs, what it did, and how many entries it journaled."""
    lab, ledger = Lab(), Ledger()
    store = Mortal(lab.store, None, acknowledged=True)
    outcome = await scenario.run(lab, ledger, way, store)
    assert without_end(store.entries) == []
    return outcome, ledger, store.written


async def taken_over(scenario: Scenario, way: Way, dies_at: int, *, acknowledged: bool) -> Takeover:
    """Let a worker die at an entry, and another one send the turn again."""
    lab, ledger = Lab(), Ledger()
    store = Mortal(lab.store, dies_at, acknowledged=acknowledged)
    death: Exception | None = None
    try:
        await scenario.run(lab, ledger, way, store)
    except Exception as error:
        death = error
    assert store.is_dead, f"nobody died, but {death!r}"
    await nothing_runs()
    lab.expire()
    journal = await lab.journal()
    by_first = Ledger(Counter(ledger.models), Counter(ledger.tools))
    outcome = await scenario.run(lab, ledger, way)
    return Takeover(ledger, outcome, journal, by_first)


async def nothing_runs() -> None:
    """Wait until what the dead worker had started is over."""
    own = asyncio.current_task()
    while others := [task for task in asyncio.all_tasks() if task is not own]:
        await asyncio.wait(others)


def check(takeover: Takeover, calm: Outcome, ledger: Ledger) -> None:
    """Nothing whose end was journaled ran again, and the history is that of a calm run."""
    first, total = takeover.by_first, takeover.ledger
    again = total.tools - first.tools
    done = Counter(takeover.ended) + Counter(takeover.unknown)
    assert again == ledger.tools - done, (again, takeover.journal)
    if "three" in takeover.unknown and "inner 0" in ledger.models:
        return  # whose error would have ended its agent
    left = ledger.models.total() - len(takeover.entries(ResponseEntry))
    assert total.models.total() == first.models.total() + left, (total.models, takeover.journal)
    assert len(takeover.outcome.history) == len(calm.history)
    for item, expected in zip(takeover.outcome.history, calm.history, strict=True):
        if item.get("call_id") in takeover.unknown_calls and "output" in item:
            assert OUTCOME_UNKNOWN in json.dumps(item["output"], ensure_ascii=False)
        else:
            assert item == expected
    assert (takeover.outcome.events, takeover.outcome.deltas) == (calm.events, calm.deltas)
    assert usage(takeover.outcome) == usage(calm)
    assert takeover.outcome.turn.usage == calm.turn.usage
    assert takeover.outcome.turn.attempt > 1
    assert kinds(takeover.outcome) == kinds(calm)
    if not takeover.unknown:
        assert takeover.outcome.result.final_output == calm.result.final_output
