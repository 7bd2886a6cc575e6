"""The support desk: one message is one turn, and no answer that breaks the policy gets out."""

import json
from collections.abc import AsyncIterator, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import httpx
import pytest
import pytest_asyncio
from agents import Agent, set_trace_processors, set_tracing_disabled

from examples.desk.case import Outcome
from examples.desk.metrics import Metrics
from examples.desk.shop import Shop
from examples.support import CONVERSATION, ROUNDS, build, handle
from tests.integration import responses_api
from tests.integration.programs import STARTED, Programs, programs, ready
from turnwise import MemorySession, Runner, SQLiteSession
from turnwise.errors import AlreadyCommitted
from turnwise.session import Session
from turnwise.testing.servers.ports import HOST, free_port
from turnwise.testing.servers.waiting import until

NAME = "session:usr_1:conv_1"
Desk = dict[str, Agent[Any]]


@pytest.fixture
def metrics() -> Iterator[Metrics]:
    found = Metrics()
    set_tracing_disabled(False)  # other tests do without
    set_trace_processors([found])
    yield found
    set_trace_processors([])
    set_tracing_disabled(True)


@pytest.fixture
def shop() -> Shop:
    return Shop()


@pytest.fixture
def desk(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> Desk:
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    return build(shop)


@pytest_asyncio.fixture
async def session(metrics: Metrics) -> AsyncIterator[Session]:
    async with MemorySession(hooks=(metrics,)) as session:
        yield session


def calls(items: list[Any]) -> list[str]:
    return [item["name"] for item in items if item.get("type") == "function_call"]


async def test_a_message_is_classified_planned_and_answered_in_one_turn(
    session: Session, desk: Desk, metrics: Metrics
) -> None:
    case, outcome = await handle(session, NAME, "Where is my parcel A-1003?", desk)
    assert case.request is not None
    assert (case.request.intent, case.request.order) == ("status", "A-1003")
    assert case.plan is not None
    assert case.plan.tools == ["find_order", "track_parcel"]
    assert (outcome.status, outcome.action, outcome.verified) == ("solved", "none", True)
    assert "on its way" in outcome.reply
    info = await session.info(NAME)
    assert info is not None
    assert (info.turns, info.open_turn) == (1, None)
    items = await session.bind(NAME).get_items()
    handoffs = ["transfer_to_planner", "transfer_to_agent"]
    assert calls(items) == [*handoffs, *case.plan.tools, "resolve"]
    assert metrics.counts["TurnCommittedEvent"] == metrics.counts["traces"] == 1
    assert metrics.counts["generation spans"] == 2 + 3 + 1  # hand over, work, review
    assert "tool resolve" in metrics.summary()


async def test_a_failing_answer_goes_back_into_the_loop(
    session: Session, desk: Desk, shop: Shop, metrics: Metrics
) -> None:
    message = "The kettle of A-1001 arrived broken. Can I have my money back today?"
    case, outcome = await handle(session, NAME, message, desk)
    assert case.rejections == ["nothing may be promised or guaranteed"]
    assert (outcome.status, outcome.verified) == ("solved", True)
    assert "guarantee" not in outcome.reply
    order = shop.find("A-1001")
    assert order is not None
    assert order.refunded == order.total
    assert calls(await session.bind(NAME).get_items()).count("resolve") == 2
    assert metrics.counts["guardrail rejections"] == 1


async def test_the_reviewer_sends_back_what_rules_let_pass(session: Session, desk: Desk) -> None:
    case, outcome = await handle(session, NAME, "CANCEL MY ORDER A-1004!", desk)
    assert case.rejections == ["'Calm down' is rude; say it kindly"]
    assert (outcome.action, outcome.verified) == ("cancel", True)


async def test_the_rounds_are_bounded(session: Session, desk: Desk) -> None:
    """By what was said before, the order is known too."""
    await handle(session, NAME, "Where is A-1003?", desk)
    case, outcome = await handle(session, NAME, "I insist that you guarantee its arrival!", desk)
    assert case.request is not None
    assert case.request.order == "A-1003"
    assert len(case.rejections) == ROUNDS
    assert outcome.status == "handed over"
    assert "promise" not in outcome.reply


async def test_no_refund_is_paid_that_the_policy_forbids(
    session: Session, desk: Desk, shop: Shop
) -> None:
    for number in ("A-1002", "A-1006"):  # too much, too late
        case, outcome = await handle(session, NAME, f"Please refund {number}.", desk)
        assert "hand over" in case.rejections[0]
        assert outcome.status == "handed over"
        order = shop.find(number)
        assert order is not None
        assert order.refunded == 0


async def test_a_refund_that_is_not_found_afterwards_is_told(session: Session, desk: Desk) -> None:
    case, outcome = await handle(session, NAME, "I want a refund for A-1005.", desk)
    assert case.rejections == []
    assert (outcome.status, outcome.verified) == ("failed", False)
    assert "I have refunded" not in outcome.reply


async def test_only_planned_tools_are_offered(session: Session, desk: Desk) -> None:
    """And questions about an order without a number are asked back."""
    case, outcome = await handle(session, NAME, "I want a refund.", desk)
    assert case.plan is not None
    assert case.plan.tools == ["read_policy"]
    assert outcome.next_action == "waits for its number"
    assert "find_order" not in calls(await session.bind(NAME).get_items())


async def test_whoever_runs_it_needs_no_case(session: Session, desk: Desk) -> None:
    """A worker runs the agent by its name, knows no context, and may send a turn twice."""
    message = "I insist on a refund for A-1001!"
    run = Runner.run(desk["support"], message, session=session, session_id=NAME, turn_id="t")
    outcome = (await run).final_output_as(Outcome)
    assert outcome.status == "handed over"
    with suppress(AlreadyCommitted):
        await Runner.run(desk["support"], message, session=session, session_id=NAME, turn_id="t")
    assert calls(await session.bind(NAME).get_items()).count("resolve") == ROUNDS
    info = await session.info(NAME)
    assert info is not None
    assert info.turns == 1


async def test_it_streams(session: Session, desk: Desk) -> None:
    result = Runner.run_streamed(
        desk["support"], "Where is A-1003?", session=session, session_id=NAME
    )
    kinds = [event.type async for event in result.stream_events()]
    assert "run_item_stream_event" in kinds
    assert result.final_output_as(Outcome).status == "solved"


async def conversation(
    started: Programs, url: str, environment: dict[str, str] | None = None
) -> str:
    """What the program prints."""
    program = started.python("-m", "examples.support", "--url", url, environment=environment)

    async def ended() -> bool:
        return not program.alive

    await until(ended, STARTED, "the conversation was over")
    return program.log()


def _check_conversation(log: str) -> None:
    for message in CONVERSATION:
        assert f"customer     {message}\n" in log
    for line in ("intent     refund, order A-1001", "sent back  3:", "outcome    failed"):
        assert line in log
    assert ["TurnCommittedEvent", str(len(CONVERSATION))] in [
        line.split() for line in log.splitlines()
    ]


async def test_the_program_holds_its_conversation(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'sessions.db'}"
    async with programs(tmp_path) as started:
        log = await conversation(started, url)
    _check_conversation(log)
    async with SQLiteSession(tmp_path / "sessions.db") as session:
        info = await session.info(NAME)
        items = await session.bind(NAME).get_items()
    assert info is not None
    assert (info.turns, info.items) == (len(CONVERSATION), len(items))
    said = [item.get("content") for item in items if item.get("role") == "user"]
    assert said == list(CONVERSATION)
    outcome = Outcome.model_validate_json(str(items[-1].get("output")))
    assert outcome.status == "failed"
    assert json.loads(str(items[-2].get("arguments")))["order"] == "A-1005"


async def test_with_a_key_it_asks_a_real_model(tmp_path: Path) -> None:
    """One that is reached over HTTP, and answers by the same rules."""
    port = free_port()
    application = ("tests.integration.responses_api:app", "--host", HOST, "--port", str(port))
    async with programs(tmp_path) as started, httpx.AsyncClient() as client:
        model = started.python("-m", "uvicorn", *application)

        async def answers() -> bool:
            try:
                return (await client.get(f"http://{HOST}:{port}/health")).is_success
            except httpx.TransportError:
                return False

        await ready(model, answers, "the model answered")
        environment = {
            "OPENAI_API_KEY": responses_api.KEY,
            "OPENAI_BASE_URL": f"http://{HOST}:{port}/v1",
            "OPENAI_AGENTS_DISABLE_TRACING": "1",  # or they would be sent away
        }
        asked = await conversation(started, "memory://", environment)
        calls_made = model.log().count('POST /v1/responses HTTP/1.1" 200')
    _check_conversation(asked)
    assert calls_made > 5 * len(CONVERSATION)
