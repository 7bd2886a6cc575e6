"""The results as tables."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from bench.memory import HELD_OUT, PLAIN, SHIPPED, UNSEEN
from bench.report_workers import workers_tables
from bench.tables import Table, ms, rate, times
from bench.targets import Results, aims

Measured = dict[str, Any]


def tables(results: Results) -> Iterator[Table]:
    """Those of what was measured, the targets first."""
    yield _targets(results)
    if "turns" in results:
        yield from (_turns(results), _cpu(results), _reads(results), _wire(results))
    for part, table in {"crowd": _crowd, "chat": _chat, "memory": _memory}.items():
        if part in results:
            yield table(results)
    if "embedded" in results:
        yield _embedded(results)
    yield from workers_tables(results)


def heading(results: Results) -> str:
    """What was measured on what, in a paragraph."""
    found = results["environment"]
    versions = ", ".join(f"{name} {number}" for name, number in found["versions"].items())
    quick = " A quick run: few rounds, wide spread." if results["quick"] else ""
    return (
        f"Measured {found['date']} at revision {found['revision'] or 'unknown'} with `make bench` "
        f"on {found['cpus']} CPUs ({found['system']}, load {found['load_before']} before and "
        f"{results['load_after']} after), "
        f"{found['server']} on loopback, Python {found['python']}; {versions}. All in one run, "
        "sides taking turns; medians, with the first and third quartile in brackets. Items have "
        f"about {found['item_bytes']} bytes. SDK: `agents.extensions.memory.RedisSession`.{quick}"
    )


def _targets(results: Results) -> Table:
    rows = [
        (aim.what, aim.sdk, aim.ours, aim.target, "met" if aim.met else "missed")
        for aim in aims(results)
    ]
    return Table("Targets", ("", "SDK", "Turnwise", "target", ""), rows)


def _turns(results: Results) -> Table:
    rows = []
    for length, found in results["turns"].items():
        ours, sdk, ping = found["turnwise"], found["sdk"], found["ping"]
        rows.append(
            (
                f"{int(length):,}",
                ms(sdk),
                ms(ours),
                times(sdk, ours),
                ms(ping),
                times(ours, ping),
                ms(found["turnwise copies"]),
            )
        )
    return Table(
        "Session cost of one turn in a run (ms)",
        ("items", "SDK", "Turnwise", "SDK ÷ Turnwise", "PING", "Turnwise ÷ PING", "with copies"),
        rows,
        "SDK: get_items, add_items(input), add_items(output). Turnwise: the same inside "
        "session.turn(), begin and commit included, the history handed out as Runner does it; "
        "last column: as copies of the caller's own.",
    )


def _cpu(results: Results) -> Table:
    rows = []
    for length, found in results["turns"].items():
        ours, sdk, ping = (found[f"{name} CPU"] for name in ("turnwise", "sdk", "ping"))
        rows.append((f"{int(length):,}", ms(sdk), ms(ours), times(sdk, ours), ms(ping)))
    return Table(
        "The same as CPU time of the calling process (ms)",
        ("items", "SDK", "Turnwise", "SDK ÷ Turnwise", "PING"),
        rows,
        "Where other programs keep the machine busy, this tells more than the clock.",
    )


def _reads(results: Results) -> Table:
    rows = []
    for length, found in results["reads"].items():
        sdk, warm, cold = found["sdk"], found["turnwise"], found["turnwise cold"]
        row = (f"{int(length):,}", ms(sdk), ms(warm), ms(cold))
        rows.append((*row, times(sdk, warm), times(sdk, cold)))
    return Table(
        "A caller's own get_items (ms)",
        ("items", "SDK", "Turnwise, warm", "cold", "SDK ÷ warm", "SDK ÷ cold"),
        rows,
        "Cold: this worker has not seen the session before.",
    )


def _wire(results: Results) -> Table:
    rows = []
    for length, found in results["wire"].items():
        sdk, ours = found["sdk"], found["turnwise"]
        rows.append((f"{int(length):,}", *_counts(sdk), *_counts(ours)))
    sides = [f"{side} {what}" for side in ("SDK", "Turnwise") for what in _COUNTED]
    return Table("One turn on the wire", ("items", *sides), rows)


_COUNTED = "commands", "round trips", "bytes out", "bytes in"


def _counts(found: Measured) -> Iterator[str]:
    yield f"{len(found['commands'])}"
    yield f"{found['round_trips']}"
    yield f"{found['bytes_sent']:,}"
    yield f"{found['bytes_received']:,}"


def _crowd(results: Results) -> Table:
    found, setting = results["crowd"], results["crowd_setting"]
    sdk, ours = found["sdk"], found["turnwise"]
    return Table(
        f"{setting['sessions']} concurrent sessions in one process (turns/s)",
        ("", "SDK", "Turnwise", "Turnwise ÷ SDK"),
        [
            (
                f"histories from {setting['history']} items",
                rate(sdk),
                rate(ours),
                times(ours, sdk),
            )
        ],
    )


def _chat(results: Results) -> Table:
    found, setting = results["chat"], results["chat_setting"]
    labels = {
        "none": "no session",
        "list": "a list in the process",
        "turnwise": "Turnwise",
        "sdk": "SDK's RedisSession",
    }
    rows = [
        (label, *(_chat_value(kind, found[name][kind]) for kind in _CHAT))
        for name, label in labels.items()
    ]
    return Table(
        "Chat requests/s of one FastAPI process",
        ("", *_CHAT.values()),
        rows,
        f"{setting['connections']} connections, conversations of {setting['turns']} turns, a model "
        "that answers at once. Without a session no history is read, so the SDK's loop has less "
        "to do; the list is the least that any session can cost.",
    )


_CHAT = {
    "rate": "requests/s",
    "share": "of no session",
    "cpu_rate": "requests per CPU second",
    "cpu_share": "of no session ",
}


def _chat_value(kind: str, sample: Measured) -> str:
    if not kind.endswith("share"):
        return rate(sample)
    return f"{sample['median']:.0%} ({sample['q1']:.0%}-{sample['q3']:.0%})"


def _memory(results: Results) -> Table:
    labels = {
        "sdk": "SDK",
        PLAIN: "Turnwise without compression",
        UNSEEN: "Turnwise, dictionary trained on made-up items only",
        HELD_OUT: "Turnwise, dictionary trained on this agent's other tasks",
        SHIPPED: "Turnwise as shipped (its dictionary has seen these conversations)",
    }
    rows = []
    for name, label in labels.items():
        found = results["memory"][name]
        first, third = found["of_each"]["q1"], found["of_each"]["q3"]
        rows.append(
            (label, f"{found['bytes']:,}", f"{found['share']:.1%}", f"{first:.0%}-{third:.0%}")
        )
    count = results["memory"]["sdk"]["of_each"]["n"]
    return Table(
        f"Redis memory of {count} real tool-calling conversations (MEMORY USAGE)",
        ("", "bytes", "share", "half of the conversations"),
        rows,
    )


def _embedded(results: Results) -> Table:
    names = "sdk SQLite", "turnwise SQLite", "turnwise memory"
    rows = [
        (f"{int(length):,}", *(ms(found[name]) for name in names))
        for length, found in results["embedded"].items()
    ]
    return Table(
        "Session cost of one turn on other stores (ms)",
        ("items", "SDK's SQLiteSession", "Turnwise on SQLite", "Turnwise in memory"),
        rows,
    )
