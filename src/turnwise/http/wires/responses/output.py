"""A response's output as the client is shown it, over all attempts at its turn.

An attempt that takes a turn over repeats what the journal has, and makes the rest anew. What comes
again just as it was is not told again. What does not is void: its item is ended as `incomplete`,
and new items follow it.
"""

from __future__ import annotations

from collections.abc import Iterator
from copy import deepcopy
from dataclasses import dataclass, field

from turnwise.http.wires.responses.item_events import (
    PART_ADDED,
    PART_DONE,
    Wire,
    void_events,
    whole_item_events,
)
from turnwise.http.wires.responses.items import Item, ItemIds, same_content

ATTEMPT_STEP = 1_000_000
"""How far apart the numbers of two attempts' events begin."""
VOID_ROOM = 1_000
"""How many numbers at an attempt's beginning are for telling what is void.

Who reads a later attempt only is not told of them, and the events behind them have the same
numbers for all."""


@dataclass(eq=False)
class Shown:
    """An item of the output.

    Attributes:
        item: As it is now.
        index: Its place in what the client was shown, void items too; None if it was not shown.
        is_done: Whether nothing more of it comes.
        open_parts: The parts of its content that were begun and not ended.
    """

    item: Item
    index: int | None = None
    is_done: bool = False
    open_parts: set[int] = field(default_factory=set)

    def stamped(self, wire: Wire) -> Wire:
        """The event with this item's id and place."""
        wire["output_index"] = self.index
        if "item" in wire:
            wire["item"] = wire["item"] | {"id": self.item["id"]}
        else:
            wire["item_id"] = self.item["id"]
        return wire


class Output:
    """Numbers the events, and knows which items hold.

    Args:
        turn_id, part: Names the response.
    """

    def __init__(self, turn_id: str, part: int) -> None:
        self._names = turn_id, part
        self._ids = ItemIds(turn_id, part)
        self._number = 1
        self._room: Iterator[int] | None = None
        self._events: list[Wire] = []
        self._shown = 0
        self._items: list[Shown] = []
        self._void: list[Shown] = []
        self._earlier: list[Shown] = []
        self._kept_back: list[tuple[Wire, Shown]] = []

    @property
    def items(self) -> list[Item]:
        """What holds so far."""
        return [deepcopy(one.item) for one in self._items]

    def take(self) -> list[Wire]:
        """The events since the last call."""
        events, self._events = self._events, []
        return events

    def restart(self, attempt: int | None = None) -> None:
        """What came so far is void, unless it comes again.

        Args:
            attempt: The one that begins; None if the same one goes on.
        """
        self._void += [one for one in self._items if one.index is not None and not one.is_done]
        self._earlier += [one for one in self._items if one.index is not None and one.is_done]
        self._items, self._kept_back, self._room = [], [], None
        self._ids = ItemIds(*self._names, {one.item["id"] for one in self._void})
        if attempt is not None:
            first = (attempt - 1) * ATTEMPT_STEP
            self._number = first or 1
            if first:
                self._room = iter(range(first + 1, first + VOID_ROOM))

    def begin(self, wire: Wire) -> None:
        """An attempt begins, or the parked turn goes on; then tell what can only be void."""
        self.say(wire)
        if self._room is not None:
            self._number += VOID_ROOM - 1
        void, self._void = self._void, []
        self._tell_void(void)

    def end(self) -> None:
        """Nothing more comes: what did not come again is void."""
        self._give_up_earlier()
        self._tell_void([one for one in self._items if not one.is_done])
        self._items = [one for one in self._items if one.is_done]

    def say(self, wire: Wire) -> None:
        """Tell something of the response as a whole."""
        self._events.append(wire | {"sequence_number": self._next()})

    def add(self, item: Item) -> Shown:
        """An item of the output begins. Its id is chosen here."""
        item["id"] = self._ids.of(item, len(self._items))
        shown = Shown(item)
        self._items.append(shown)
        return shown

    def tell(self, shown: Shown, wire: Wire) -> None:
        """Tell something of an item."""
        if wire["type"] == PART_ADDED:
            shown.open_parts.add(wire["content_index"])
        elif wire["type"] == PART_DONE:
            shown.open_parts.discard(wire["content_index"])
        wire = wire | {"sequence_number": self._next()}
        if self._earlier:
            self._kept_back.append((wire, shown))
        else:
            self._deliver(wire, shown)

    def done(self, shown: Shown, item: Item) -> None:
        """Nothing more of the item comes, which is now like this."""
        shown.item = item | {"id": shown.item["id"]}
        shown.is_done = True
        if self._earlier:
            self._compare(shown)

    def whole(self, item: Item) -> None:
        """An item that comes in one piece."""
        shown = self.add(item)
        for wire in whole_item_events(item):
            self.tell(shown, wire)
        self.done(shown, item)

    def drop(self, shown: Shown) -> None:
        """The item is not finished and will not be: its model call failed, and is made again."""
        self._items.remove(shown)
        self._kept_back = [kept for kept in self._kept_back if kept[1] is not shown]
        if shown.index is not None:
            self._tell_void([shown])

    def _compare(self, shown: Shown) -> None:
        """Is it the item again that was shown in its place before?"""
        place = self._items.index(shown) - sum(one.index is not None for one in self._items)
        if place:
            return  # one before it is not done yet
        earlier = self._earlier[0]
        if not same_content(earlier.item, shown.item):
            self._give_up_earlier()
            return
        self._items[self._items.index(shown)] = self._earlier.pop(0)
        self._kept_back = [kept for kept in self._kept_back if kept[1] is not shown]
        following = next((one for one in self._items if one.index is None), None)
        if self._earlier and following is not None and following.is_done:
            self._compare(following)
        elif not self._earlier:
            self._deliver_kept_back()

    def _give_up_earlier(self) -> None:
        earlier, self._earlier = self._earlier, []
        self._tell_void(earlier)
        taken = {one.item["id"] for one in earlier}
        for one in self._items:
            if one.index is None and one.item["id"] in taken:
                one.item["id"] = self._ids.other(one.item)
        self._deliver_kept_back()

    def _deliver_kept_back(self) -> None:
        kept_back, self._kept_back = self._kept_back, []
        for wire, shown in kept_back:
            self._deliver(wire, shown)

    def _deliver(self, wire: Wire, shown: Shown) -> None:
        if shown.index is None:
            shown.index = self._shown
            self._shown += 1
        self._events.append(shown.stamped(wire))

    def _tell_void(self, items: list[Shown]) -> None:
        for one in items:
            for wire in void_events(one.item, one.open_parts):
                number = self._next() if self._room is None else next(self._room)
                self._events.append(one.stamped(wire | {"sequence_number": number}))

    def _next(self) -> int:
        self._number += 1
        return self._number - 1
