"""Verbs that change something: asked about where they end something, then told one by one."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Annotated, Protocol, TypedDict, TypeVar

import typer

from turnwise.cli.options import Looking
from turnwise.cli.output import Format, print_json, progress
from turnwise.errors import StoreUnavailable, TurnwiseError
from turnwise.printable import printable
from turnwise.session import Session


class HasId(Protocol):
    """What a verb is about."""

    @property
    def id(self) -> str:
        """Its id."""


Target = TypeVar("Target", bound=HasId)


@dataclass(frozen=True)
class Named:
    """A target of which only its name is known."""

    id: str


def named(ids: Iterable[str]) -> list[Named]:
    """Targets as somebody typed them, each once."""
    return [Named(each) for each in dict.fromkeys(ids)]


@dataclass(frozen=True)
class Words:
    """How a verb is told of.

    Attributes:
        verb: What is asked: "Delete".
        done: What is said of each target afterwards: "deleted".
        nouns: What several targets are: "sessions".
        question: What is asked about, where that is not the target's id, or "3 sessions".
    """

    verb: str
    done: str
    nouns: str
    question: str | None = None


@dataclass(frozen=True)
class Outcome:
    """What became of one target; `items` where the verb copied or removed some."""

    id: str
    outcome: str
    error: str | None = None
    items: int | None = None


def tell(outcomes: Sequence[Outcome], output: Format) -> None:
    """Print them: as lines for people, with errors on standard error; else as JSON."""
    if output != Format.TABLE:
        print_json(outcomes, output)
        return
    for each in outcomes:
        if each.error:
            typer.echo(f"turnwise: {printable(each.error)}", err=True)
        else:
            items = "" if each.items is None else f", {each.items} items"
            typer.echo(f"{each.outcome}: {printable(each.id)}{items}")


class Audit(TypedDict):
    """What an action's record says of it."""

    reason: str | None
    by: str | None


@dataclass(frozen=True)
class Acting(Looking):
    """The options of each verb that changes something."""

    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would be done.")] = False
    reason: Annotated[str | None, typer.Option(help="Why, for the audit.", metavar="TEXT")] = None
    by: Annotated[
        str | None,
        typer.Option(
            envvar="TURNWISE_BY",
            help="Who, for the audit.",
            metavar="NAME",
            show_default="user and host",
        ),
    ] = None

    @property
    def audit(self) -> Audit:
        """What the methods of the session take for the audit."""
        return {"reason": self.reason, "by": self.by}

    def carry_out(
        self,
        words: Words,
        targets: Sequence[Target],
        act: Callable[[Session, Target], Awaitable[object]],
    ) -> None:
        """Do it to each target, and tell what became of it.

        What one is refused does not keep the others; then the exit status is 1. What was done
        before Ctrl-C is told.

        Args:
            words: How it is told of.
            targets: What it is done to.
            act: Does it to one. It may return an outcome of its own.
        """
        if self.dry_run:
            tell([Outcome(each.id, f"would be {words.done}") for each in targets], self.output)
            return
        outcomes: list[Outcome] = []
        try:
            if targets:
                self._ask(words, targets)
                self.run(lambda session: _each(session, words, targets, act, outcomes))
        finally:
            tell(outcomes, self.output)
        if left := len(targets) - len(outcomes):
            typer.echo(f"turnwise: {left} more were not tried", err=True)
        if any(each.error for each in outcomes):
            raise typer.Exit(1)

    def _ask(self, words: Words, targets: Sequence[HasId]) -> None:
        """Whoever must be sure is asked here."""


@dataclass(frozen=True)
class Ending(Acting):
    """The options of each verb that ends something, and asks before."""

    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False

    def _ask(self, words: Words, targets: Sequence[HasId]) -> None:
        """A person may refuse: exit status 1."""
        if not self.yes:
            several = f"{len(targets)} {words.nouns}"
            shown = printable(targets[0].id) if len(targets) == 1 else several
            typer.confirm(f"{words.verb} {words.question or shown}?", abort=True, err=True)


async def _each(
    session: Session,
    words: Words,
    targets: Sequence[Target],
    act: Callable[[Session, Target], Awaitable[object]],
    outcomes: list[Outcome],
) -> None:
    with progress(words.nouns, len(targets), shown=len(targets) > 1) as advance:
        for target in targets:
            try:
                found = await act(session, target)
                done = found if isinstance(found, Outcome) else Outcome(target.id, words.done)
                outcomes.append(done)
            except TurnwiseError as error:
                outcomes.append(Outcome(target.id, "failed", str(error)))
                if isinstance(error, StoreUnavailable):
                    break  # the others would fail too, each after its timeouts
            advance(1)
