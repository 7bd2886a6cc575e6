"""`turnwise workers`: the processes that run messages, and what they are told."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Annotated

import typer

from turnwise.cli.bulk import DryRun, How, Yes, carry_out
from turnwise.cli.options import PREFIX, By, KeyPrefix, Reason, Url, with_sessions
from turnwise.cli.output import Columns, Format, Output, age, at, show
from turnwise.session import Session
from turnwise.types import WorkerInfo

app = typer.Typer(help="See the background workers, and tell them.", no_args_is_help=True)
_Names = Annotated[list[str], typer.Argument(help="As `list` shows them.", metavar="WORKER")]


@app.callback()
def workers() -> None:
    """See the background workers, and tell them what to do."""


@app.command("list")
def list_(url: Url, output: Output = Format.TABLE, key_prefix: KeyPrefix = PREFIX) -> None:
    """Show the background workers, also those that died less than a day ago."""

    async def act(session: Session) -> None:
        show(await session.workers(), _COLUMNS, output)

    with_sessions(act, url, key_prefix)


@app.command()
def quiet(
    names: _Names,
    url: Url,
    reason: Reason = None,
    by: By = None,
    output: Output = Format.TABLE,
    key_prefix: KeyPrefix = PREFIX,
) -> None:
    """Let workers take nothing new; their running turns go on. They hear it in five seconds."""

    async def act(session: Session, name: str) -> None:
        await session.quiet_worker(name, reason=reason, by=by)

    _tell(names, ("Quiet", "quiet"), act, How(False, True, output), url, key_prefix)


@app.command()
def resume(
    names: _Names,
    url: Url,
    reason: Reason = None,
    by: By = None,
    output: Output = Format.TABLE,
    key_prefix: KeyPrefix = PREFIX,
) -> None:
    """Let quiet workers take messages again."""

    async def act(session: Session, name: str) -> None:
        await session.resume_worker(name, reason=reason, by=by)

    _tell(names, ("Resume", "resumed"), act, How(False, True, output), url, key_prefix)


@app.command()
def stop(
    names: _Names,
    url: Url,
    dry_run: DryRun = False,
    yes: Yes = False,
    reason: Reason = None,
    by: By = None,
    output: Output = Format.TABLE,
    key_prefix: KeyPrefix = PREFIX,
) -> None:
    """Let workers stop, as SIGTERM does. What started them may start them again."""

    async def act(session: Session, name: str) -> None:
        await session.stop_worker(name, reason=reason, by=by)

    _tell(names, ("Stop", "told to stop"), act, How(dry_run, yes, output), url, key_prefix)


@dataclass(frozen=True)
class _Target:
    id: str


def _tell(
    names: list[str],
    words: tuple[str, str],
    act: Callable[[Session, str], Awaitable[None]],
    how: How,
    url: str,
    key_prefix: str,
) -> None:
    if not how.goes_on(*words, "workers", names):
        return

    async def each(session: Session) -> None:
        async def tell(target: _Target) -> str:
            await act(session, target.id)
            return words[1]

        await carry_out([_Target(name) for name in dict.fromkeys(names)], tell, how.output)

    with_sessions(each, url, key_prefix)


_COLUMNS: Columns[WorkerInfo] = {
    "WORKER": lambda worker: worker.name,
    "STATE": lambda worker: worker.state,
    "HEARTBEAT": lambda worker: f"{age(worker.silent_for)} ago",
    "BUSY": lambda worker: f"{worker.active}/{worker.concurrency}",
    "AGENTS": lambda worker: ", ".join(worker.agents),
    "HOLDS": lambda worker: ", ".join(turn.session_id for turn in worker.turns),
    "VERSION": lambda worker: worker.version,
    "STARTED": lambda worker: at(worker.started_at),
}
