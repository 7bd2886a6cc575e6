"""The support desk: one message is one turn, and no answer that violates the policy is sent."""

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
from examples.support import CONVERSATION, MAX_DRAFTS, build, handle
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
    set_tracing_disabled(False)  # other tests disable it
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
    assert (outcome.status, outcome.action, outcome.verified) == ("resolved", "none", True)
    assert "on its way" in outcome.reply
    info = await session.info(NAME)
    assert info is not None
    assert (info.turns, info.open_turn) == (1, None)
    items = await session.bind(NAME).get_items()
    handoffs = ["transfer_to_planner", "transfer_to_agent"]
    assert calls(items) == [*handoffs, *case.plan.tools, "resolve"]
    assert metrics.counts["TurnCommittedEvent"] == metrics.counts["traces"] == 1
    assert metrics.counts["generation spans"] == 2 + 3 + 1  # triage and plan, work, review
    assert "tool resolve" in metrics.summary()


async def test_a_rejected_answer_goes_back_into_the_loop(
    session: Session, desk: Desk, shop: Shop, metrics: Metrics
) -> None:
    message = "The kettle of A-1001 arrived broken. Can I have my money back today?"
    case, outcome = await handle(session, NAME, message, desk)
    assert case.rejections == ["nothing may be promised or guaranteed"]
    assert (outcome.status, outcome.verified) == ("resolved", True)
    assert "guarantee" not in outcome.reply
    order = shop.find("A-1001")
    assert order is not None
    assert order.refunded == order.total
    assert calls(await session.bind(NAME).get_items()).count("resolve") == 2
    assert metrics.counts["guardrail rejections"] == 1


async def test_the_reviewer_rejects_what_the_rules_accept(session: Session, desk: Desk) -> None:
    case, outcome = await handle(session, NAME, "CANCEL MY ORDER A-1004!", desk)
    assert case.rejections == ["'Calm down' is rude; say it kindly"]
    assert (outcome.action, outcome.verified) == ("cancel", True)


async def test_the_drafts_are_limited(session: Session, desk: Desk) -> None:
    """The order is known from an earlier message."""
    await handle(session, NAME, "Where is A-1003?", desk)
    case, outcome = await handle(session, NAME, "I insist that you guarantee its arrival!", desk)
    assert case.request is not None
    assert case.request.order == "A-1003"
    assert len(case.rejections) == MAX_DRAFTS
    assert outcome.status == "escalated"
    assert "promise" not in outcome.reply


async def test_no_refund_is_paid_against_the_policy(
    session: Session, desk: Desk, shop: Shop
) -> None:
    for number in ("A-1002", "A-1006"):  # too much, too late
        case, outcome = await handle(session, NAME, f"Please refund {number}.", desk)
        assert "escalate" in case.rejections[0]
        assert outcome.status == "escalated"
        order = shop.find(number)
        assert order is not None
        assert order.refunded == 0


async def test_a_refund_that_cannot_be_verified_is_reported(session: Session, desk: Desk) -> None:
    case, outcome = await handle(session, NAME, "I want a refund for A-1005.", desk)
    assert case.rejections == []
    assert (outcome.status, outcome.verified) == ("failed", False)
    assert "I have refunded" not in outcome.reply


async def test_only_planned_tools_are_offered(session: Session, desk: Desk) -> None:
    """Without an order number, the agent asks for it."""
    case, outcome = await handle(session, NAME, "I want a refund.", desk)
    assert case.plan is not None
    assert case.plan.tools == ["read_policy"]
    assert outcome.next_action == "waits for its number"
    assert "find_order" not in calls(await session.bind(NAME).get_items())


async def test_it_runs_without_a_context(session: Session, desk: Desk) -> None:
    """A worker runs the agent by name and without a context, and may run a turn twice."""
    message = "I insist on a refund for A-1001!"
    run = Runner.run(desk["support"], message, session=session, session_id=NAME, turn_id="t")
    outcome = (await run).final_output_as(Outcome)
    assert outcome.status == "escalated"
    with suppress(AlreadyCommitted):
        await Runner.run(desk["support"], message, session=session, session_id=NAME, turn_id="t")
    assert calls(await session.bind(NAME).get_items()).count("resolve") == MAX_DRAFTS
    info = await session.info(NAME)
    assert info is not None
    assert info.turns == 1


async def test_it_streams(session: Session, desk: Desk) -> None:
    result = Runner.run_streamed(
        desk["support"], "Where is A-1003?", session=session, session_id=NAME
    )
    kinds = [event.type async for event in result.stream_events()]
    assert "run_item_stream_event" in kinds
    assert result.final_output_as(Outcome).status == "resolved"


async def run_conversation(
    started: Programs, url: str, environment: dict[str, str] | None = None
) -> str:
    """What the program prints until it exits."""
    program = started.python("-m", "examples.support", "--url", url, environment=environment)

    async def ended() -> bool:
        return not program.alive

    await until(ended, STARTED, "the program exited")
    return program.log()


def _check_conversation(log: str) -> None:
    for message in CONVERSATION:
        assert f"customer     {message}\n" in log
    for line in ("intent     refund, order A-1001", "rejected   3:", "outcome    failed"):
        assert line in log
    counts = [line.split() for line in log.splitlines()]
    assert ["TurnCommittedEvent", str(len(CONVERSATION))] in counts


async def test_the_program_runs_its_conversation(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'sessions.db'}"
    async with programs(tmp_path) as started:
        log = await run_conversation(started, url)
    _check_conversation(log)
    async with SQLiteSession(tmp_path / "sessions.db") as session:
        info = await session.info(NAME)
        items = await session.bind(NAME).get_items()
    assert info is not None
    assert (info.turns, info.items) == (len(CONVERSATION), len(items))
    messages = [item.get("content") for item in items if item.get("role") == "user"]
    assert messages == list(CONVERSATION)
    outcome = Outcome.model_validate_json(str(items[-1].get("output")))
    assert outcome.status == "failed"
    assert json.loads(str(items[-2].get("arguments")))["order"] == "A-1005"


async def test_with_an_api_key_it_calls_a_real_model(tmp_path: Path) -> None:
    """A server with the Responses API, which answers by the same rules."""
    port = free_port()
    application = ("tests.integration.responses_api:app", "--host", HOST, "--port", str(port))
    async with programs(tmp_path) as started, httpx.AsyncClient() as client:
        model = started.python("-m", "uvicorn", *application)

        async def answers() -> bool:
            try:
                return (await client.get(f"http://{HOST}:{port}/health")).is_success
            except httpx.TransportError:
                return False

        await ready(model, answers, "the server answered")
        environment = {
            "OPENAI_API_KEY": responses_api.KEY,
            "OPENAI_BASE_URL": f"http://{HOST}:{port}/v1",
            "OPENAI_AGENTS_DISABLE_TRACING": "1",  # else traces would be sent to OpenAI
        }
        log = await run_conversation(started, "memory://", environment)
        calls_made = model.log().count('POST /v1/responses HTTP/1.1" 200')
    _check_conversation(log)
    assert calls_made > 5 * len(CONVERSATION)
