"""The part of the suite that another kind of connection can break."""

from __future__ import annotations

from turnwise.testing.conformance.background import BackgroundConformance
from turnwise.testing.conformance.cancel import CancelConformance
from turnwise.testing.conformance.concurrency import ConcurrencyConformance
from turnwise.testing.conformance.events import EventsConformance
from turnwise.testing.conformance.history import HistoryConformance
from turnwise.testing.conformance.operators import OperatorsConformance
from turnwise.testing.conformance.queue import QueueConformance


class ConnectionConformance(
    HistoryConformance,
    QueueConformance,
    CancelConformance,
    BackgroundConformance,
    EventsConformance,
    OperatorsConformance,
    ConcurrencyConformance,
):
    """All that large answers, wake-ups, blocking reads and scans carry over the connection.

    Leases, journals, expiry and calls by chance are left out: they are decided by the same scripts
    on the same server, which run in full over a plain connection. What this cannot see is a fault
    of such a script that shows only over this kind of connection.
    """
