"""A model's response in the form in which the journal stores it, and back, exactly."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, cast

from agents import ModelResponse, Usage
from agents.usage import deserialize_usage, serialize_usage
from openai.types.responses import Response
from pydantic import BaseModel

from turnwise.durable import sdk
from turnwise.journal_entries import StoredResponse


def pack_response(response: ModelResponse) -> StoredResponse:
    """The response as the journal stores it."""
    return _packed(
        response.output,
        response.usage,
        response.response_id,
        response.request_id,
        response.raw_usage,
        model=None,
    )


def pack_streamed_response(response: Response, output: Sequence[Any]) -> StoredResponse:
    """A streamed response as the journal stores it.

    `output` holds the items that came one by one: some providers leave them out of the last event.
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
    dicts = [index for index, item in enumerate(output) if not isinstance(item, BaseModel)]
    return StoredResponse(
        output=[to_json(item) for item in output],
        usage=pack_usage(usage),
        dicts=dicts or None,
        response_id=response_id,
        request_id=request_id,
        raw_usage=raw_usage,
        model=model,
    )


def to_json(item: Any) -> Any:
    """An object of the SDK as JSON, without the fields that were never set."""
    if isinstance(item, BaseModel):
        return item.model_dump(mode="json", exclude_unset=True, warnings=False)
    return item


def unpack_items(stored: StoredResponse) -> list[Any]:
    """The output items of a stored response, as the model gave them."""
    dicts = stored.dicts or ()
    return [
        item if index in dicts else sdk.output_item(item)
        for index, item in enumerate(stored.output)
    ]


def unpack_response(stored: StoredResponse) -> ModelResponse:
    response = ModelResponse(
        output=[],
        usage=unpack_usage(stored.usage),
        response_id=stored.response_id,
        request_id=stored.request_id,
        raw_usage=stored.raw_usage,
    )
    response.output = unpack_items(stored)  # the constructor would validate it
    return response


COUNTS = ("requests", "input_tokens", "output_tokens", "total_tokens")
_DETAILS = ("input_tokens_details", "output_tokens_details")


def pack_usage(usage: Usage) -> dict[str, Any]:
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


def unpack_usage(packed: Mapping[str, Any]) -> Usage:
    full = dict(packed)
    for name, zeros in zip(_DETAILS, ({"cached_tokens": 0}, {"reasoning_tokens": 0}), strict=True):
        full[name] = [zeros | cast("dict[str, Any]", packed.get(name, {}))]
    return deserialize_usage(full)
