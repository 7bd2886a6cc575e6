"""One suite for every store: `turnwise.contracts` as tests.

A store inherits it and brings one fixture:

    class TestMyStore(StoreConformance):
        @pytest.fixture
        async def lab(self) -> AsyncIterator[Lab]:
            yield MyLab()

The tests are coroutines: run them with pytest-asyncio in its auto mode.
"""

from turnwise.testing.conformance.audit import AuditConformance
from turnwise.testing.conformance.background import BackgroundConformance
from turnwise.testing.conformance.cancel import CancelConformance
from turnwise.testing.conformance.concurrency import ConcurrencyConformance
from turnwise.testing.conformance.dead_letters import DeadLettersConformance
from turnwise.testing.conformance.events import EventsConformance
from turnwise.testing.conformance.expiry import ExpiryConformance
from turnwise.testing.conformance.history import HistoryConformance
from turnwise.testing.conformance.journal import JournalConformance
from turnwise.testing.conformance.lab import Lab
from turnwise.testing.conformance.lease import LeaseConformance
from turnwise.testing.conformance.listing import ListingConformance
from turnwise.testing.conformance.operators import OperatorsConformance
from turnwise.testing.conformance.owners import OwnersConformance
from turnwise.testing.conformance.queue import QueueConformance
from turnwise.testing.conformance.random_calls import RandomCallsConformance
from turnwise.testing.conformance.reasons import ReasonsConformance
from turnwise.testing.conformance.registry import RegistryConformance
from turnwise.testing.conformance.release import ForcedReleaseConformance, ReleaseConformance
from turnwise.testing.conformance.restore import RestoreConformance
from turnwise.testing.conformance.retries import RetriesConformance
from turnwise.testing.conformance.status import StatusConformance
from turnwise.testing.conformance.stopped import StoppedConformance
from turnwise.testing.conformance.wake_ups import WakeUpsConformance

__all__ = ["Lab", "StoreConformance"]


class StoreConformance(
    HistoryConformance,
    LeaseConformance,
    JournalConformance,
    QueueConformance,
    CancelConformance,
    ReleaseConformance,
    ForcedReleaseConformance,
    StatusConformance,
    DeadLettersConformance,
    ReasonsConformance,
    StoppedConformance,
    WakeUpsConformance,
    BackgroundConformance,
    RetriesConformance,
    EventsConformance,
    ExpiryConformance,
    OperatorsConformance,
    ListingConformance,
    OwnersConformance,
    RegistryConformance,
    AuditConformance,
    RestoreConformance,
    ConcurrencyConformance,
    RandomCallsConformance,
):
    """All of it."""
