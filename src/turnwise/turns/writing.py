"""From items to the texts of their elements, within the limits."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any

from turnwise.codec import Codec, EncodedTooLarge, EncodeError
from turnwise.errors import InvalidItem, ItemTooLarge, TurnTooLarge
from turnwise.turns.settings import Settings


class Writer:
    """Takes items in: all of a call, or none."""

    def __init__(self, codec: Codec, settings: Settings) -> None:
        self._codec = codec
        self._settings = settings

    def texts(
        self, session_id: str, items: Iterable[Mapping[str, Any]], before: int = 0
    ) -> list[bytes]:
        """The items as uncompressed elements, `before` bytes of the same turn in front of them.

        Raises InvalidItem, ItemTooLarge, TurnTooLarge.
        """
        texts = [self._text(session_id, item) for item in items]
        size = before + sum(map(len, texts))
        if size > (most := self._settings.max_turn_bytes):
            raise TurnTooLarge(
                f"the items of one turn would be {size} bytes together, over max_turn_bytes="
                f"{most}; none of these was added. Add less in one turn, or raise the bound",
                session_id=session_id,
            )
        return texts

    def _text(self, session_id: str, item: Mapping[str, Any]) -> bytes:
        try:
            text = self._codec.text(item)
        except EncodedTooLarge as error:
            raise self._too_large(session_id, error.size, error.most) from None
        except EncodeError as error:
            raise InvalidItem(
                f"{error}; an item is a dict of JSON values. Nothing was added",
                session_id=session_id,
            ) from None
        if len(text) > self._settings.max_item_bytes:
            raise self._too_large(session_id, len(text))
        return text

    def _too_large(self, session_id: str, size: int, readable: float = math.inf) -> ItemTooLarge:
        most = self._settings.max_item_bytes
        if most < readable:
            bound, advice = f"max_item_bytes={most}", ", or raise the bound"
        else:
            bound, advice = f"{readable}, the most that can be read again", ""
        return ItemTooLarge(
            f"an item of {size} bytes is over {bound}; nothing was added. "
            f"Keep large content elsewhere and refer to it{advice}",
            session_id=session_id,
        )
