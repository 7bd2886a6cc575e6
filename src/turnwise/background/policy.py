"""How queued messages are run: by which agents, how often, and what a failure means."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from agents import Agent

from turnwise.background.message import Message
from turnwise.errors import NotResumable, ReplayMismatch, UnknownAgent, UsageError
from turnwise.turns import Company, check_number

Agents = Mapping[str, Agent[Any]] | Iterable[Agent[Any]] | Agent[Any]

MAX_BACKOFF = 60.0


UNFIT: tuple[type[BaseException], ...] = (UnknownAgent, ReplayMismatch, NotResumable)
"""Errors that a worker of another version may not run into."""
_RUN_OPTIONS = ("context", "max_turns", "hooks", "run_config", "error_handlers")


@dataclass(frozen=True)
class Policy:
    """How queued messages are run.

    Attributes:
        max_attempts: A message that failed so many times becomes a dead letter (3). So does one
            whose workers died so many times, and at least twice, if the last of them ran nothing
            else. An attempt that was released gracefully counts neither way.
        deploy_timeout: Seconds for which a message whose agent or tools this worker lacks goes back
            to the queue, uncounted, for workers that have them (300): as long as workers of two
            versions may run side by side. After that its attempts count.
        backoff: Seconds between the first failed attempt and the next (1). Doubles with each
            failure, up to 60 seconds.
        on_dead: What the session does after a dead letter: run its "next" message (the default), or
            "stop" until the dead letter is retried or deleted.
        turns_per_visit: How many turns of one session a worker runs before other sessions get
            their chance (8).
        context: Makes a run's context from its message. None (the default): no context.
        run_options: Arguments for the SDK's `Runner.run_streamed`, `max_turns` for example.
    """

    max_attempts: int = 3
    deploy_timeout: float = 300.0
    backoff: float = 1.0
    on_dead: Literal["next", "stop"] = "next"
    turns_per_visit: int = 8
    context: Callable[[Message], Any] | None = None
    run_options: Mapping[str, Any] = field(default_factory=dict)

    @property
    def max_deaths(self) -> int:
        """After so many deaths of its workers a message is given up, if it ran alone."""
        return max(2, self.max_attempts)

    def company(self, deaths: int) -> Company:
        """What a message may run beside whose workers died so many times."""
        if deaths == 0:
            return "any"
        return "few" if deaths + 1 < self.max_deaths else "none"

    def deaths_in(self, company: Company) -> int | None:
        """The most deaths of a message that may run in this company; None for any number."""
        return {"any": 0, "few": self.max_deaths - 2, "none": None}[company]

    def __post_init__(self) -> None:
        check_number("max_attempts", self.max_attempts, least=1)
        check_number("backoff", self.backoff)
        check_number("turns_per_visit", self.turns_per_visit, least=1)
        if self.on_dead not in ("next", "stop"):
            raise UsageError(f"on_dead={self.on_dead!r} is not one of 'next', 'stop'")
        if self.context is not None and not callable(self.context):
            raise UsageError(f"context={self.context!r} cannot be called with a message")
        if unknown := sorted(set(self.run_options) - set(_RUN_OPTIONS)):
            raise UsageError(
                f"run_options: {', '.join(unknown)}. A message's run takes: "
                f"{', '.join(_RUN_OPTIONS)}"
            )

    def backoff_after(self, failures: int) -> float:
        """Seconds to wait after so many failed attempts; there was one at least."""
        return min(MAX_BACKOFF, float(self.backoff * 2 ** (failures - 1)))


def agents_by_name(agents: Agents) -> dict[str, Agent[Any]]:
    """Agents by the names that messages call them. Raises UsageError."""
    if isinstance(agents, Mapping):
        known = dict(agents)
    elif isinstance(agents, str):
        known = {}
    else:
        given = list(agents) if isinstance(agents, Iterable) else [agents]
        known = {getattr(agent, "name", ""): agent for agent in given}
        if any(known[getattr(agent, "name", "")] is not agent for agent in given):
            names = ", ".join(repr(getattr(agent, "name", "")) for agent in given)
            raise UsageError(
                f"agents: two of {names} have one name, and a message names its agent. Name them "
                "apart, or pass a mapping from names to agents"
            )
    if not known or not all(isinstance(agent, Agent) for agent in known.values()):
        raise UsageError(
            "agents must be agents of the SDK: one, several, or a mapping from names to agents"
        )
    return known
