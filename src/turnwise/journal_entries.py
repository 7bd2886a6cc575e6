"""The entries of a turn's journal, and their stored form. Nothing else knows the format.

Each entry is a struct, stored as one JSON object whose member `entry` names its kind:

    response         a model has answered
    tool_started     a tool call has begun
    tool_ended       it has ended
    attempt_failed   an attempt failed: the next one may repeat the calls that failed last
    restarted        a run starts again from its input: its earlier entries are void
    parked           the turn waits for approvals. The run's state in it replaces the journal
    decided          approvals and rejections, written before anybody acts on them

`run` is the path of a run in its turn. Each run adds three elements: the name of its agent, a
digest of its input, and how many runs of that name and input came before it. Between two runs
stands the call of the tool that runs the inner one. `call` names a call in its run: the number of
responses before it, a dot, and the model's call id.

An older version refuses what it does not know, a member as well as a kind. It never guesses.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from functools import cache
from typing import Any, Literal

import msgspec
from msgspec import NODEFAULT, Struct

from turnwise.codec import Codec, DecodeError
from turnwise.errors import UndecodableJournal
from turnwise.types import NO_USAGE, PendingApproval, TokenUsage

RunPath = tuple[str | int, ...]


class _Stored(Struct, frozen=True, forbid_unknown_fields=True):
    """Members at their defaults (None and False only) are not stored."""


class _Entry(_Stored, frozen=True, kw_only=True, tag_field="entry"):
    """One entry; its tag is the kind.

    `at` is when it came about, in POSIX seconds by its worker's clock, and `attempt` the attempt
    that it is of; None means the first. They are for people: no replay looks at them.
    """

    at: float | None = None
    attempt: int | None = None


class _Outcome(_Stored, frozen=True, tag_field="how"):
    """How a tool call ended."""


class StoredResponse(_Stored, frozen=True, kw_only=True):
    """A model's response.

    `output` holds its items as JSON objects; `dicts` lists the indexes of those that the model gave
    as dicts and not as the SDK's objects. `usage` and `raw_usage` are as the SDK serialises them,
    without zeros. `model` is known of streamed responses only.
    """

    output: list[Any]
    usage: dict[str, Any]
    dicts: list[int] | None = None
    response_id: str | None = None
    request_id: str | None = None
    raw_usage: dict[str, Any] | None = None
    model: str | None = None


class ResponseEntry(_Entry, frozen=True, kw_only=True, tag="response"):
    """A model has answered; `number` counts the responses of the run from 0.

    `agent`, `tools` (names) and `input` (a digest of the shape of its items) are what the model was
    asked with. A replay must ask with the same agent and input, and with these tools at least.
    `seconds` is how long the model took.
    """

    run: RunPath
    number: int
    agent: str
    tools: list[str]
    input: str
    response: StoredResponse
    seconds: float | None = None


class ToolStartedEntry(_Entry, frozen=True, kw_only=True, tag="tool_started"):
    """A tool call has begun. `repeatable`: it may run again if its end is not known."""

    run: RunPath
    call: str
    tool: str
    repeatable: bool = False


class ToolOutput(_Stored, frozen=True):
    """What a tool returned.

    `kind` says what `value` is: any JSON value; one structured output of the SDK, as its class name
    and fields; a list of these; the fields of a shell tool's result; or the JSON of a run's final
    output, as the agent's output type reads it.
    """

    kind: Literal["json", "structured", "structured_list", "shell", "typed"]
    value: Any


class Returned(_Outcome, frozen=True, kw_only=True, tag="returned"):
    """The tool returned.

    `is_error_text`: the output is the SDK's own text about an error, so the tool's output schema
    does not apply. `usage` is what the runs inside an agent as a tool cost.
    """

    output: ToolOutput
    is_error_text: bool = False
    usage: dict[str, Any] | None = None


class Raised(_Outcome, frozen=True, kw_only=True, tag="raised"):
    """The tool raised. `from_sdk`: the error is an AgentsException, which ends the run."""

    error: str
    message: str
    from_sdk: bool = False


class TimedOut(_Outcome, frozen=True, tag="timed_out"):
    """The call ran into the tool's own timeout."""


class Cancelled(_Outcome, frozen=True, tag="cancelled"):
    """The tool cancelled itself."""


ToolOutcome = Returned | Raised | TimedOut | Cancelled


class ToolEndedEntry(_Entry, frozen=True, kw_only=True, tag="tool_ended"):
    """A tool call has ended. One that harms nobody has no ToolStartedEntry before it."""

    run: RunPath
    call: str
    outcome: ToolOutcome

    @property
    def failed(self) -> bool:
        return not isinstance(self.outcome, Returned)


class AttemptFailedEntry(_Entry, frozen=True, tag="attempt_failed"):
    """An attempt failed. The next one may repeat calls whose errors no response followed.

    `ask_again`: the last response was of no use. The next attempt asks the model again.
    """

    ask_again: bool = False


class RestartedEntry(_Entry, frozen=True, tag="restarted"):
    """The entries before this one whose path begins with `run` are void."""

    run: RunPath


