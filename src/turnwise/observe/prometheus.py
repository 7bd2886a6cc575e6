"""What happens to turns, as Prometheus metrics."""

from __future__ import annotations

from collections import Counter as Counts
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import get_args

from prometheus_client import (
    CONTENT_TYPE_LATEST,
    REGISTRY,
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    generate_latest,
)
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from turnwise.hooks import (
    StepReplayedEvent,
    TurnBegunEvent,
    TurnCancelledEvent,
    TurnCommittedEvent,
    TurnEndEvent,
    TurnEvent,
    TurnQueuedEvent,
    TurnRefusedEvent,
    TurnSubmittedEvent,
    WebhookGivenUpEvent,
)
from turnwise.observe.names import OUTCOMES, bounded, reason_of
from turnwise.types import SessionCounts, SessionState, Unclaimed, WorkerInfo

CONTENT_TYPE = CONTENT_TYPE_LATEST
_SECONDS = (0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 600, 1800)
_WAITED = (0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1, 5, 10, 30, 60, 300)
_ITEMS = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000)
_HISTORY = (0, 1, 10, 30, 100, 300, 1000, 3000, 10_000, 100_000)
_BYTES = tuple(4**power for power in range(4, 14))


def exposition(registry: CollectorRegistry = REGISTRY) -> bytes:
    """All metrics of a registry as Prometheus reads them, of the type CONTENT_TYPE."""
    return generate_latest(registry)


class TurnMetrics:
    """A hook that counts and measures turns.

    One object serves any number of sessions of a process; a registry takes only one. No label holds
    a session, a turn or a tool, so the number of time series is bounded.

    Args:
        registry: Where the metrics are registered; by default prometheus_client's own.
    """

    def __init__(self, registry: CollectorRegistry = REGISTRY) -> None:
        self._registry = registry
        self._running = _OpenTurns(
            self._gauge("turns_running", "Turns that this process runs now.")
        )
        self._waiting = _OpenTurns(
            self._gauge(
                "turns_waiting", "Callers of this process that wait in a session's queue now."
            )
        )
        self._turns = self._counter(
            "turns",
            "Turns that ended in this process, by how and why.",
            ("outcome", "reason"),
        )
        self._refusals = self._counter(
            "refusals", "Turns that did not begin, by the error's type.", ("reason",)
        )
        self._takeovers = self._counter(
            "takeovers", "Turns that this process took over from a dead worker."
        )
        self._reloads = self._counter(
            "history_reloads", "Turns whose history had to be read by calls of its own."
        )
        self._replayed = self._counter(
            "replayed_steps", "Steps answered from the journal instead of running again.", ("step",)
        )
        self._submitted = self._counter(
            "messages_submitted", "Messages accepted for background workers."
        )
        self._webhooks_given_up = self._counter(
            "webhooks_given_up", "Webhooks that were never accepted."
        )
        self._seconds = self._histogram(
            "turn_seconds", "Seconds from a turn's begin to its end.", _SECONDS, ("outcome",)
        )
        for outcome in OUTCOMES.values():  # from 0 on, so that the first one is an increase
            self._seconds.labels(outcome)
        self._waited = self._histogram(
            "wait_seconds",
            "Seconds in a session's queue, whether or not the turn began then.",
            _WAITED,
        )
        self._items = self._histogram(
            "turn_items", "Items that a turn added to the history.", _ITEMS
        )
        self._bytes = self._histogram("turn_bytes", "Size of a turn's items as stored.", _BYTES)
        self._history = self._histogram(
            "history_items", "Items in the history when a turn begins.", _HISTORY
        )

    def __call__(self, event: TurnEvent, /) -> None:
        if isinstance(event, TurnBegunEvent):
            self._begun(event)
        elif isinstance(event, TurnEndEvent):
            self._ended(event)
        elif isinstance(event, TurnQueuedEvent):
            self._waiting.enter(event)
        elif isinstance(event, TurnRefusedEvent):
            self._left_queue(event)
            self._refusals.labels(bounded(event.reason)).inc()
        elif isinstance(event, StepReplayedEvent):
            self._replayed.labels(event.step).inc()
        elif isinstance(event, TurnSubmittedEvent):
            self._submitted.inc()
        elif isinstance(event, WebhookGivenUpEvent):
            self._webhooks_given_up.inc()

    def _begun(self, event: TurnBegunEvent) -> None:
        self._left_queue(event)
        self._running.enter(event)
        self._history.observe(event.items)
        if event.taken_over:
            self._takeovers.inc()
        if event.reloaded:
            self._reloads.inc()

    def _ended(self, event: TurnEndEvent) -> None:
        self._running.leave(event)
        outcome = OUTCOMES[type(event)]
        self._turns.labels(outcome, bounded(reason_of(event))).inc()
        self._seconds.labels(outcome).observe(event.seconds)
        if isinstance(event, TurnCommittedEvent | TurnCancelledEvent):
            self._items.observe(event.items)
            self._bytes.observe(event.bytes)

    def _left_queue(self, event: TurnBegunEvent | TurnRefusedEvent) -> None:
        self._waiting.leave(event)
        if event.waited:
            self._waited.observe(event.waited)

    def _counter(self, name: str, text: str, labels: tuple[str, ...] = ()) -> Counter:
        return Counter(f"turnwise_{name}", text, labels, registry=self._registry)

    def _histogram(
        self, name: str, text: str, buckets: tuple[float, ...], labels: tuple[str, ...] = ()
    ) -> Histogram:
        return Histogram(f"turnwise_{name}", text, labels, buckets=buckets, registry=self._registry)

    def _gauge(self, name: str, text: str) -> Gauge:
        """If several processes share a registry, the sum over the live ones."""
        return Gauge(f"turnwise_{name}", text, registry=self._registry, multiprocess_mode="livesum")


