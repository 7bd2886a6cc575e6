"""A turn's life, and changes between turns; everything below the Agents SDK's own types."""

from turnwise.turns.begin import Busyness, check_busy, finished_error
from turnwise.turns.block import OnError, block, check_on_error, end
from turnwise.turns.cancel import GRACE, cancel, make_way
from turnwise.turns.ending import LOOK, Ending, Pauses
from turnwise.turns.equipment import worker_name
from turnwise.turns.expiry import NOT_APPROVED, is_over
from turnwise.turns.ids import check_session_id, check_turn_id, mint
from turnwise.turns.messages import MessageTurn, next_turn
from turnwise.turns.parking import Parking
from turnwise.turns.refusals import busy as session_busy
from turnwise.turns.refusals import queue_full
from turnwise.turns.refusals import waiting as session_waiting
from turnwise.turns.settings import Settings, check_number
from turnwise.turns.shield import settled, to_the_end
from turnwise.turns.stopped import reason_in
from turnwise.turns.turn import Turn
from turnwise.turns.worker import Worker

__all__ = [
    "GRACE",
    "LOOK",
    "NOT_APPROVED",
    "Busyness",
    "Ending",
    "MessageTurn",
    "OnError",
    "Parking",
    "Pauses",
    "Settings",
    "Turn",
    "Worker",
    "block",
    "cancel",
    "check_busy",
    "check_number",
    "check_on_error",
    "check_session_id",
    "check_turn_id",
    "end",
    "finished_error",
    "is_over",
    "make_way",
    "mint",
    "next_turn",
    "queue_full",
    "reason_in",
    "session_busy",
    "session_waiting",
    "settled",
    "to_the_end",
    "worker_name",
]
