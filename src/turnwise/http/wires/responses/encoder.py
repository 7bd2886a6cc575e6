"""From a turn's events to the events of a response's stream: a pure state machine.

The same events give the same stream on any replica: ids come from the turn and the items, numbers
from the attempt and the place in it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from copy import deepcopy
from typing import Any

from turnwise.background import parse_event_id
from turnwise.http.wires.responses import items as made
from turnwise.http.wires.responses.item_events import (
    Wire,
    accumulate,
    content_events,
    part_ends,
    untold_part,
)
from turnwise.http.wires.responses.items import LOCAL_CALLS
from turnwise.http.wires.responses.output import Output, Shown
from turnwise.http.wires.responses.usage import Usage

FAILED = "The agent failed for good."
"""Why, is for operators: they find the message among the dead letters."""
NOT_RESUMED = "What was approved could not be carried out; the turn waits for an operator."
_OUTPUTS = ("tool_call_output_item", "handoff_output_item")
_CALL_ENDS = ("response.completed", "response.incomplete", "response.failed")


class ResponseEncoder:
    """Encodes one response: a turn, or the part of it between two times that it is parked.

    Args:
        response: The response object as it is before anything happens.
        turn_id, part: What it is a response of.
        client_tools: The tools that the client itself runs.

    Attributes:
        is_over: Whether the last event came.
        is_lossy: Whether some of the turn's events are missing: its output is to be had from the
            history only.
        attempt: The attempt whose events come.
    """

    def __init__(
        self,
        response: Mapping[str, Any],
        turn_id: str,
        part: int = 0,
        client_tools: Iterable[str] = (),
    ) -> None:
        self.is_over = self.is_lossy = False
        self.attempt = 0
        self._base = dict(response)
        self._part, self._parked = part, 0
        self._client_tools = frozenset(client_tools)
        self._agent = str(response["model"])
        self._status = "in_progress"
        self._end: Wire = {}
        self._output = Output(turn_id, part)
        self._open: dict[int, Shown | None] = {}
        self._calls: dict[str, tuple[Mapping[str, Any], str]] = {}
        self._approvals: dict[str, str] = {}
        self._usage = Usage()
        self._cut_short: Any = None

    @property
    def response(self) -> Wire:
        """The response object as it is now, without what is void."""
        output = [] if self._status == "cancelled" else self._output.items
        return self._base | {"status": self._status, "output": output} | self._end

    def created(self) -> Wire:
        """The first event, before anything is known of the turn."""
        return {"type": "response.created", "sequence_number": 0, "response": self.response}

    def encode(self, event_id: str, event: Mapping[str, Any]) -> list[Wire]:
        """What the client gets for one event of the turn."""
        kind = event["type"]
        if self.is_over or not event_id:  # at a reset the next event says which attempt begins
            return []
        attempt, number = parse_event_id(event_id)
        if attempt != self.attempt:
            self.attempt, self.is_lossy = attempt, number > 0
            self._restart(attempt)
        if kind == "turn.parked":
            self._park(event)
        elif self._parked == self._part:
            self._encode(kind, event)
        else:
            self._overhear(kind, event)
        return self._output.take()

    def finish(self, state: str, error: str | None = None, at: float | None = None) -> list[Wire]:
        """The last event, for a turn in this state. Also for one whose own last event is lost."""
        if not self.is_over:
            self._conclude(state, error, at)
        return self._output.take()

    def rebuild(self, events: Iterable[Mapping[str, Any]]) -> list[Wire]:
        """What the client gets for a turn whose own events are gone; `finish` follows.

        `events` are made of what the history has: all that the turn did.
        """
        self.attempt, self.is_lossy = self.attempt + 1, False
        self._restart(self.attempt)
        self._parked = self._part
        self._encode("turn.begun", {})
        for event in events:
            self._encode(event["type"], event)
        return self._output.take()

    def _conclude(self, state: str, error: str | None = None, at: float | None = None) -> None:
        self._output.end()
        self._status = {"committed": "completed", "cancelled": "cancelled"}.get(state, "failed")
        if self._status == "completed" and self._cut_short:
            self._status, self._end = "incomplete", {"incomplete_details": self._cut_short}
        elif self._status == "completed":
            self._end = {"completed_at": int(at or self._base["created_at"])}
        elif self._status == "failed":
            self._end = {"error": {"code": "server_error", "message": error or FAILED}}
        self._end |= {"usage": self._usage.as_dict()}
        self.is_over = True
        name = "failed" if self._status == "cancelled" else self._status
        self._output.say({"type": f"response.{name}", "response": self.response})

    # What becomes of the turn.

    def _encode(self, kind: str, event: Mapping[str, Any]) -> None:
        if kind in ("turn.begun", "turn.resumed"):
            if kind == "turn.resumed" and self._part:
                self._restart()
            self._output.begin({"type": "response.in_progress", "response": self.response})
        elif kind == "turn.finished" and "incomplete" in event:
            self.is_lossy = True
        elif kind == "turn.finished" and not (self.is_lossy and event["state"] == "committed"):
            self._conclude(event["state"])
        elif kind == "turn.stopped":
            self._conclude("stopped")
        elif not self.is_lossy:
            self._run_event(kind, event)

    def _overhear(self, kind: str, event: Mapping[str, Any]) -> None:
        """An event of an earlier part: what it calls may have its output in this one."""
        if kind == "agent_updated_stream_event":
            self._agent = event["new_agent"]
        elif kind == "raw_response_event" and event["data"]["type"] in _CALL_ENDS:
            for item in event["data"]["response"].get("output") or ():
                self._note_call(item)

    def _park(self, event: Mapping[str, Any]) -> None:
        approvals = event.get("approvals") or ()
        for approval in approvals:
            call = {"type": "function_call", "name": approval["tool_name"]} | dict(approval)
            self._calls.setdefault(approval["call_id"], (call, approval["agent_name"]))
            self._approvals[approval["call_id"]] = made.APPROVAL_PREFIX + str(approval["id"])
        if self._parked == self._part:
            for approval in approvals:
                if approval["tool_name"] not in self._client_tools:
                    self._output.whole(made.approval_request(approval))
            self._conclude("committed" if approvals else "stuck", NOT_RESUMED)
        self._parked += 1

    def _restart(self, attempt: int | None = None) -> None:
        self._output.restart(attempt)
        self._open = {}
        if attempt is not None:
            self._parked, self._calls = 0, {}
        self._usage, self._cut_short = Usage(), None

    # What the run does.

    def _run_event(self, kind: str, event: Mapping[str, Any]) -> None:
        if kind == "raw_response_event":
            self._model_event(event["data"])
        elif kind == "agent_updated_stream_event":
            self._agent = event["new_agent"]
        elif kind == "run_item_stream_event" and event["item"]["type"] in _OUTPUTS:
            self._tool_ended(event["item"]["raw_item"])

    def _model_event(self, data: Mapping[str, Any]) -> None:
        kind = data["type"]
        if kind == "response.created":
            for shown in self._open.values():
                if shown is not None and not shown.is_done:
                    self._output.drop(shown)
            self._open = {}
        elif kind == "response.output_item.added":
            self._added(data["output_index"], data["item"])
        elif kind == "response.output_item.done":
            self._done(data["output_index"], data["item"])
        elif kind in _CALL_ENDS:
            self._call_ended(kind, data["response"])
        else:
            if kind == "response.output_text.delta" and data["output_index"] not in self._open:
                # a model that streams text only
                self._added(data["output_index"], {"type": "message", "role": "assistant"})
            if (shown := self._open.get(data.get("output_index", -1))) is not None:
                self._content(shown, data)

    def _added(self, index: int, raw: Mapping[str, Any]) -> None:
        if self._is_hidden(raw):
            self._open[index] = None
            return
        item = made.begun(made.whole(raw, ""))
        self._open[index] = shown = self._output.add({**item, "id": raw.get("id")})
        self._output.tell(
            shown, {"type": "response.output_item.added", "item": deepcopy(shown.item)}
        )

    def _content(self, shown: Shown, data: Mapping[str, Any]) -> None:
        dropped = ("sequence_number", "output_index", "item_id", "obfuscation")
        wire = {name: value for name, value in data.items() if name not in dropped}
        if wire["type"] in ("response.output_text.delta", "response.output_text.done"):
            wire["logprobs"] = wire.get("logprobs") or []
        elif wire["type"].startswith("response.content_part"):
            wire["part"] = made.content_part(wire["part"])
        if (begun := untold_part(shown.item, wire)) is not None:
            accumulate(shown.item, begun)
            self._output.tell(shown, begun)
        accumulate(shown.item, wire)
        self._output.tell(shown, wire)

    def _done(self, index: int, raw: Mapping[str, Any]) -> None:
        if self._is_hidden(raw):
            self._open[index] = None
            self._note_call(raw)
            return
        is_new = index not in self._open
        if is_new:
            self._added(index, raw)
        shown = self._open[index]
        if shown is None or shown.is_done:
            return
        item = made.whole(raw, shown.item["id"])
        is_empty = is_new or not shown.item.get("content", True)
        for wire in content_events(item) if is_empty else part_ends(item, shown.open_parts):
            self._output.tell(shown, wire)
        self._output.tell(shown, {"type": "response.output_item.done", "item": item})
        self._output.done(shown, item)

    def _call_ended(self, kind: str, response: Mapping[str, Any]) -> None:
        """A model call ended. Models that do not stream tell their items only here."""
        if kind == "response.failed":
            return
        for index, raw in enumerate(response.get("output") or ()):
            self._done(index, raw)
        self._open = {}  # the next call has the same places; not every model says that it begins
        self._usage.add(response.get("usage") or {})
        self._cut_short = response.get("incomplete_details")

    def _tool_ended(self, raw: Mapping[str, Any]) -> None:
        call_id = raw.get("call_id")
        found = self._calls.pop(call_id, None) if isinstance(call_id, str) else None
        if found is None or made.call_name(found[0]) in self._client_tools:
            return
        call, agent = found
        approval_id = self._approvals.get(str(call_id))
        self._output.whole(made.mcp_call(call, agent, raw.get("output"), approval_id))

    def _is_hidden(self, raw: Mapping[str, Any]) -> bool:
        """Whether it is a call that the server carries out: it is told with its output."""
        return raw["type"] in LOCAL_CALLS and made.call_name(raw) not in self._client_tools

    def _note_call(self, raw: Mapping[str, Any]) -> None:
        if raw["type"] in LOCAL_CALLS and raw.get("call_id"):
            self._calls[raw["call_id"]] = raw, self._agent
