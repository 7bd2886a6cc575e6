"""Background turns: messages that wait for a worker, receipts for them, and their running."""

from turnwise.background.dead_letters import DeadLetter, all_stopped, drop, listed, retry
from turnwise.background.message import Message
from turnwise.background.processor import Agents, Policy, Processor, Visit
from turnwise.background.receipt import Receipt, Status, status_of
from turnwise.background.resumed_events import ResumedEvents
from turnwise.background.submit import checked, submit

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
    "all_stopped",
    "checked",
    "drop",
    "listed",
    "retry",
    "status_of",
    "submit",
]
