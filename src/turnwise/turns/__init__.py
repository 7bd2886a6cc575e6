"""A turn's life, and changes between turns; everything below the Agents SDK's own types."""

from turnwise.turns.begin import Busyness
from turnwise.turns.block import OnError, block, check_on_error, end
from turnwise.turns.equipment import worker_name
from turnwise.turns.ids import check_session_id
from turnwise.turns.parking import Parking
from turnwise.turns.settings import Settings, check_number
from turnwise.turns.turn import Turn
from turnwise.turns.worker import Worker

__all__ = [
    "Busyness",
    "OnError",
    "Parking",
    "Settings",
    "Turn",
    "Worker",
    "block",
    "check_number",
    "check_on_error",
    "check_session_id",
    "end",
    "worker_name",
]
