"""Parts of lists of items."""

from __future__ import annotations

from typing import Any

from turnwise.http.wires.responses.errors import not_found
from turnwise.http.wires.responses.items import Item
from turnwise.http.wires.responses.objects import list_object


def page(
    items: list[Item], limit: int, order: str, after: str | None = None, before: str | None = None
) -> dict[str, Any]:
    """A part of a list.

    Args:
        items: All of them, the oldest first.
        limit: How many to return at most.
        order: "asc" or "desc".
        after: The id of an item: return those behind it, in this order.
        before: The id of an item: return those ahead of it, in this order.

    Raises:
        OpenAIError: 404: there is no such item.
    """
    ordered = items if order == "asc" else items[::-1]
    if before:
        ordered = ordered[: _place(ordered, before)]
    if after:
        ordered = ordered[_place(ordered, after) + 1 :]
    return list_object(ordered[:limit], has_more=len(ordered) > limit)


def _place(items: list[Item], item_id: str) -> int:
    place = next((place for place, item in enumerate(items) if item["id"] == item_id), None)
    if place is None:
        raise not_found(f"Item with id '{item_id[:200]}' not found.")
    return place
