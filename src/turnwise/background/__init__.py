"""Background turns: messages in sessions' queues, their receipts, and what runs them."""

from turnwise.background.dead_letters import (
    DeadLetter,
    delete_dead_letter,
    find_dead_letter,
    list_dead_letters,
    require_dead_letter,
    retry_dead_letter,
    stopped_sessions,
)
from turnwise.background.event_publisher import ResumedEvents
from turnwise.background.message import Message
from turnwise.background.policy import Agents, Policy
from turnwise.background.processor import Processor, Visit
from turnwise.background.receipt import Receipt, Status, status_of
from turnwise.background.submit import encoded_message, submit
from turnwise.stores.event_log import parse_event_id

__all__ = [
    "Agents",
    "DeadLetter",
    "Message",
    "Policy",
    "Processor",
    "Receipt",
    "ResumedEvents",
    "Status",
    "Visit",
    "delete_dead_letter",
    "encoded_message",
    "find_dead_letter",
    "list_dead_letters",
    "parse_event_id",
    "require_dead_letter",
    "retry_dead_letter",
    "status_of",
    "stopped_sessions",
    "submit",
]
