"""A trace travels with a message, from process to process."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from agents import trace
from agents.tracing import gen_trace_id
from opentelemetry.context import attach as attach_context
from opentelemetry.context import get_current
from opentelemetry.trace import get_current_span, get_tracer

from tests.unit import traced_process
from tests.unit.spans import Exported, attributes, sdk_tracing
from turnwise import SQLiteSession
from turnwise.hooks import TurnEvent, TurnSubmittedEvent, attach, inject
from turnwise.observe import opentelemetry
from turnwise.observe.opentelemetry import TurnSpans

ROOT = Path(__file__).parents[2]


@pytest.fixture
def exported() -> Exported:
    return Exported()


async def worked_on_elsewhere(database: Path, trace: Mapping[str, str]) -> dict[str, Any]:
    """The spans of a process that was sent this trace."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        traced_process.__name__,
        str(database),
        json.dumps(trace),
        stdout=asyncio.subprocess.PIPE,
        cwd=ROOT,
    )
    output, _ = await process.communicate()
    assert process.returncode == 0
    spans: dict[str, Any] = json.loads(output)
    return spans


async def test_one_trace_over_two_processes(exported: Exported, tmp_path: Path) -> None:
    hooks = (TurnSpans(exported.provider),)
    tracer = get_tracer("application", tracer_provider=exported.provider)
    database = tmp_path / "sessions.db"
    with tracer.start_as_current_span("request"):
        async with SQLiteSession(database, hooks=hooks) as session, session.turn("user-1"):
            pass
        trace = inject(hooks)
        spans = await worked_on_elsewhere(database, trace)
    assert list(trace) == ["traceparent"]
    request = exported.one("request")
    assert exported.path(exported.one("turn")) == ["request", "turn"]
    assert {span["trace"] for span in spans.values()} == {request.context.trace_id}
    assert spans["turn"]["parent"] == request.context.span_id
    assert spans["run Agent workflow"]["parent"] == spans["turn"]["id"]
    assert spans["invoke_agent clerk"]["parent"] == spans["run Agent workflow"]["id"]


async def test_a_trace_of_the_sdk_travels_too(tmp_path: Path) -> None:
    trace_id = gen_trace_id()
    with sdk_tracing(), trace("support", trace_id=trace_id):
        sent = opentelemetry.inject()
    spans = await worked_on_elsewhere(tmp_path / "sessions.db", sent)
    assert {f"trace_{span['trace']:032x}" for span in spans.values()} == {trace_id}


def test_nothing_travels_outside_of_a_trace() -> None:
    assert opentelemetry.inject() == {}
    with sdk_tracing(), trace("support", disabled=True):
        assert opentelemetry.inject() == {}


@pytest.mark.parametrize(
    "sent", [{}, {"traceparent": "nonsense"}, {"traceparent": 7}, {"other": "text"}]
)
def test_what_is_no_trace_is_ignored(sent: dict[str, Any], exported: Exported) -> None:
    tracer = get_tracer("application", tracer_provider=exported.provider)
    with opentelemetry.attach(sent):
        assert not get_current_span().get_span_context().is_valid
    with tracer.start_as_current_span("request") as request, opentelemetry.attach(sent):
        assert get_current_span() is request


def test_after_the_block_all_is_as_before(exported: Exported) -> None:
    tracer = get_tracer("application", tracer_provider=exported.provider)
    with tracer.start_as_current_span("first"):
        first = opentelemetry.inject()
    with tracer.start_as_current_span("second") as second:
        with opentelemetry.attach(first):
            inside = opentelemetry.inject()
            attach_context(get_current())  # and does not give it back
        assert get_current_span() is second
    assert inside == first


def test_hooks_that_carry_and_those_that_do_not(exported: Exported) -> None:
    def other(event: TurnEvent) -> None:
        pass

    hooks = (other, TurnSpans(exported.provider))
    tracer = get_tracer("application", tracer_provider=exported.provider)
    assert inject((other,)) == {}
    with tracer.start_as_current_span("request") as request:
        hooks[1](TurnSubmittedEvent("user-1", "turn", position=2, bytes=7))
        sent = inject(hooks)
    with attach((other,), sent):
        assert not get_current_span().get_span_context().is_valid
    with attach(hooks, sent):
        there = get_current_span().get_span_context()
        assert there.span_id == request.get_span_context().span_id
    (event,) = exported.one("request").events
    assert event.name == "turn submitted"
    assert dict(event.attributes or {})["turnwise.position"] == 2
    assert attributes(exported.one("request")) == {}
