"""Approvals on a Cluster and behind Sentinels: resumed by one of several, also after a failover."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack

import pytest

from tests.integration.approval_lab import Clerk, asks, one_resumes, waiting
from tests.scripted import outline, says
from turnwise import Runner, connect
from turnwise.errors import ApprovalPending
from turnwise.session import Session
from turnwise.testing.servers import ValkeyCluster, ValkeySentinel, find_valkey


@pytest.fixture(params=[ValkeyCluster, ValkeySentinel])
async def fleet(request: pytest.FixtureRequest) -> AsyncIterator[ValkeyCluster | ValkeySentinel]:
    if find_valkey() is None:
        pytest.skip("there is no Valkey")
    async with request.param() as made:
        yield made


async def fail_over(fleet: ValkeyCluster | ValkeySentinel, session: Session) -> None:
    """The primary that holds the session gives way to a replica that has all it had."""
    await fleet.wait_ready()
    if isinstance(fleet, ValkeySentinel):
        await fleet.failover()
        await fleet.wait_ready()  # the old primary knows by now that it is none
        return
    client = session.client  # type: ignore[attr-defined]  # a session on Redis has one
    await fleet.failover(client.keyslot(f"agents:sessions:{session.session_id}"))


async def test_one_of_several_resumes_also_after_a_failover(
    fleet: ValkeyCluster | ValkeySentinel,
) -> None:
    clerk = Clerk()
    async with AsyncExitStack() as stack:
        here, *others = [
            await stack.enter_async_context(connect(fleet.url, session_id="s")) for _ in range(4)
        ]
        await waiting(here, clerk, "pay", "send", turn_id="t")
        first, second = await others[0].pending_approvals()
        await fail_over(fleet, here)
        assert await others[1].pending_approvals() == [first, second]
        with pytest.raises(ApprovalPending):
            await Runner.run(clerk.agent(says("x")), "else", session=others[2])
        again = clerk.agent(asks("look", again="_2"))
        halfway = await Runner.resume(again, session=others[0], approve=[first.id])
        assert [item.name for item in halfway.interruptions] == ["send"]
        await one_resumes(others, clerk, second, "all")
        assert clerk.ran == {"look": 1, "pay": 1, "send": 1}
        repeated = await Runner.run(clerk.agent(says("x")), "go", session=here, turn_id="t")
        assert repeated.final_output == "all"
        assert outline(await here.get_items())[-3:] == [
            "output of_pay: pay done",
            "output of_send: send done",
            "all",
        ]
