"""What models consumed: kept with each turn, and summed for its session."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import agents
from agents import Agent, ModelResponse, Usage
from openai.types.responses.response_usage import InputTokensDetails, OutputTokensDetails

from tests.integration.approval_lab import Clerk, asks
from tests.integration.fault_lab import message
from tests.integration.stores import Sessions, new_sessions_of
from tests.integration.test_cli import lines
from tests.scripted import Script, calls, says, weather
from turnwise import Runner, connect
from turnwise.types import NO_USAGE, TokenUsage

sessions = new_sessions_of(["memory", "sqlite", "valkey"])
EACH = TokenUsage(1, 100, 20, 40, 5)


class Costly(Script):
    """A scripted model whose every response costs the same."""

    async def get_response(self, *args: Any, **options: Any) -> ModelResponse:
        response = await super().get_response(*args, **options)
        details: dict[str, Any] = {"cached_tokens": EACH.cached_tokens, "cache_write_tokens": 0}
        response.usage = Usage(
            requests=1,
            input_tokens=EACH.input_tokens,
            output_tokens=EACH.output_tokens,
            total_tokens=EACH.input_tokens + EACH.output_tokens,
            input_tokens_details=InputTokensDetails.model_validate(details),
            output_tokens_details=OutputTokensDetails(reasoning_tokens=EACH.reasoning_tokens),
        )
        return response


def costly(*replies: Any, **settings: Any) -> Agent[Any]:
    return Agent(name="agent", model=Costly(*replies), **settings)


def times(count: int) -> TokenUsage:
    return sum([EACH] * count, NO_USAGE)


async def test_each_turn_and_the_session_know_what_they_consumed(sessions: Sessions) -> None:
    session = sessions.worker()
    helper = costly(calls("weather"), says("Sunny."), tools=[weather])
    await session.bind("s").add_items([message("before")])
    await Runner.run(helper, "one", session=session, session_id="s")
    result = await Runner.run(
        costly(says("x")), "two", session=session, session_id="s", turn_id="t"
    )
    async with session.turn("s") as turn:
        for _ in range(3):
            await agents.Runner.run(costly(says("x")), "three", session=turn)
    past = await session.history("s") or []
    assert [turn.usage for turn in past] == [NO_USAGE, times(2), times(1), times(3)]
    assert [turn.attempt for turn in past] == [0, 1, 1, 1]
    used = result.context_wrapper.usage
    assert (used.requests, used.input_tokens, used.output_tokens) == EACH.counts[:3]
    await session.bind("s").clear_session()
    info = await session.info("s")
    assert info is not None
    assert info.usage == times(6)


async def test_what_a_parked_turn_consumed_is_counted_once(sessions: Sessions) -> None:
    clerk = Clerk()
    first, second = sessions.worker(), sessions.worker()

    def agent(*replies: Any) -> Agent[Any]:
        made = clerk.agent()
        made.model = Costly(*replies)
        return made

    await Runner.run(agent(asks("pay")), "go", session=first, session_id="s", turn_id="t")
    (pay,) = await first.pending_approvals("s")
    again = await Runner.resume(
        agent(asks("send")), session=second, session_id="s", approve=[pay.id]
    )
    assert again.interruptions
    (send,) = await first.pending_approvals("s")
    await Runner.resume(
        agent(asks("look"), says("done")), session=first, session_id="s", approve=[send.id]
    )
    (turn,) = await second.history("s") or []
    assert (turn.kind, turn.usage) == ("turn", times(4))


async def test_the_command_shows_it(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'sessions.db'}"
    async with connect(url, worker="web\n1") as session:
        await Runner.run(costly(says("x")), "hi", session=session, session_id="s", turn_id="t")
        words = "1 requests, 100 tokens in (40 cached), 20 out (5 reasoning)"
        first, *_ = await lines(url, "sessions", "show", "s")
        assert first.endswith(rf" turn t [web\n1, {words}]")
        shown = " ".join(await lines(url, "sessions", "info", "s"))
        assert words in shown
        (row,) = map(json.loads, await lines(url, "sessions", "info", "s", "-o", "jsonl"))
        assert TokenUsage(**row["usage"]) == EACH
