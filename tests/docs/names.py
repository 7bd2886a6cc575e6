"""Which names of the library a page uses, and whether they are there.

A code span that is an identifier, dotted or called, names something: `SessionBusy`,
`session.cancel(...)`, `turnwise.testing.conformance`, `idempotency_key()`. It is looked for where a
reader would look: in `turnwise` first, then on the objects that examples call `session`, `receipt`
and so on, then in the SDK.
"""

from __future__ import annotations

import builtins
import importlib
import re
from functools import cache
from typing import Any

import agents
import prometheus_client

import turnwise
from tests.docs.pages import ROOT, prose_of
from turnwise import dashboard, hooks, http
from turnwise.background import Message
from turnwise.observe import logging, opentelemetry, prometheus

_SPAN = re.compile(r"`([^`\n]+)`")
_NAME = re.compile(r"(?:await )?@?([A-Za-z_]\w*(?:\.[A-Za-z_]\w*)*)(\(.*\))?(\.\w+)?", re.DOTALL)
_CLASS = re.compile(r"[A-Z][a-z]+\w*")

_OBJECTS: dict[str, Any] = {
    "session": turnwise.RedisSession,
    "receipt": turnwise.Receipt,
    "policy": turnwise.Policy,
    "worker": turnwise.Worker,
    "letter": turnwise.DeadLetter,
    "message": Message,
    "result": agents.RunResultStreaming,
    "state": agents.RunState,
    "turnwise": turnwise,
    "agents": agents,
    "prometheus_client": prometheus_client,
}
"""What examples and documents call them."""

_MODULES = (turnwise, hooks, http, dashboard, logging, opentelemetry, prometheus, agents, builtins)
"""Where a class or function may come from that is named without its module."""

_METHODS = (
    turnwise.RedisSession,
    turnwise.Runner,
    turnwise.Receipt,
    turnwise.Worker,
    agents.RunResultStreaming,
    agents.Agent,
)
"""A page may name a method without its object, where that is plain."""

_ELSEWHERE = {
    *(
        "EventSource",
        "StreamingResponse",
        "FastAPI",
        "HTTPException",
        "BaseHTTPMiddleware",
    ),  # the browser, FastAPI
    *("InvalidRequest", "Unauthorized", "TooManyRequests"),  # codes of problems
    *("Protocol", "Struct", "ContextVar", "CancelledError"),  # Python, msgspec
    *("Dockerfile", "TimeoutStopSec"),  # a file, systemd
}


_FILE = re.compile(r"[\w/.-]+\.(?:py|lua|sql|svg|md|toml|lock)")
_INSIDE = ("CONTRIBUTING.md", "docs/internals.md")
"""Pages for those who change the library: they also name what is defined inside it."""


def spans(page: str) -> set[str]:
    """The code spans of a page that may name something."""
    return {span for span in _SPAN.findall(prose_of(page)) if not _FILE.fullmatch(span)}


def problems_of(page: str) -> dict[str, str]:
    """The names on a page that cannot be found, and why."""
    found = {span: problem for span in spans(page) if (problem := problem_with(span))}
    if page in _INSIDE:
        return {span: problem for span, problem in found.items() if not _is_defined(span)}
    return found


def _is_defined(span: str) -> bool:
    """Whether the library's source or the tests' defines the name."""
    name = span.partition("(")[0].rpartition(".")[2]
    definition = re.compile(rf"(?:class|def|function) {name}\b|^\s*{name}(?::.*)? =", re.MULTILINE)
    return any(definition.search(text) for text in _sources())


@cache
def _sources() -> list[str]:
    folder = ROOT / "src/turnwise"
    return [path.read_text() for end in ("py", "lua") for path in folder.rglob(f"*.{end}")]


def problem_with(span: str) -> str:
    """Why the name that the span holds cannot be found; "" if it can, or is no name of ours."""
    match = _NAME.fullmatch(span)
    if match is None:
        return ""
    path, call, _ = match.groups(default="")
    first, *rest = path.split(".")
    if first == "turnwise" and rest:
        return _import_problem(path)
    if first in _OBJECTS and rest:
        return _attribute_problem(_OBJECTS[first], rest)
    if _CLASS.fullmatch(first):
        return _class_problem(first, rest)
    return _function_problem(first) if call and not rest else ""


def _import_problem(path: str) -> str:
    names = path.split(".")
    for length in range(len(names), 0, -1):
        try:
            module = importlib.import_module(".".join(names[:length]))
        except ImportError:
            continue
        return _attribute_problem(module, names[length:])
    return f"{path} cannot be imported"


def _class_problem(name: str, rest: list[str]) -> str:
    if name in _ELSEWHERE:
        return ""
    for module in _MODULES:
        if hasattr(module, name):
            return _attribute_problem(getattr(module, name), rest)
    return f"{name} is not in turnwise, turnwise.hooks or agents"


def _function_problem(name: str) -> str:
    found = any(hasattr(place, name) for place in (*_MODULES, *_METHODS))
    return "" if found else f"there is no function {name}"


def _attribute_problem(owner: Any, names: list[str]) -> str:
    for name in names:
        fields = getattr(owner, "__dataclass_fields__", {}) | getattr(owner, "__annotations__", {})
        if not hasattr(owner, name) and name not in fields:
            return _attribute_missing(owner, name)
        owner = getattr(owner, name, object)
        if owner is object:
            break  # a field: its class is not looked into
    return ""


def _attribute_missing(owner: Any, name: str) -> str:
    """Some attributes exist only on an object: those that its class documents."""
    documented = f"{name}:" in (getattr(owner, "__doc__", None) or "")
    return "" if documented else f"{getattr(owner, '__name__', owner)} has no {name}"