@dataclass(frozen=True)
class FleetFigures:
    """What the store tells at a scrape.

    Attributes:
        workers: The background workers of the last day.
        unclaimed: What no worker has claimed.
        pauses: How many are in force.
        dead_letters: How many there are.
        sessions: What was counted last; None before the first count.
    """

    workers: Sequence[WorkerInfo]
    unclaimed: Unclaimed
    pauses: int = 0
    dead_letters: int = 0
    sessions: SessionCounts | None = None


class FleetMetrics(Collector):
    """What all processes of a store do, as the store last told. Every worker tells the same.

    Args:
        registry: Where the metrics are registered; by default prometheus_client's own.
    """

    def __init__(self, registry: CollectorRegistry = REGISTRY) -> None:
        self._told: FleetFigures | None = None
        registry.register(self)

    def show(self, told: FleetFigures) -> None:
        """The store has told this."""
        self._told = told

    def show_unreached(self) -> None:
        """The store does not answer: nothing is known but that."""
        self._told = None

    def collect(self) -> Iterator[Metric]:
        text = "Whether the store answered at this scrape."
        yield GaugeMetricFamily("turnwise_store_up", text, value=self._told is not None)
        if self._told is None:
            return
        workers, unclaimed = self._told.workers, self._told.unclaimed
        yield _workers(workers)
        alive = [worker for worker in workers if worker.alive]
        slots = sum(worker.concurrency for worker in alive)
        yield GaugeMetricFamily(
            "turnwise_worker_slots", "Sessions that workers alive can serve at once.", value=slots
        )
        used = sum(worker.active for worker in alive)
        yield GaugeMetricFamily(
            "turnwise_worker_slots_used", "Sessions that workers alive serve now.", value=used
        )
        yield GaugeMetricFamily(
            "turnwise_queue_unclaimed",
            "Messages that no worker has claimed; on SQLite sessions with such.",
            value=unclaimed.count,
        )
        yield GaugeMetricFamily(
            "turnwise_queue_oldest_seconds",
            "How long the oldest of them waits.",
            value=(unclaimed.oldest_ms or 0) / 1000,
        )
        text = "Pauses in force: of one agent each, or of all messages."
        yield GaugeMetricFamily("turnwise_queue_pauses", text, value=self._told.pauses)
        text = "Messages that failed for good, until somebody retries or deletes them."
        yield GaugeMetricFamily("turnwise_dead_letters", text, value=self._told.dead_letters)
        if self._told.sessions is not None:
            yield from _counted(self._told.sessions)


def _workers(workers: Sequence[WorkerInfo]) -> GaugeMetricFamily:
    states: Counts[str] = Counts(worker.state for worker in workers)
    known = ("alive", "quiet", "stopping", "silent")
    return _by_state("turnwise_workers", "Background workers.", known, states)


def _counted(sessions: SessionCounts) -> Iterator[GaugeMetricFamily]:
    text = "Sessions, as they were counted last; parked ones wait for approvals."
    yield _by_state("turnwise_sessions", text, get_args(SessionState), sessions.states)
    text = "How long the turn that waits longest for approvals has waited; 0 if none waits."
    oldest = sessions.oldest_approval or 0
    yield GaugeMetricFamily("turnwise_approvals_oldest_seconds", text, value=oldest)
    text = "How long ago the sessions were counted."
    yield GaugeMetricFamily("turnwise_sessions_counted_seconds", text, value=sessions.age)


def _by_state(
    name: str, text: str, states: Sequence[str], counts: Mapping[str, int]
) -> GaugeMetricFamily:
    """One series for each state, also for those that nothing is in."""
    family = GaugeMetricFamily(name, text, labels=["state"])
    for state in states:
        family.add_metric([state], counts.get(state, 0))
    return family


class _OpenTurns:
    """A gauge of turns that have entered and not left. Leaving without having entered counts 0."""

    def __init__(self, gauge: Gauge) -> None:
        self._gauge = gauge
        self._entered: Counts[tuple[str, str]] = Counts()

    def enter(self, event: TurnEvent) -> None:
        self._entered[event.session_id, event.turn_id] += 1
        self._gauge.inc()

    def leave(self, event: TurnEvent) -> None:
        key = event.session_id, event.turn_id
        if self._entered[key] > 0:
            self._gauge.dec()
        self._entered[key] -= 1
        if self._entered[key] <= 0:
            del self._entered[key]
