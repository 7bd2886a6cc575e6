"""What operators see of all processes and sessions: the workers, the sessions, what is stuck."""

from turnwise.fleet.workers import Heartbeat, list_workers

__all__ = ["Heartbeat", "list_workers"]
