"""What all verbs share: where the sessions are, in which form to print, and errors as one line."""

from __future__ import annotations

import asyncio
import inspect
import sys
from collections.abc import Callable, Coroutine, Iterable, Iterator, Sequence
from dataclasses import dataclass, fields, is_dataclass
from functools import wraps
from typing import Annotated, Any, TypeVar, get_type_hints

import typer

from turnwise.cli.output import Columns, Format, Output, Row, print_json, show
from turnwise.connect import connect
from turnwise.errors import TurnwiseError
from turnwise.session import Session
from turnwise.stores.redis import DEFAULT_PREFIX

Result = TypeVar("Result")


def verb(function: Callable[..., None]) -> Callable[..., None]:
    """Make a function one that typer reads.

    A parameter whose type is a dataclass stands for its fields, each an option or an argument: so
    what several verbs take stands in one place. A Turnwise error ends the program: status 1.
    """
    hints = get_type_hints(function, include_extras=True)
    groups = {name: hint for name, hint in hints.items() if _is_group(hint)}

    @wraps(function)
    def called(**given: Any) -> None:
        for name, group in groups.items():
            given[name] = group(**{each.name: given.pop(each.name) for each in fields(group)})
        try:
            function(**given)
        except TurnwiseError as error:
            sys.exit(f"turnwise: {error}")

    called.__annotations__ = {}
    vars(called)["__signature__"] = inspect.Signature(list(_parameters(function, hints)))
    return called


def _parameters(
    function: Callable[..., None], hints: dict[str, Any]
) -> Iterator[inspect.Parameter]:
    for each in inspect.signature(function).parameters.values():
        hint = hints[each.name]
        if _is_group(hint):
            own = get_type_hints(hint, include_extras=True)
            for parameter in inspect.signature(hint).parameters.values():
                yield _keyword(parameter, own[parameter.name])
        else:
            yield _keyword(each, hint)


def _is_group(hint: Any) -> bool:
    return is_dataclass(hint)


def _keyword(parameter: inspect.Parameter, hint: Any) -> inspect.Parameter:
    return parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY, annotation=hint)


@dataclass(frozen=True)
class Connected:
    """Where the sessions are."""

    url: Annotated[
        str,
        typer.Option(envvar="TURNWISE_URL", help="The store: redis://, sqlite:///, ..."),
    ]
    key_prefix: Annotated[
        str,
        typer.Option(
            envvar="TURNWISE_KEY_PREFIX", help="On Redis: the prefix of all keys of sessions."
        ),
    ] = DEFAULT_PREFIX

    def run(self, act: Callable[[Session], Coroutine[Any, Any, Result]], **options: Any) -> Result:
        """What `act` returns for the sessions there; `options` are those of `connect`."""
        if self.url.partition(":")[0] == "memory":
            sys.exit(
                "turnwise: sessions at memory:// are in the memory of the process that made them; "
                "no other process can reach them. Use redis://, valkey:// or sqlite:///"
            )

        async def run() -> Result:
            async with connect(self.url, key_prefix=self.key_prefix, **options) as session:
                return await act(session)

        return asyncio.run(run())


@dataclass(frozen=True)
class Looking(Connected):
    """The options of each verb that prints something."""

    output: Output = Format.TABLE

    @property
    def as_json(self) -> bool:
        """Whether it is a program that reads what is printed."""
        return self.output != Format.TABLE

    def show(self, rows: Sequence[Row], columns: Columns[Row]) -> None:
        """Print rows, which are dataclasses."""
        show(rows, columns, self.output)

    def show_lines(self, row: object, lines: Callable[[], Iterable[str]]) -> None:
        """Print one dataclass: for people as these lines."""
        if self.as_json:
            print_json([row], self.output)
            return
        for line in lines():
            typer.echo(line)
