"""What operators see of all processes and sessions, and do to them: workers, queues, the audit."""

from turnwise.fleet.actions import OperatorActions
from turnwise.fleet.approvals import WaitingApproval, waiting_approvals
from turnwise.fleet.audit import AuditRecord
from turnwise.fleet.census import SharedCensus
from turnwise.fleet.ended_turns import EndedTurn
from turnwise.fleet.heartbeat import Heartbeat
from turnwise.fleet.item_texts import ItemText, item_texts
from turnwise.fleet.listing import list_sessions
from turnwise.fleet.orders import Pause, Standing, pause_of
from turnwise.fleet.past_turns import PastTurn, past_turns
from turnwise.fleet.queues import QueuedEntry, queue_of
from turnwise.fleet.sdk_import import SDKSource
from turnwise.fleet.steps import Step
from turnwise.fleet.stuck import StuckSession, stuck_sessions
from turnwise.fleet.surveys import SessionStats
from turnwise.fleet.taking_over import ImportedSession
from turnwise.fleet.timeline import Timeline
from turnwise.fleet.workers import list_workers

__all__ = [
    "AuditRecord",
    "EndedTurn",
    "Heartbeat",
    "ImportedSession",
    "ItemText",
    "OperatorActions",
    "PastTurn",
    "Pause",
    "QueuedEntry",
    "SDKSource",
    "SessionStats",
    "SharedCensus",
    "Standing",
    "Step",
    "StuckSession",
    "Timeline",
    "WaitingApproval",
    "item_texts",
    "list_sessions",
    "list_workers",
    "past_turns",
    "pause_of",
    "queue_of",
    "stuck_sessions",
    "waiting_approvals",
]
