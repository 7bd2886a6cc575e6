"""What a turn asked and was answered so far: answers that come again are told from others."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from turnwise.fleet import EndedTurn
from turnwise.http.stored import NOT_APPROVED, REJECTED, Decision, Parking
from turnwise.http.wires.responses.answers import Answers, decision_in, no_call, no_request
from turnwise.http.wires.responses.errors import OpenAIError, invalid
from turnwise.http.wires.responses.ids import ResponseId
from turnwise.http.wires.responses.items import APPROVAL_PREFIX, output_text
from turnwise.http.wires.responses.turns import ECHO, Event, Turns
from turnwise.types import PendingApproval

_OUTPUTS = ("function_call_output", "custom_tool_call_output")
Asked = Mapping[str, str]
"""The ids of the calls that a part asked about, by the ids of the approvals."""


@dataclass
class Answered:
    """A turn that was parked, as far as it is known by now.

    What was decided is in the journal while the turn goes on from there. Afterwards the outputs
    tell what a call was answered, but not whether a tool's own output is that of a tool that ran.

    Attributes:
        rid: The first response of the turn.
        parking: How it was parked last; None if it has ended.
        asked: What each part asked; None where that is not known any more.
        outputs: The outputs of its calls as text, by call id.
        echo: What its message says of the request.
        has_ended: Whether it was committed, so that all outputs of its calls are known.
    """

    rid: ResponseId
    parking: Parking | None = None
    asked: list[Asked | None] = field(default_factory=list)
    outputs: dict[str, list[str]] = field(default_factory=dict)
    echo: Mapping[str, Any] = field(default_factory=dict)
    has_ended: bool = False

    @property
    def parts(self) -> int:
        """How often it was parked."""
        return len(self.asked)

    @property
    def pending(self) -> list[PendingApproval]:
        """What is asked and not decided."""
        return [] if self.parking is None else self.parking.pending

    @property
    def is_late(self) -> bool:
        """Whether the time for answers is over."""
        return self.parking is not None and self.parking.is_late

    @property
    def client_tools(self) -> set[str]:
        """The tools that the client itself runs."""
        tools = self.echo.get("tools", ())
        return {tool["name"] for tool in tools if tool.get("type") == "function"}

    def waits_at(self, part: int) -> bool:
        """Whether this part waits for answers, or is answered and not resumed yet."""
        if self.parking is None or part != self.parts - 1:
            return False
        return bool(self.pending) or self.parking.is_parked

    def left(self, answers: Answers) -> Answers:
        """The answers to what is not decided yet."""
        if self.parking is None:
            return answers
        done = [one for one in self.parking.approvals if one.id in self.parking.decided]
        return answers.without({name for one in done for name in (one.id, one.call_id)})

    def part_of(self, answers: Answers) -> int | None:
        """The last part that asked for one of these; None if none is known to."""
        wanted = {*answers.outputs, *answers.decisions}
        for part, asked in reversed(list(enumerate(self.asked))):
            if asked is not None and not wanted.isdisjoint({*asked, *asked.values()}):
                return part
        forgotten = [part for part, asked in enumerate(self.asked) if asked is None]
        is_told = len(forgotten) == 1 and not wanted.isdisjoint(self.outputs)
        return forgotten[0] if is_told else None

    def check(self, part: int, answers: Answers) -> None:
        """Raise the error 400 unless the part may have been, or may be, answered so."""
        asked = self.asked[part]
        ids = {call_id: one for one, call_id in (asked or {}).items()}
        for call_id, output in answers.outputs.items():
            if call_id not in ids and (asked is not None or self._knows_no(call_id)):
                raise no_call(call_id)
            self._check_call(
                f"Function call {call_id}",
                *(ids.get(call_id), call_id, (False, output_text(output))),
            )
        for approval_id, item in answers.decisions.items():
            if asked is not None and approval_id not in asked:
                raise no_request(approval_id)
            self._check_call(
                f"Approval request {APPROVAL_PREFIX + approval_id}",
                *(approval_id, (asked or {}).get(approval_id), decision_in(item)),
            )

    def _knows_no(self, call_id: str) -> bool:
        return self.has_ended and call_id not in self.outputs

    def _check_call(
        self, what: str, approval_id: str | None, call_id: str | None, answer: Decision
    ) -> None:
        if self.parking is not None and approval_id in {one.id for one in self.parking.approvals}:
            if self.parking.decided.get(str(approval_id), answer) != answer:
                raise _otherwise(what)
            return
        texts = self.outputs.get(call_id or "", [])
        if texts == [NOT_APPROVED]:
            raise invalid(f"{what} was not answered in time.", "input")
        approved, text = answer
        if texts and (texts == [REJECTED] if approved else text is not None and text not in texts):
            raise _otherwise(what)


async def answered(turns: Turns, rid: ResponseId) -> Answered:
    """What is known of the turn of a response.

    Raises:
        UndecodableJournal: Another version parked it.
    """
    names = rid.session_id, rid.turn_id
    found = Answered(ResponseId(*names, rid.mode), await turns.parking(*names))
    items: list[Mapping[str, Any]] = []
    async for _, event in turns.events_so_far(*names):
        if event["type"] == "turn.parked":
            found.asked.append({one["id"]: one["call_id"] for one in event.get("approvals") or ()})
        items += _outputs_in(event)
    if found.parking is not None:
        items += found.parking.items
        _add_last(found.asked, found.parking)
        found.echo = await _echo(turns, names)
    elif (ended := await turns.ended(*names)) is not None:
        await _add_ended(turns, found, ended)
        items += (item for event in ended.events for item in _outputs_in(event))
    found.outputs = _texts(items)
    return found


async def _add_ended(turns: Turns, found: Answered, ended: EndedTurn) -> None:
    times = await turns.times_parked(found.rid.session_id, found.rid.turn_id)
    found.asked[:0] = [None] * (times - found.parts)
    found.echo = ended.metadata.get(ECHO, {})
    found.has_ended = ended.state == "committed"


async def _echo(turns: Turns, names: tuple[str, str]) -> Mapping[str, Any]:
    sent = await turns.sent(*names)
    echo: Mapping[str, Any] = {} if sent is None else sent.metadata.get(ECHO, {})
    return echo


def _add_last(asked: list[Asked | None], parking: Parking) -> None:
    """The journal knows it before the events do, and longer."""
    last = {one.id: one.call_id for one in parking.approvals}
    if last not in asked:
        asked.append(last)
    asked[:0] = [None] * (parking.times - len(asked))


def _outputs_in(event: Event) -> Iterator[Mapping[str, Any]]:
    item = event.get("item") or {}
    if item.get("type") == "tool_call_output_item":
        yield item["raw_item"]


def _texts(items: Iterable[Mapping[str, Any]]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for item in items:
        if item.get("type") in _OUTPUTS and isinstance(item.get("call_id"), str):
            texts = found.setdefault(item["call_id"], [])
            if (text := output_text(item.get("output"))) not in texts:
                texts.append(text)
    return found


def open_calls(items: Sequence[Mapping[str, Any]]) -> set[str]:
    """The ids of the function calls that have no output among the items."""
    named = [(item.get("type"), str(item.get("call_id"))) for item in items]
    calls = {call_id for kind, call_id in named if kind == "function_call"}
    return calls - {call_id for kind, call_id in named if kind == "function_call_output"}


def _otherwise(what: str) -> OpenAIError:
    return invalid(f"{what} was answered before with another answer.", "input")
