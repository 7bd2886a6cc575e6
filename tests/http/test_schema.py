"""Whatever is sent to an endpoint, its answer is one that its document names, and no 5xx."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis.checks import not_a_server_error
from schemathesis.core.result import Ok
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from tests.http.site import site_of
from tests.scripted import agent, says
from turnwise import MemorySession

EXAMPLES = 30
CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_schema_conformance,
]


def operations(url: str) -> Iterator[Any]:
    schema = schemathesis.openapi.from_url(f"{url}/openapi.json")
    for found in schema.get_all_operations():
        assert isinstance(found, Ok), found
        yield found.ok()


def attack(url: str) -> list[str]:
    """Send what the document allows, and what it does not; the operations that were tried."""
    tried = []
    for operation in operations(url):

        @settings(
            max_examples=EXAMPLES,
            deadline=None,
            database=None,
            phases=[Phase.explicit, Phase.generate],
            suppress_health_check=list(HealthCheck),
        )
        @given(case=operation.as_strategy())
        def answers_as_documented(case: Any) -> None:
            if isinstance(case.body, dict) and "timeout" in case.body:
                case.body["timeout"] = 0.1
            case.call_and_validate(checks=CHECKS, timeout=30)

        answers_as_documented()
        tried.append(operation.label)
    return tried


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
async def test_every_answer_is_a_documented_one() -> None:
    async with MemorySession() as session, site_of(session, [agent(says("yes"))]) as site:
        tried = await asyncio.to_thread(attack, str(site.client.base_url).rstrip("/"))
    assert len(tried) >= 8, tried
