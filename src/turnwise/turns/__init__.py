"""A turn's life, and changes between turns; everything below the Agents SDK's own types."""

from turnwise.turns.acquire import BusyPolicy, check_busy, finished_turn_error
from turnwise.turns.block import OnError, block, check_on_error, end
from turnwise.turns.cancel import GRACE, cancel, make_way
from turnwise.turns.errors import busy as session_busy
from turnwise.turns.errors import queue_full
from turnwise.turns.errors import waiting as session_waiting
from turnwise.turns.expiry import NOT_APPROVED, is_over
from turnwise.turns.ids import check_session_id, check_turn_id, mint
from turnwise.turns.messages import MessageTurn, next_turn
from turnwise.turns.open import begin_turn, begin_turn_if_free
from turnwise.turns.operations import add_items, clear_items, pop_item
from turnwise.turns.parking import Parking
from turnwise.turns.runtime import Runtime, default_worker_name
from turnwise.turns.settings import Settings, check_number
from turnwise.turns.shielding import resend_if_cancelled, shielded
from turnwise.turns.stopped import reason_in
from turnwise.turns.turn import Turn
from turnwise.turns.wait import POLL_INTERVAL, Backoff, TurnEndWaiter
from turnwise.turns.waiting import can_park

__all__ = [
    "GRACE",
    "NOT_APPROVED",
    "POLL_INTERVAL",
    "Backoff",
    "BusyPolicy",
    "MessageTurn",
    "OnError",
    "Parking",
    "Runtime",
    "Settings",
    "Turn",
    "TurnEndWaiter",
    "add_items",
    "begin_turn",
    "begin_turn_if_free",
    "block",
    "can_park",
    "cancel",
    "check_busy",
    "check_number",
    "check_on_error",
    "check_session_id",
    "check_turn_id",
    "clear_items",
    "default_worker_name",
    "end",
    "finished_turn_error",
    "is_over",
    "make_way",
    "mint",
    "next_turn",
    "pop_item",
    "queue_full",
    "reason_in",
    "resend_if_cancelled",
    "session_busy",
    "session_waiting",
    "shielded",
]
