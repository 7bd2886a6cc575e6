"""Options of the commands that run turns: how a message is run, and what the store may hold."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Annotated, Any, Literal

import typer

from turnwise.background import Policy
from turnwise.cli.logs import LogFormat, LogLevel
from turnwise.connect.settings import Options
from turnwise.hooks import Hook
from turnwise.limits import Limits
from turnwise.turns import Settings

POLICY, LIMITS, SETTINGS = Policy(), Limits(), Settings()
"""The defaults."""

RUNS, MESSAGES, PROCESS = "Runs", "Messages", "Process"
HISTORY, EVENTS = "Sessions, as the other processes have them", "Events"


def option(panel: str, help: str, metavar: str | None = None, **settings: Any) -> Any:
    """An option of a command, shown in a panel of its help."""
    return typer.Option(help=help, metavar=metavar, rich_help_panel=panel, **settings)


AgentsArgument = Annotated[
    str,
    typer.Argument(
        help="module:name of one agent, several, or a mapping from names to agents.",
        metavar="MODULE:NAME",
        envvar="TURNWISE_AGENTS",
    ),
]


@dataclass(frozen=True)
class RunOptions:
    """What each command takes that runs turns."""

    lease: Annotated[
        float, option(RUNS, "How long a worker that no longer answers keeps its turns.", "SECONDS")
    ] = SETTINGS.lease
    grace: Annotated[
        float,
        option(
            RUNS,
            "How long running turns may take to finish after SIGTERM; then other workers "
            "continue them.",
            "SECONDS",
        ),
    ] = 20.0
    limit: Annotated[
        int | None,
        option(RUNS, "How many of a session's last items a run is given.", show_default="all"),
    ] = None
    repeatable_tools: Annotated[
        list[str] | None,
        option(
            RUNS,
            "A tool that may run again after a worker died in it; as often as there are tools.",
            "TOOL",
        ),
    ] = None
    approval_timeout: Annotated[
        float | None,
        option(RUNS, "When pending approvals are rejected.", "SECONDS", show_default="never"),
    ] = None
    max_attempts: Annotated[
        int, option(MESSAGES, "Failed attempts after which a message is dead-lettered.", min=1)
    ] = POLICY.max_attempts
    backoff: Annotated[
        float,
        option(
            MESSAGES, "Pause after a first failed attempt; doubles each time, up to 60.", "SECONDS"
        ),
    ] = POLICY.backoff
    on_dead: Annotated[
        Literal["next", "stop"],
        option(MESSAGES, "After a dead letter its session runs the next message, or stops."),
    ] = POLICY.on_dead
    deploy_timeout: Annotated[
        float,
        option(MESSAGES, "How long a message waits for workers that know its agent.", "SECONDS"),
    ] = POLICY.deploy_timeout
    turns_per_visit: Annotated[
        int, option(MESSAGES, "Turns of one session before others get their chance.", min=1)
    ] = POLICY.turns_per_visit
    max_queue: Annotated[
        int, option(MESSAGES, "How many callers and messages may wait for one session.")
    ] = LIMITS.max_queue
    ttl: Annotated[
        float | None,
        option(
            HISTORY,
            "How long a session lives after its last change.",
            "SECONDS",
            show_default="for ever",
        ),
    ] = None
    retention: Annotated[
        float, option(HISTORY, "How long a finished turn_id is known.", "SECONDS")
    ] = LIMITS.retention_ms / 1000
    max_item_bytes: Annotated[int, option(HISTORY, "The largest item.", "BYTES")] = (
        SETTINGS.max_item_bytes
    )
    max_turn_bytes: Annotated[int, option(HISTORY, "All items of one turn.", "BYTES")] = (
        SETTINGS.max_turn_bytes
    )
    max_session_bytes: Annotated[
        int, option(HISTORY, "One session's history as stored.", "BYTES")
    ] = LIMITS.max_bytes
    compression: Annotated[bool, option(HISTORY, "Whether new items are compressed.")] = (
        SETTINGS.compression
    )
    cache_bytes: Annotated[
        int, option(HISTORY, "Decoded history that this process keeps.", "BYTES")
    ] = SETTINGS.cache_bytes
    events_ttl: Annotated[
        float, option(EVENTS, "How long events are kept after the last one.", "SECONDS")
    ] = LIMITS.events_ttl_ms / 1000
    max_events: Annotated[int, option(EVENTS, "How many events of one message are kept.")] = (
        LIMITS.max_events
    )
    max_event_bytes: Annotated[
        int, option(EVENTS, "All events of one attempt at a message.", "BYTES")
    ] = SETTINGS.max_event_bytes
    name: Annotated[
        str | None,
        option(PROCESS, "The worker's name.", show_default="host, process id and a mark"),
    ] = None
    hooks: Annotated[
        list[str] | None,
        option(
            PROCESS,
            "A function or class without arguments that makes a hook, or several; may come "
            "several times.",
            "MODULE:FACTORY",
        ),
    ] = None
    log_level: Annotated[LogLevel, option(PROCESS, "The least that is logged.")] = "info"
    log_format: Annotated[LogFormat, option(PROCESS, "For people, or JSON Lines.")] = "text"

    @property
    def policy(self) -> Policy:
        """What they say of messages."""
        return Policy(**self._of(Policy))

    def for_connect(self, hooks: list[Hook]) -> dict[str, Any]:
        """What they say of sessions: the options of `connect`."""
        own = {"worker": self.name, "limit": self.limit, "ttl": self.ttl, "hooks": hooks}
        return self._of(Options) | own

    def _of(self, kind: type[Any]) -> dict[str, Any]:
        """Those of which another class has a field of the same name."""
        return {
            each.name: getattr(self, each.name)
            for each in fields(self)
            if each.name in kind.__annotations__
        }
