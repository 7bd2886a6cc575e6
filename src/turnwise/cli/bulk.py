"""Verbs that end something: for ids, or for all that filters find. Asked first, told one by one."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Annotated, Protocol, TypeVar

import typer

from turnwise.cli.output import Format, print_json
from turnwise.errors import StoreUnavailable, TurnwiseError
from turnwise.printable import printable

DryRun = Annotated[bool, typer.Option("--dry-run", help="Only say what would be done.")]
Yes = Annotated[bool, typer.Option("--yes", help="Do not ask.")]


class HasId(Protocol):
    """What a verb is about."""

    @property
    def id(self) -> str:
        """Its id."""


Target = TypeVar("Target", bound=HasId)


@dataclass(frozen=True)
class Outcome:
    """What became of one target."""

    id: str
    outcome: str
    error: str | None = None


@dataclass(frozen=True)
class How:
    """How such a verb is carried out, and told of."""

    dry_run: bool
    yes: bool
    output: Format

    def goes_on(self, verb: str, done: str, noun: str, ids: Sequence[str]) -> bool:
        """Ask a person, who may refuse: exit status 1. A dry run tells what would be done."""
        if self.dry_run:
            _tell([Outcome(each, f"would be {done}") for each in ids], self.output)
            return False
        if ids and not self.yes:
            shown = printable(ids[0]) if len(ids) == 1 else f"{len(ids)} {noun}"
            typer.confirm(f"{verb} {shown}?", abort=True, err=True)
        return True


async def carry_out(
    targets: Sequence[Target], act: Callable[[Target], Awaitable[str]], output: Format
) -> None:
    """Do it to each. What one is refused does not keep the others; then the exit status is 1."""
    outcomes: list[Outcome] = []
    for target in targets:
        try:
            outcomes.append(Outcome(target.id, await act(target)))
        except TurnwiseError as error:
            outcomes.append(Outcome(target.id, "failed", str(error)))
            if isinstance(error, StoreUnavailable):
                break  # the others would fail too, each after its timeouts
    _tell(outcomes, output)
    if left := len(targets) - len(outcomes):
        typer.echo(f"turnwise: {left} more were not tried", err=True)
    if any(each.error for each in outcomes):
        raise typer.Exit(1)


def _tell(outcomes: Sequence[Outcome], output: Format) -> None:
    """As lines for people, with errors on standard error; else as JSON."""
    if output != Format.TABLE:
        print_json(outcomes, output)
        return
    for each in outcomes:
        if each.error:
            typer.echo(f"turnwise: {printable(each.error)}", err=True)
        else:
            typer.echo(f"{each.outcome}: {printable(each.id)}")
