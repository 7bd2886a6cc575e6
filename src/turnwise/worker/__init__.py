"""Background workers: they run the messages in sessions' queues, many sessions at a time."""

from turnwise.worker.worker import Worker

__all__ = ["Worker"]
