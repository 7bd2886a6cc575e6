"""Background turns: messages that wait for a worker, receipts for them, and their running."""

from turnwise.background.going_on import GoingOn
from turnwise.background.letters import DeadLetter, all_stopped, drop, listed, retry
from turnwise.background.message import Message
from turnwise.background.receipt import Receipt, Status, status_of
from turnwise.background.running import Agents, Policy, Running, Visit
from turnwise.background.sending import checked, submit

__all__ = [
    "Agents",
    "DeadLetter",
    "GoingOn",
    "Message",
    "Policy",
    "Receipt",
    "Running",
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
