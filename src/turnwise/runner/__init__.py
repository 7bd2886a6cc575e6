"""One run of the Agents SDK is one turn of a session."""

from turnwise.runner.runner import Runner

__all__ = ["Runner"]
