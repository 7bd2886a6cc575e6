"""Durable runs: what a run finished before its worker died is not done again."""

from turnwise.durable.agent_runner import install
from turnwise.durable.context import input_of_beginning_run
from turnwise.durable.inputs import (
    agent_name,
    check_agent,
    check_options,
    checked_input,
    checked_items,
)
from turnwise.durable.keys import idempotency_key, repeatable
from turnwise.durable.responses import to_json
from turnwise.durable.sdk_sessions import is_bookkeeping
from turnwise.durable.turn import DurableTurn, HoldsTurn

__all__ = [
    "DurableTurn",
    "HoldsTurn",
    "agent_name",
    "check_agent",
    "check_options",
    "checked_input",
    "checked_items",
    "idempotency_key",
    "input_of_beginning_run",
    "install",
    "is_bookkeeping",
    "repeatable",
    "to_json",
]
