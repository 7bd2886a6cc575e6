"""A refusal says nothing of an earlier sending of the same call."""

from __future__ import annotations

from typing import Any

import pytest
from redis.asyncio import Redis
from redis.exceptions import ConnectionError as Cut
from redis.exceptions import ResponseError

from turnwise.errors import StoreRefused, StoreUnavailable
from turnwise.stores.redis import RedisStore
from turnwise.stores.redis.scripts import script
from turnwise.stores.redis.transport import Transport
from turnwise.testing.servers.ports import free_port

OOM = ResponseError("OOM command not allowed when used memory > 'maxmemory'.")


class _Client(Redis):
    """Answers each command with the next of these, the last one again and again."""

    single_connection_client = False

    def __init__(self, *answers: Any) -> None:
        super().__init__(port=free_port())
        self._answers = list(answers)

    async def execute_command(self, *command: Any, **options: Any) -> Any:
        answer = self._answers.pop(0) if len(self._answers) > 1 else self._answers[0]
        if isinstance(answer, Exception):
            raise answer
        return answer


def _transport(*answers: Any) -> Transport:
    return RedisStore(_Client(*answers), patience=0.2)._transport


async def _append(calls: Transport) -> Any:
    return await calls.run(script("append"), "s", (), "s")


async def test_a_first_sending_that_is_refused() -> None:
    with pytest.raises(StoreRefused, match="OOM"):
        await _append(_transport(OOM))


async def test_a_refusal_after_a_lost_reply_leaves_the_outcome_unknown() -> None:
    with pytest.raises(StoreUnavailable, match="OOM"):
        await _append(_transport(Cut("reply lost"), OOM))


async def test_a_refusal_that_passes_after_a_lost_reply() -> None:
    assert await _append(_transport(Cut("reply lost"), OOM, [b"ok"])) == [b"ok"]


async def test_a_refusal_after_the_server_was_not_ready() -> None:
    with pytest.raises(StoreRefused, match="OOM"):
        await _append(
            _transport(ResponseError("NOREPLICAS Not enough good replicas to write."), OOM)
        )
