"""Tables of what takes more than one process: durable, background and waiting turns."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from bench.background import CLIENTS, SHARE
from bench.idle import ITEMS, WITH, WITHOUT
from bench.steps import BARE, OURS, PLAIN, SDK
from bench.tables import Measured, Table, ms, rate, tail, times

Results = dict[str, Any]


def workers_tables(results: Results) -> Iterator[Table]:
    """Those of what was measured."""
    for part, table in _TABLES.items():
        if part in results:
            yield table(results[part])


def _steps(found: Results) -> Table:
    labels = {
        BARE: "SDK, no session",
        SDK: "SDK with its RedisSession",
        PLAIN: "Turnwise without the journal",
        OURS: "Turnwise",
    }
    rows = []
    for side, label in labels.items():
        kinds = found[side]
        row = (label, *(ms(kinds[kind]) for kind in ("run", "step", "tool")))
        cpu, sdk = kinds["step CPU"], found[SDK]
        rows.append((*row, ms(cpu), times(kinds["step"], sdk["step"])))
    return Table(
        "Durable runs: cost of a run and of each step in it (ms)",
        (
            "",
            "a run without tools",
            "each step",
            "each further tool",
            "a step's CPU",
            "step ÷ SDK's",
        ),
        rows,
        "A step is one response of a model, which answers at once, and one tool, which does "
        "nothing: an eighth of what a run with nine of them takes more than a run with one. "
        "Further tools are called by the same response.",
    )


def _takeover(found: Results) -> Table:
    rows = [
        (f"lease of {lease} s, {name}", str(sample["n"]), *tail(sample))
        for lease, samples in found.items()
        for name, sample in samples.items()
    ]
    return Table(
        "Takeover after SIGKILL of a worker in mid-tool (s)",
        ("", "turns", "median", "99 %", "worst"),
        rows,
        "From the kill to the other worker's first call of a model. Sent again: its sender waits "
        "in another process; background: another worker process is idle. A lease is renewed when "
        "a third of it has passed, so it runs out two thirds to a whole one after the kill.",
    )


def _cancel(found: Results) -> Table:
    return _tails("Cancelling a turn of another process, in a tool (ms)", found)


def _background(found: Results) -> Table:
    rows = [
        (
            name,
            rate(kinds["turns"]),
            *tail(kinds["idle"])[:2],
            *tail(kinds["loaded"])[:2],
        )
        for name, kinds in found.items()
    ]
    return Table(
        "Background turns of one worker process",
        ("", "turns/s", "submit to begin at idle, ms", "99 %", f"at {SHARE:.0%} load, ms", "99 % "),
        rows,
        f"A model that answers at once; 50 sessions at a time. Turns/s: {CLIENTS} clients, each of "
        "which submits its next message when its last one is answered. Load: this share of the "
        "turns/s, coming as chance has it. Submitter, worker and server share the machine.",
    )


def _fairness(found: Results) -> Table:
    rows = [
        (f"{name}, {label}", str(kinds[kind]["n"]), *tail(kinds[kind]))
        for name, kinds in found.items()
        for kind, label in (("alone", "alone"), ("beside", "beside the hot session"))
    ]
    messages = next(iter(found.values()))["messages"]
    return Table(
        f"Submit to begin beside a session with {messages:,} waiting messages (ms)",
        ("", "messages", "median", "99 %", "worst"),
        rows,
        "One worker process; the hot session's turns ran all the time.",
    )


def _idle(found: Results) -> Table:
    labels = {
        "turn": "session cost of one turn, 10 items",
        "begin": "background, submit to begin",
        "ping": "PING",
    }
    rows = [
        (
            label,
            ms(found[kind][WITHOUT]),
            ms(found[kind][WITH]),
            f"{found[kind][WITH]['median'] / found[kind][WITHOUT]['median']:.2f}",
        )
        for kind, label in labels.items()
    ]
    return Table(
        f"{found['sessions']:,} idle sessions in the store (ms)",
        ("", "without", "with", "with ÷ without"),
        rows,
        f"Each of {ITEMS} items, {found['bytes'] / found['sessions']:,.0f} bytes of memory. "
        "Without: before and after. The look through all of them for lost wake-ups, every ten "
        f"minutes by one worker of the fleet, took {found['sweep']:.1f} s.",
    )


def _waiting(found: Results) -> Table:
    line = found["line"]
    named = {**found["wake_up"], f"{line['callers']} in line, each": line["next"]}
    return _tails(
        "From the end of a turn to the begin of one that waits (ms)",
        named,
        f"The waiting one is in another process; in line, the one before in the same. While "
        f"{line['callers']} waited: {line['scripts']:.1f} calls of scripts a second, "
        f"{line['commands']:.1f} commands a second of all kinds.",
    )


def _tails(title: str, samples: Mapping[str, Measured], note: str = "") -> Table:
    rows = [(name, str(sample["n"]), *tail(sample)) for name, sample in samples.items()]
    return Table(title, ("", "turns", "median", "99 %", "worst"), rows, note)


_TABLES = {
    "steps": _steps,
    "takeover": _takeover,
    "cancel": _cancel,
    "background": _background,
    "fairness": _fairness,
    "idle": _idle,
    "waiting": _waiting,
}
