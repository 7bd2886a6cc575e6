"""Every event is a log record: readable, with fields, and without content of items."""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.items import user
from turnwise import MemorySession, hooks
from turnwise.hooks import (
    StepReplayedEvent,
    TurnBegunEvent,
    TurnCancelledEvent,
    TurnCommittedEvent,
    TurnDeadLetteredEvent,
    TurnEvent,
    TurnLostEvent,
    TurnParkedEvent,
    TurnQueuedEvent,
    TurnRefusedEvent,
    TurnRolledBackEvent,
    TurnStoppedEvent,
    TurnSubmittedEvent,
    WebhookGivenUpEvent,
)
from turnwise.observe.logging import TurnLog

DOCUMENTATION = Path(__file__).parents[2] / "docs" / "observability.md"
ITEMS: list[Any] = [user("nobody's business")]
ALL: list[tuple[TurnEvent, int]] = [
    (TurnSubmittedEvent("s", "t", position=0, bytes=7), logging.DEBUG),
    (TurnQueuedEvent("s", "t", holder="other"), logging.DEBUG),
    (TurnRefusedEvent("s", "t", reason="SessionBusy", waited=0.0), logging.DEBUG),
    (TurnBegunEvent("s", "t", 1, items=4, waited=0.0, reloaded=False), logging.DEBUG),
    (
        TurnBegunEvent("s", "t", 2, items=4, waited=0.0, reloaded=False, journal_entries=3),
        logging.WARNING,
    ),
    (TurnBegunEvent("s", "t", 2, items=4, waited=0.0, reloaded=False, resumed=True), logging.DEBUG),
    (StepReplayedEvent("s", "t", "tool", "desk", "look_up"), logging.INFO),
    (TurnCommittedEvent("s", "t", items=2, bytes=20, seconds=1.0), logging.INFO),
    (TurnRolledBackEvent("s", "t", reason="", seconds=1.0), logging.DEBUG),
    (TurnRolledBackEvent("s", "t", reason="ValueError", seconds=1.0), logging.WARNING),
    (TurnLostEvent("s", "t", reason="LeaseLost", seconds=1.0), logging.WARNING),
    (TurnCancelledEvent("s", "t", items=0, bytes=0, seconds=1.0), logging.INFO),
    (TurnParkedEvent("s", "t", pending=1, bytes=30, seconds=1.0), logging.INFO),
    (TurnDeadLetteredEvent("s", "t", attempts=3, reason="ValueError", seconds=1.0), logging.ERROR),
    (TurnStoppedEvent("s", "t", attempts=3, reason="ValueError", seconds=1.0), logging.ERROR),
    (WebhookGivenUpEvent("s", "t", "evt_1", attempts=84, reason="status 500"), logging.ERROR),
]


@pytest.fixture(autouse=True)
def everything(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    with caplog.at_level(logging.DEBUG, "turnwise"):
        yield


def test_these_are_all_events() -> None:
    kinds = {kind for kind in vars(hooks).values() if isinstance(kind, type)}
    events = {kind for kind in kinds if issubclass(kind, TurnEvent)} - {TurnEvent}
    assert {type(event) for event, _ in ALL} == events


def test_the_documented_events_are_these() -> None:
    rows = re.findall(r"^\| `(\w+)` \| (.*?) \|", DOCUMENTATION.read_text(), re.MULTILINE)
    documented = {name: re.findall(r"`(\w+)`", columns) for name, columns in rows}
    fields = {type(event).__name__: list(event.__dataclass_fields__)[2:] for event, _ in ALL}
    assert {name: documented[name] for name in fields} == fields


@pytest.mark.parametrize(("event", "level"), ALL, ids=lambda value: type(value).__name__)
def test_levels_and_fields(event: TurnEvent, level: int, caplog: pytest.LogCaptureFixture) -> None:
    TurnLog()(event)
    (record,) = caplog.records
    assert (record.name, record.levelno) == ("turnwise", level)
    known = vars(record)
    for name in event.__dataclass_fields__:
        assert known[name] == getattr(event, name)
    text = record.getMessage()
    assert text.startswith(f"{known['event']}: session_id='s' turn_id='t' ")
    json.dumps({name: known[name] for name in event.__dataclass_fields__})


async def test_turns_of_a_session(caplog: pytest.LogCaptureFixture) -> None:
    session = MemorySession(hooks=(TurnLog(),))
    with pytest.raises(ZeroDivisionError):
        async with session.turn("user-1"):
            raise ZeroDivisionError("nobody's business")
    async with session.turn("user\n1", turn_id="turn") as turn:
        await turn.add_items(ITEMS)
    assert [record.getMessage().split(":")[0] for record in caplog.records] == [
        "turn begun",
        "turn rolled back",
        "turn begun",
        "turn committed",
    ]
    assert r"session_id='user\n1' turn_id='turn' items=1" in caplog.records[-1].getMessage()
    assert "nobody's business" not in caplog.text


def test_a_logger_of_ones_own(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.ERROR, "mine")
    log = TurnLog(logging.getLogger("mine"))
    log(TurnLostEvent("s", "t", reason="LeaseLost", seconds=1.0))
    assert caplog.records == []
    log(TurnDeadLetteredEvent("s", "t", attempts=3, reason="ValueError", seconds=1.0))
    assert [record.name for record in caplog.records] == ["mine"]
