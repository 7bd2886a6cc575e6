"""A KeyboardInterrupt leaves the event loop once: who waits for its task is told otherwise."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Iterator
from typing import Any

import pytest
from redis.exceptions import ConnectionError as Disconnected

from turnwise.stores.redis import pipeline
from turnwise.turns import result_of

Ended = Callable[[Coroutine[Any, Any, Any]], asyncio.Task[Any]]


@pytest.fixture
def ended() -> Iterator[Ended]:
    """Runs a coroutine as a task to its end, whatever it raises."""
    loop = asyncio.new_event_loop()

    def run(coroutine: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
        task = loop.create_task(coroutine)
        try:
            loop.run_until_complete(asyncio.wait({task}))
        except KeyboardInterrupt:
            loop.run_until_complete(asyncio.wait({task}))
        return task

    yield run
    loop.close()


async def raises(error: BaseException) -> list[Any]:
    raise error


async def returns(result: Any) -> Any:
    return result


def test_a_result(ended: Ended) -> None:
    assert result_of(ended(returns("done"))) == "done"


def test_an_error(ended: Ended) -> None:
    with pytest.raises(ZeroDivisionError):
        result_of(ended(raises(ZeroDivisionError())))


@pytest.mark.parametrize("interrupt", [KeyboardInterrupt(), asyncio.CancelledError()])
def test_an_interruption_is_a_cancellation(ended: Ended, interrupt: BaseException) -> None:
    with pytest.raises(asyncio.CancelledError):
        result_of(ended(raises(interrupt)))


@pytest.mark.parametrize("interrupt", [KeyboardInterrupt(), asyncio.CancelledError()])
def test_the_commands_of_an_interrupted_pipeline_are_sent_again(
    ended: Ended, interrupt: BaseException
) -> None:
    """As after any lost connection: it is not their reply."""
    replies = pipeline._replies(ended(raises(interrupt)), 2)
    assert [type(reply) for reply in replies] == [Disconnected, Disconnected]
