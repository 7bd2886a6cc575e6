"""Whatever is sent to an endpoint, its answer is one that its document names, and no 5xx."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from schemathesis.checks import not_a_server_error
from schemathesis.core.result import Ok
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from tests.http.inhabited import Inhabited, Known, agent, inhabit
from tests.http.site import site_of
from turnwise import MemorySession

EXAMPLES = 40
CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_schema_conformance,
]


def operations(url: str) -> Iterator[Any]:
    """All that the document names; those come last that take away what others ask for."""
    schema = schemathesis.openapi.from_url(f"{url}/openapi.json")
    found = []
    for each in schema.get_all_operations():
        assert isinstance(each, Ok), each
        found.append(each.ok())
    yield from sorted(found, key=lambda one: (_takes_away(one), -one.path.count("/"), one.label))


def _takes_away(operation: Any) -> int:
    if operation.method.upper() == "DELETE":
        return 3
    if operation.path.endswith(("/cancel", "/rewind", "/stop")):
        return 2
    return int(operation.path.endswith("/approvals"))


def some_of(known: Known) -> st.SearchStrategy[dict[str, Any]]:
    """Some of the names, each with something that is there."""
    return st.fixed_dictionaries({}, optional=_values(known))


def all_of(known: Known) -> st.SearchStrategy[dict[str, Any]]:
    return st.fixed_dictionaries(_values(known))


def _values(known: Known) -> dict[str, st.SearchStrategy[Any]]:
    return {name: st.sampled_from(values) for name, values in known.items()}


def attack(operation: Any, there: Inhabited) -> set[int]:
    """Send what the document allows, and what it does not, to what is there and what is not.

    Returns:
        The statuses that it answered with.
    """
    statuses: set[int] = set()
    names = [parameter.name for parameter in operation.path_parameters]
    parameters = {name: there.parameters[name] for name in names}
    body = there.bodies.get(operation.label, {})

    @settings(
        max_examples=EXAMPLES,
        deadline=None,
        database=None,
        phases=[Phase.explicit, Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(
        case=operation.as_strategy(),
        path=st.one_of(all_of(parameters), some_of(parameters)),
        good=st.one_of(st.none(), all_of(body)) if body else st.none(),
        some=some_of(body),
    )
    def answers_as_documented(
        case: Any, path: Mapping[str, Any], good: dict[str, Any] | None, some: dict[str, Any]
    ) -> None:
        case.path_parameters = {**case.path_parameters, **path}
        if good is not None:
            case.body, case.media_type = good, "application/json"
        elif isinstance(case.body, dict):
            case.body = case.body | some
        if isinstance(case.body, dict) and operation.label == "POST /chat":
            case.body["timeout"] = 0.1
        statuses.add(case.call_and_validate(checks=CHECKS, timeout=30).status_code)

    answers_as_documented()
    return statuses


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
async def test_every_answer_is_a_documented_one() -> None:
    async with MemorySession() as session, site_of(session, [agent()]) as site:
        there = await inhabit(site.client, session)
        url = str(site.client.base_url).rstrip("/")
        statuses: dict[str, set[int]] = {}
        errors: list[Exception] = []
        for operation in await asyncio.to_thread(lambda: list(operations(url))):
            try:
                statuses[operation.label] = await asyncio.to_thread(attack, operation, there)
            except Exception as error:  # all of them are told at the end
                errors.append(error)
    if errors:
        raise ExceptionGroup("answers that are not documented", errors)
    assert len(statuses) >= 30, sorted(statuses)
    refused_only = [label for label, answers in statuses.items() if min(answers) >= 300]
    assert refused_only == []  # each was also asked for what there is
