"""Digests of inputs: what tells one run, turn or model call from another."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
from agents import Agent, RunState
from pydantic import BaseModel

RESUMED = "resumed"
"""The digest of every RunState: a resumed run has no input of its own."""
_SHAPES = 64


def began_with(agent: Agent[Any], input: object) -> tuple[str, str]:
    """What a turn begins with: the agent's name and the digest of its input.

    Whoever sends the same turn_id must bring the same.
    """
    return agent.name, input_digest(input)


def input_digest(input: object) -> str:
    """Tells apart runs of the same agent at the same point of a turn."""
    if isinstance(input, RunState):
        return RESUMED
    try:
        raw = msgspec.json.encode(input, enc_hook=_plain, order="deterministic")
    except UnicodeEncodeError:  # a lone surrogate, which JSON proper has no form for
        raw = json.dumps(input, default=_plain, sort_keys=True).encode()
    return hashlib.blake2b(raw, digest_size=6).hexdigest()


def _plain(value: object) -> object:
    return value.model_dump(exclude_unset=True) if isinstance(value, BaseModel) else str(value)


def input_shape(input: str | Sequence[Any]) -> str:
    """A digest of how many items a model gets, and of types, roles and call ids of the last ones.

    Their content does not count: it may have the time of day in it, say.
    """
    items = [] if isinstance(input, str) else input
    kinds = [_kind(item) for item in items[-_SHAPES:]]
    raw = msgspec.json.encode([len(items), kinds])
    return hashlib.blake2b(raw, digest_size=6).hexdigest()


def _kind(item: Mapping[str, Any] | Any) -> list[Any]:
    get = item.get if isinstance(item, Mapping) else lambda name: getattr(item, name, None)
    kind = get("type") or "message"
    return [kind, get("role"), str(get("call_id") or "")]
