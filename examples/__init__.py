"""Runnable examples. Each works without an API key, and uses one if it is set."""
