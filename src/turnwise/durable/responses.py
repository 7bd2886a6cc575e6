"""A model's response as JSON, and back, exactly."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, cast

from agents import ModelResponse, Usage
from agents.usage import deserialize_usage, serialize_usage
from openai.types.responses import Response
from pydantic import BaseModel

from turnwise.durable import sdk
from turnwise.journal_entries import StoredResponse


def packed_response(response: ModelResponse) -> StoredResponse:
    """What an entry keeps of a response."""
    return _packed(
        response.output,
        response.usage,
        response.response_id,
        response.request_id,
        response.raw_usage,
        model=None,
    )


def packed_stream(response: Response, output: Sequence[Any]) -> StoredResponse:
    """The same of a streamed response; `output` is what came item by item.

    Some providers leave the output of the final event empty.
    """
    return _packed(
        response.output or output,
        sdk.usage_in(response),
        response.id,
        sdk.request_id_in(response),
        sdk.raw_usage_in(response),
        model=response.model,
    )


def _packed(
    output: Sequence[Any],
    usage: Usage,
    response_id: str | None,
    request_id: str | None,
    raw_usage: dict[str, Any] | None,
    *,
    model: str | None,
) -> StoredResponse:
    plain = [index for index, item in enumerate(output) if not isinstance(item, BaseModel)]
    return StoredResponse(
        output=[dumped(item) for item in output],
        usage=packed_usage(usage),
        plain=plain or None,
        response_id=response_id,
        request_id=request_id,
        raw_usage=raw_usage,
        model=model,
    )


def dumped(item: Any) -> Any:
    """An item of the SDK as JSON: without the fields that were never set."""
    if isinstance(item, BaseModel):
        return item.model_dump(mode="json", exclude_unset=True, warnings=False)
    return item


def output_of(stored: StoredResponse) -> list[Any]:
    plain = stored.plain or ()
    return [
        item if index in plain else sdk.output_item(item)
        for index, item in enumerate(stored.output)
    ]


def response_of(stored: StoredResponse) -> ModelResponse:
    response = ModelResponse(
        output=[],
        usage=usage_of(stored.usage),
        response_id=stored.response_id,
        request_id=stored.request_id,
        raw_usage=stored.raw_usage,
    )
    response.output = output_of(stored)  # the constructor would check what is not for us to check
    return response


COUNTS = ("requests", "input_tokens", "output_tokens", "total_tokens")
_DETAILS = ("input_tokens_details", "output_tokens_details")


def packed_usage(usage: Usage) -> dict[str, Any]:
    """The usage as the SDK serialises it, without what is 0."""
    full = serialize_usage(usage)
    packed = {name: full[name] for name in COUNTS if full[name]}
    for name in _DETAILS:
        details = {key: value for key, value in full[name][0].items() if value}
        if details:
            packed[name] = details
    if full["request_usage_entries"]:
        packed["request_usage_entries"] = full["request_usage_entries"]
    return packed


def usage_of(packed: Mapping[str, Any]) -> Usage:
    full = dict(packed)
    for name, zeros in zip(_DETAILS, ({"cached_tokens": 0}, {"reasoning_tokens": 0}), strict=True):
        full[name] = [zeros | cast("dict[str, Any]", packed.get(name, {}))]
    return deserialize_usage(full)