class ParkedEntry(_Entry, frozen=True, kw_only=True, tag="parked"):
    """The turn waits for approvals. It replaces the journal, all of which is part of `state`.

    `approvals` is what the run asked for. `began` is the agent's name and the digest of the input
    that the turn began with; `state` the SDK's RunState as JSON. The turn keeps `kept` items of the
    history before it, and has added `items`. `context_type` names the type of a run context that
    cannot be stored: `resume` needs a new one. `expires_at` is in POSIX seconds; None means never.
    `times` is how often the turn was parked, this time too.
    `event` is the attempt and the number of the event that says "turn.parked". `usage` has the
    counts of what the turn has consumed.
    """

    approvals: list[PendingApproval]
    kept: int
    items: list[Any]
    began: tuple[str, str]
    state: dict[str, Any]
    context_type: str | None = None
    expires_at: float | None = None
    event: tuple[int, int] | None = None
    usage: list[int] | None = None
    times: int | None = None


class DecidedEntry(_Entry, frozen=True, kw_only=True, tag="decided"):
    """Approvals and rejections, by id. A rejection has a message to the model, or None.

    `always` has the ids whose decision is about all calls of that tool by that agent.
    """

    approve: list[str]
    reject: dict[str, str | None]
    always: list[str] | None = None


Entry = (
    ResponseEntry
    | ToolStartedEntry
    | ToolEndedEntry
    | AttemptFailedEntry
    | RestartedEntry
    | ParkedEntry
    | DecidedEntry
)


def encode_entry(codec: Codec, entry: Entry) -> bytes:
    """The stored form of an entry. Raises EncodeError if something in it is not JSON."""
    return codec.encode(_json_object(entry))


def decode_entries(codec: Codec, stored: Sequence[bytes]) -> list[Entry]:
    """The entries of a stored journal, oldest first.

    Raises:
        DecodeError: an entry is damaged, or of a kind or shape that this version does not know.
            `index` says which.
    """
    entries: list[Entry] = []
    for index, value in enumerate(codec.decode_many(stored)):
        try:
            entries.append(_entry(value))
        except DecodeError as error:
            raise DecodeError(str(error), index=index) from None
    return entries


def read_journal(
    codec: Codec, session_id: str, turn_id: str, stored: Sequence[bytes]
) -> list[Entry]:
    """All entries of a turn's journal, oldest first. Raises UndecodableJournal."""
    try:
        return decode_entries(codec, stored)
    except DecodeError as error:
        raise _undecodable(session_id, turn_id, error) from None


def read_parked(
    codec: Codec, session_id: str, turn_id: str, stored: Sequence[bytes]
) -> list[Entry]:
    """The entries from the last ParkedEntry on; none if there is none.

    Earlier entries are not decoded: the ParkedEntry holds the state of the run.

    Raises:
        UndecodableJournal: one of these entries is damaged, or of a newer version.
    """
    entries: list[Entry] = []
    for index in reversed(range(len(stored))):
        try:
            entries.insert(0, _entry(codec.decode(stored[index])))
        except DecodeError as error:
            raise _undecodable(session_id, turn_id, f"element {index}: {error}") from None
        if isinstance(entries[0], ParkedEntry):
            return entries
    return []


def usage_in(counts: Mapping[str, Any]) -> TokenUsage:
    """A response's usage, as it is stored."""
    return TokenUsage(
        requests=counts.get("requests", 0),
        input_tokens=counts.get("input_tokens", 0),
        output_tokens=counts.get("output_tokens", 0),
        cached_tokens=counts.get("input_tokens_details", {}).get("cached_tokens", 0),
        reasoning_tokens=counts.get("output_tokens_details", {}).get("reasoning_tokens", 0),
    )


def usage_of(entries: Sequence[Entry]) -> TokenUsage:
    """What a journal's responses cost, those that are void by now too."""
    total = NO_USAGE
    for entry in entries:
        if isinstance(entry, ResponseEntry):
            total += usage_in(entry.response.usage)
        elif isinstance(entry, ParkedEntry):
            total = TokenUsage(*entry.usage or ())
    return total


def _undecodable(session_id: str, turn_id: str, reason: object) -> UndecodableJournal:
    return UndecodableJournal(
        f"the journal of turn {turn_id!r} cannot be decoded here ({reason}), so the turn cannot "
        "continue in this process. The journal is unchanged: send the turn again where the version "
        "that wrote it runs, or end the turn with session.cancel(session_id, turn_id); tools that "
        "it called may have run",
        session_id=session_id,
        turn_id=turn_id,
    )


def _entry(value: dict[str, Any]) -> Entry:
    try:
        entry: Entry = msgspec.convert(value, Entry)
    except msgspec.ValidationError as error:
        raise DecodeError(
            f"not a journal entry that this version knows ({error}); a newer version of Turnwise "
            "may have written it"
        ) from None
    return entry


def _json_object(struct: Struct) -> dict[str, Any]:
    """The struct's members that are not at their defaults. The codec checks their values."""
    config, defaults = type(struct).__struct_config__, _defaults(type(struct))
    tag = {} if config.tag_field is None else {config.tag_field: config.tag}
    return tag | {
        name: _json(value)
        for name, default in defaults.items()
        if (value := getattr(struct, name)) is not default
    }


def _json(value: Any) -> Any:
    if isinstance(value, Struct):
        return _json_object(value)
    if isinstance(value, list):
        return [asdict(one) if isinstance(one, PendingApproval) else one for one in value]
    return value


@cache
def _defaults(kind: type[Struct]) -> dict[str, Any]:
    """The members with the defaults that are left out: None and False, or NODEFAULT."""
    assert all(
        field.default in (None, False, NODEFAULT) for field in msgspec.structs.fields(kind)
    ), "compared by identity"
    return {field.encode_name: field.default for field in msgspec.structs.fields(kind)}
