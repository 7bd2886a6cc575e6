"""A turn's life, and changes between turns; everything below the Agents SDK's own types."""

from turnwise.turns.acquire import BusyPolicy, check_busy, finished_turn_error
from turnwise.turns.approval_timeout import NOT_APPROVED, end_if_expired, is_expired
from turnwise.turns.begin import begin_turn, next_turn
from turnwise.turns.block import block
from turnwise.turns.buffer import Savepoint
from turnwise.turns.cancel import GRACE, cancel, checked_reason, make_way
from turnwise.turns.cancelled import reason_in
from turnwise.turns.changes import add_items, clear_items, pop_item
from turnwise.turns.ends import end, end_interrupted
from turnwise.turns.errors import busy as session_busy
from turnwise.turns.errors import queue_full, session_too_large, unknown_change
from turnwise.turns.errors import suspended as session_suspended
from turnwise.turns.errors import taken as session_taken
from turnwise.turns.failures import OnError, check_on_error, failure, is_lasting
from turnwise.turns.ids import check_session_id, check_turn_id, mint
from turnwise.turns.isolation import ANY_COMPANY, Company
from turnwise.turns.listing import all_sessions, pages, session_ids
from turnwise.turns.outcomes import (
    Cancel,
    Commit,
    DeadLetter,
    Outcome,
    Park,
    Release,
    RollBack,
    StayParked,
    Stop,
)
from turnwise.turns.own_turn import refuse_to_wait_for_own_turn
from turnwise.turns.runtime import Runtime, default_worker_name
from turnwise.turns.settings import Settings, check_count, check_number, ttl_ms
from turnwise.turns.shielding import (
    is_cancelled,
    resend_if_cancelled,
    result_of,
    shielded,
    until_done,
)
from turnwise.turns.standing import standing
from turnwise.turns.turn import Turn
from turnwise.turns.turn_end import MAX_POLL_INTERVAL, POLL_INTERVAL, Backoff, TurnEndWaiter

__all__ = [
    "ANY_COMPANY",
    "GRACE",
    "MAX_POLL_INTERVAL",
    "NOT_APPROVED",
    "POLL_INTERVAL",
    "Backoff",
    "BusyPolicy",
    "Cancel",
    "Commit",
    "Company",
    "DeadLetter",
    "OnError",
    "Outcome",
    "Park",
    "Release",
    "RollBack",
    "Runtime",
    "Savepoint",
    "Settings",
    "StayParked",
    "Stop",
    "Turn",
    "TurnEndWaiter",
    "add_items",
    "all_sessions",
    "begin_turn",
    "block",
    "cancel",
    "check_busy",
    "check_count",
    "check_number",
    "check_on_error",
    "check_session_id",
    "check_turn_id",
    "checked_reason",
    "clear_items",
    "default_worker_name",
    "end",
    "end_if_expired",
    "end_interrupted",
    "failure",
    "finished_turn_error",
    "is_cancelled",
    "is_expired",
    "is_lasting",
    "make_way",
    "mint",
    "next_turn",
    "pages",
    "pop_item",
    "queue_full",
    "reason_in",
    "refuse_to_wait_for_own_turn",
    "resend_if_cancelled",
    "result_of",
    "session_busy",
    "session_ids",
    "session_suspended",
    "session_taken",
    "session_too_large",
    "shielded",
    "standing",
    "ttl_ms",
    "unknown_change",
    "until_done",
]
