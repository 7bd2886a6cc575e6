"""Background workers: they run the messages that wait in sessions, many sessions at a time."""

from turnwise.worker.worker import Worker

__all__ = ["Worker"]
