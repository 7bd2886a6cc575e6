"""When a run may use the cache's own items, and how its caller is kept from changing them.

A run that gets copies decodes its whole history again, which costs 5 to 10 % of the run.

The SDK's loop copies items before it changes or shows them, with few exceptions: the run's input,
history included, is passed uncopied to input guardrails, handoff filters and error handlers, and
is part of the result and of the SDK's exceptions.
"""

from __future__ import annotations

from collections.abc import Mapping
from copy import deepcopy
from typing import Any

from agents import Agent, RunResult, RunState
from agents.exceptions import RunErrorDetails

_SHOWN_TO = ("input_guardrails", "handoff_input_filter", "sandbox")


def may_share(agent: Agent[Any], input: object, options: Mapping[str, Any]) -> bool:
    """Whether nothing but the SDK's loop sees the history before the run has ended."""
    config = options.get("run_config") or {}
    settings = config if isinstance(config, Mapping) else vars(config)
    return not (
        isinstance(input, RunState)
        or agent.handoffs
        or agent.input_guardrails
        or options.get("error_handlers")
        or any(settings.get(name) for name in _SHOWN_TO)
    )


def _own_input(result: RunResult) -> Any:
    fields = result.__dict__
    if "_own_input" not in fields:
        fields["_own_input"] = deepcopy(fields["input"])
    return fields["_own_input"]


def _set_input(result: RunResult, value: Any) -> None:
    result.__dict__["input"] = result.__dict__["_own_input"] = value


class TurnResult(RunResult):
    """The SDK's result of a run that used the cache's own items: it shows copies of them."""

    input = property(_own_input, _set_input)


def keep_from_caller(details: RunErrorDetails | None) -> None:
    """Replace the input in the details of a failed run by a copy."""
    if details is not None:
        details.input = deepcopy(details.input)
