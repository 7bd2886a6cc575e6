"""What the clients of the state machine may do.

Their pool of turn_ids is small: that one is used twice is what matters.
"""

from __future__ import annotations

from hypothesis import strategies as st

from tests.conformance import clients
from tests.conformance.clients import Task

CLIENTS = 3
TURN_IDS = [f"turn-{number}" for number in range(3)]
MESSAGES = [f"message-{number}" for number in range(2)]

turn_ids = st.sampled_from(TURN_IDS)
any_ids = st.sampled_from(TURN_IDS + MESSAGES)
ENDS: list[clients.End] = ["commit", "commit", "cut", "cancelled", "park", "abort", "release"]
direct = st.builds(
    clients.Work,
    entries=st.integers(0, 2),
    renewed=st.booleans(),
    items=st.integers(0, 2),
    end=st.sampled_from(ENDS),
    base=st.sampled_from(["granted", "read before"]),
)
heirs = st.builds(
    clients.Work, entries=st.integers(0, 2), end=st.sampled_from(["commit", "abort", "release"])
)
queued = st.builds(
    clients.Work,
    entries=st.integers(0, 2),
    end=st.sampled_from([*ENDS, "fail", "dead_letter", "stop", "stop"]),
)
turns = st.builds(clients.Turn, turn_ids, direct, waits=st.booleans())
changes = st.builds(clients.Change, st.sampled_from(["append", "pop", "clear", "replace"]))
based: st.SearchStrategy[Task] = st.one_of(
    st.builds(clients.Turn, turn_ids, st.just(clients.Work(base="read before"))),
    st.builds(clients.Change, st.sampled_from(["pop", "replace"])),
)
"""What may only be done to the history that was read."""
submits = st.builds(clients.Submit, st.sampled_from(MESSAGES), st.sampled_from([b"one", b"two"]))
workers = st.builds(clients.Worker, queued)
operators = st.sampled_from(
    [
        clients.Operate("expire"),
        clients.Operate("expire", 10**9),
        clients.Operate("expire", 10**9),
        clients.Operate("delete"),
    ]
)
tasks: st.SearchStrategy[Task] = st.one_of(
    turns,
    turns,
    turns,
    changes,
    changes,
    submits,
    submits,
    workers,
    workers,
    st.builds(clients.Resume, any_ids, direct),
    st.builds(clients.EndStopped, st.sampled_from(MESSAGES)),
    st.builds(
        clients.Cancel,
        any_ids,
        keep=st.booleans(),
        force=st.booleans(),
        open_only=st.booleans(),
    ),
    operators,
)
who = st.integers(0, CLIENTS - 1)
another = st.integers(1, CLIENTS - 1)
"""How many clients further on."""
ALL = 9
some = st.sampled_from([1, 2, 2, 3, ALL])
"""Calls that a client makes in one go; nine are all of most tasks."""
begun = st.sampled_from([2, 2, 3, ALL])
"""As many as it takes until a turn is open, at the least."""
