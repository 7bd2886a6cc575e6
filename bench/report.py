"""The tables of the results."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

from bench.concurrency import CALLERS, MEMORY, SERVER, SESSIONS
from bench.contenders import MAX_CONNECTIONS, PING, SDK, TURNWISE
from bench.images import BACKGROUND, IMAGE_BYTES, ONE_SHOT, TURN_ID
from bench.memory import OTHER_TASKS, SHIPPED, SYNTHETIC, UNCOMPRESSED
from bench.report_workers import worker_tables
from bench.tables import Measured, Table, ms, rate, ratio
from bench.targets import Results, targets


def tables(results: Results) -> Iterator[Table]:
    """The targets, then the tables of the parts that were measured."""
    yield target_table(results)
    if "turns" in results:
        yield from (_turns(results), _cpu(results), _reads(results), _traffic(results))
    for part, table in _TABLES.items():
        if part in results:
            yield table(results)
    yield from worker_tables(results)


def heading(results: Results) -> str:
    """One paragraph: when, where and how the results were measured."""
    found = results["environment"]
    versions = ", ".join(f"{name} {number}" for name, number in found["versions"].items())
    quick = " A quick run: few rounds, wide spread." if results["quick"] else ""
    return (
        f"Measured {found['date']} at revision {found['revision'] or 'unknown'} with `make bench` "
        f"on {found['cpus']} CPUs ({found['system']}, load {found['load_before']} before and "
        f"{results['load_after']} after), "
        f"{found['server']} on loopback, Python {found['python']}; {versions}. All in one run, "
        "each side in phases of its own, which take turns; medians, with first and third quartile "
        "in brackets. Items have "
        f"about {found['item_bytes']} bytes. SDK: `agents.extensions.memory.RedisSession`.{quick}"
    )


def target_table(results: Results) -> Table:
    rows = [
        (each.what, each.sdk, each.turnwise, each.goal, each.verdict) for each in targets(results)
    ]
    return Table("Targets", ("", "SDK", "Turnwise", "target", ""), rows)


def _turns(results: Results) -> Table:
    rows = []
    for length, found in results["turns"].items():
        turnwise, sdk, ping = found["turnwise"], found["sdk"], found["ping"]
        rows.append(
            (
                f"{int(length):,}",
                ms(sdk),
                ms(turnwise),
                ratio(sdk, turnwise),
                ms(ping),
                ratio(turnwise, ping),
                ms(found["turnwise copies"]),
            )
        )
    return Table(
        "Session cost of one turn in a run (ms)",
        ("items", "SDK", "Turnwise", "SDK ÷ Turnwise", "PING", "Turnwise ÷ PING", "with copies"),
        rows,
        "SDK: get_items, add_items(input), add_items(output). Turnwise: the same inside "
        "session.turn(), begin and commit included; get_items returns the cached items, as in "
        "Runner, or copies of them in the last column.",
    )


def _cpu(results: Results) -> Table:
    rows = []
    for length, found in results["turns"].items():
        turnwise, sdk, ping = (found[f"{name} CPU"] for name in ("turnwise", "sdk", "ping"))
        rows.append((f"{int(length):,}", ms(sdk), ms(turnwise), ratio(sdk, turnwise), ms(ping)))
    return Table(
        "CPU time of the calling process for one turn in a run (ms)",
        ("items", "SDK", "Turnwise", "SDK ÷ Turnwise", "PING"),
        rows,
        "On a busy machine, CPU time is more reliable than elapsed time.",
    )


def _reads(results: Results) -> Table:
    rows = []
    for length, found in results["reads"].items():
        sdk, warm, cold = found["sdk"], found["turnwise"], found["turnwise cold"]
        row = (f"{int(length):,}", ms(sdk), ms(warm), ms(cold))
        rows.append((*row, ratio(sdk, warm), ratio(sdk, cold)))
    return Table(
        "get_items outside of a run (ms)",
        ("items", "SDK", "Turnwise, warm cache", "cold cache", "SDK ÷ warm", "SDK ÷ cold"),
        rows,
        "It returns copies. Cold cache: this worker has not seen the session before.",
    )


def _traffic(results: Results) -> Table:
    rows = []
    for length, found in results["traffic"].items():
        counts = (*_counts(found["sdk"]), *_counts(found["turnwise"]))
        rows.append((f"{int(length):,}", *counts))
    columns = [f"{name} {what}" for name in ("SDK", "Turnwise") for what in _COUNTED]
    return Table("Network traffic of one turn", ("items", *columns), rows)


_COUNTED = "commands", "round trips", "bytes sent", "bytes received"


def _counts(found: Measured) -> Iterator[str]:
    yield f"{len(found['commands'])}"
    yield f"{found['round_trips']}"
    yield f"{found['bytes_sent']:,}"
    yield f"{found['bytes_received']:,}"


def _concurrency(results: Results) -> Table:
    rows = [
        (
            f"{int(length):,} items, {label}",
            *(rate(samples[name + kind]) for name in (SDK, TURNWISE, MEMORY, PING)),
            f"{samples[TURNWISE + kind]['median'] / samples[SDK + kind]['median']:.2f}",
        )
        for length, samples in results["concurrency"].items()
        for kind, label in (("", "turns/s"), (SERVER, "server CPU, µs a turn"))
    ]
    return Table(
        f"{SESSIONS} concurrent sessions in one process",
        ("histories from", "SDK", "Turnwise", "Turnwise in memory", "PING", "Turnwise ÷ SDK"),
        rows,
        "PING: the same, with a PING in place of each turn. In memory: what the process itself can "
        "do, without a server. The server's CPU time is what INFO says before and after. Turnwise "
        "has a cache_bytes that holds all these histories: a decoded one counts five times.",
    )


def _connections(results: Results) -> Table:
    found = results["connections"]
    return Table(
        f"Connections to the server that {CALLERS} concurrent turns hold",
        ("", "SDK", "Turnwise"),
        [("connections", str(found[SDK]), str(found[TURNWISE]))],
        f"Either client may open {MAX_CONNECTIONS:,}.",
    )


def _images(results: Results) -> Table:
    found = results["images"]
    labels = {
        SDK: "SDK",
        ONE_SHOT: "Turnwise",
        TURN_ID: "Turnwise, with a turn_id",
        BACKGROUND: "Turnwise, in the background",
    }
    rows = [
        (label, f"{found[kind]:,}", f"{found[kind] / found['item']:.0%}")
        for kind, label in labels.items()
    ]
    return Table(
        "Redis memory of a turn whose tool returns an image (MEMORY USAGE)",
        ("", "bytes", "relative to the item"),
        rows,
        f"A random image of {IMAGE_BYTES:,} bytes; its item takes {found['item']:,} as JSON. Of "
        "Turnwise the session's key, without the events of a background turn, which expire.",
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
        "Chat requests per second of one FastAPI process",
        ("", *_CHAT.values()),
        rows,
        f"{setting['connections']} connections, conversations of {setting['turns']} turns, a model "
        "that answers at once. Without a session there is no history, so the SDK's loop does less "
        "work; the list is the minimum that any session costs.",
    )


_CHAT = {
    "rate": "requests/s",
    "share": "relative to no session",
    "cpu_rate": "requests per CPU second",
    "cpu_share": "relative to no session ",
}


def _chat_value(kind: str, sample: Measured) -> str:
    if not kind.endswith("share"):
        return rate(sample)
    return f"{sample['median']:.0%} ({sample['q1']:.0%}-{sample['q3']:.0%})"


def _memory(results: Results) -> Table:
    labels = {
        "sdk": "SDK",
        UNCOMPRESSED: "Turnwise without compression",
        SYNTHETIC: "Turnwise, dictionary trained on synthetic items only",
        OTHER_TASKS: "Turnwise, dictionary trained on this agent's other tasks",
        SHIPPED: "Turnwise as shipped (dictionary trained on these conversations too)",
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
        ("", "bytes", "relative to SDK", "quartiles of the conversations"),
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


_TABLES: Mapping[str, Callable[[Results], Table]] = {
    "concurrency": _concurrency,
    "connections": _connections,
    "chat": _chat,
    "memory": _memory,
    "images": _images,
    "embedded": _embedded,
}
