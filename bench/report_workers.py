"""The tables of durable runs, takeovers, and background and waiting turns."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from bench.background import CLIENTS, LOAD
from bench.chat import CONNECTIONS
from bench.growth import AGENTS, MESSAGES, SDK_AGENTS, SESSIONS
from bench.idle import ITEMS, PAUSE_MS, WITH, WITHOUT, WORKERS
from bench.serve import LONG, SHORT
from bench.serve_agents import TOKENS
from bench.steps import NO_JOURNAL, NO_SESSION, SDK, TURNWISE
from bench.tables import Measured, Table, ms, percentiles, rate, ratio
from bench.targets import Results
from bench.watching import BROWSERS


def worker_tables(results: Results) -> Iterator[Table]:
    """The tables of the parts that were measured."""
    for part, table in _TABLES.items():
        if part in results:
            yield table(results[part])


def _steps(found: Results) -> Table:
    labels = {
        NO_SESSION: "SDK, no session",
        SDK: "SDK with its RedisSession",
        NO_JOURNAL: "Turnwise without the journal",
        TURNWISE: "Turnwise",
    }
    rows = []
    for contender, label in labels.items():
        kinds = found[contender]
        row = (label, *(ms(kinds[kind]) for kind in ("run", "step", "tool")))
        cpu, sdk = kinds["step CPU"], found[SDK]
        rows.append((*row, ms(cpu), ratio(kinds["step"], sdk["step"])))
    return Table(
        "Durable runs: cost of a run and of each step (ms)",
        (
            "",
            "run without tools",
            "per step",
            "per further tool",
            "CPU per step",
            "step ÷ SDK step",
        ),
        rows,
        "A step is one model response and one tool call; the model answers at once, the tool does "
        "nothing. Its cost is an eighth of the difference between a run with nine steps and a run "
        "with one. Further tools are parallel calls in the same response.",
    )


def _takeover(found: Results) -> Table:
    rows = [
        (f"lease of {lease} s, {name}", str(sample["n"]), *percentiles(sample))
        for lease, samples in found.items()
        for name, sample in samples.items()
    ]
    return Table(
        "Takeover after SIGKILL of a worker during a tool call (s)",
        ("", "turns", "median", "p99", "max"),
        rows,
        "From the kill to the other worker's first model call. Retried: a caller in another "
        "process has retried the turn and waits. Background: another worker process is idle. A "
        "lease is renewed after a third of its time, so it expires between two thirds of it and "
        "all of it after the kill.",
    )


def _cancel(found: Results) -> Table:
    return _percentiles_table("Cancelling a turn of another process during a tool call (ms)", found)


def _background(found: Results) -> Table:
    rows = [
        (
            name,
            rate(kinds["turns"]),
            *percentiles(kinds["idle"])[:2],
            *percentiles(kinds["loaded"])[:2],
        )
        for name, kinds in found.items()
    ]
    return Table(
        "Background turns of one worker process",
        ("", "turns/s", "submit to begin when idle, ms", "p99", f"at {LOAD:.0%} load, ms", "p99 "),
        rows,
        f"A model that answers at once; 50 sessions at a time. Turns/s: {CLIENTS} clients, each of "
        "which submits its next message when the last one is committed. Load: this share of the "
        "turns/s, at random times. Submitter, worker and server share the machine.",
    )


def _fairness(found: Results) -> Table:
    rows = [
        (f"{name}, {label}", str(kinds[kind]["n"]), *percentiles(kinds[kind]))
        for name, kinds in found.items()
        for kind, label in (("alone", "alone"), ("beside_hot", "beside the hot session"))
    ]
    messages = next(iter(found.values()))["messages"]
    return Table(
        f"Submit to begin beside a session with {messages:,} queued messages (ms)",
        ("", "messages", "median", "p99", "max"),
        rows,
        "One worker process, which runs the hot session's turns all the time.",
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
    looks = {
        "list": "first page of `turnwise sessions list`",
        "stuck": "`turnwise stuck`",
        "watch": "a look behind the dashboard and `turnwise top`, as long as it may be",
        "workers": f"`turnwise workers list`, {WORKERS} workers",
        "overview": "the dashboard's overview, asked for over HTTP",
    }
    known = found["looks"]
    rows += [(label, "", ms(known[kind]), "") for kind, label in looks.items() if kind in known]
    return Table(
        f"{found['sessions']:,} idle sessions in the store (ms)",
        ("", "without", "with", "with ÷ without"),
        rows,
        f"Each of {ITEMS} items, {found['bytes'] / found['sessions']:,.0f} bytes of memory. "
        "Without: before and after. The scan of all sessions for lost wake-ups, which one worker "
        f"of the fleet makes every ten minutes, took {found['sweep']:.1f} s. Of the commands of "
        f"operators' looks and of a walk through all sessions {found['pauses']} took the server "
        f"longer than {PAUSE_MS} ms.{_slowest(found)}{_browsers(found)}",
    )


def _slowest(found: Results) -> str:
    slowest = found.get("slowest") or []
    return "".join(f" The longest: {name}, {took:.1f} ms." for name, took in slowest[:1])


def _browsers(found: Results) -> str:
    if (browsers := found.get("browsers")) is None:
        return ""
    return (
        f" {BROWSERS} browsers that watch the dashboard ({browsers['pages']:.0f} pages/s) cost the "
        f"server {browsers['with']:.1%} of a core; it needs {browsers['without']:.1%} alone."
    )


def _waiting(found: Results) -> Table:
    queue = found["queue"]
    named = {**found["wake_up"], f"each of {queue['callers']} in the queue": queue["delay"]}
    return _percentiles_table(
        "From the end of a turn to the begin of a waiting turn (ms)",
        named,
        f"First rows: the waiting turn is in another process than the one that ends. Last row: "
        f"{queue['callers']} turns of one process wait for one session, and begin one after the "
        f"other. While all wait, the server gets {queue['scripts']:.1f} script calls and "
        f"{queue['commands']:.1f} commands of all kinds per second.",
    )


def _growth(found: Results) -> Table:
    labels = {
        SESSIONS: "sessions, every second of them empty",
        MESSAGES: "background turns, each of its own session",
        AGENTS: "agents made for their request",
        SDK_AGENTS: "the same agents, run by the SDK without a session",
    }
    rows = [
        (
            labels[kind],
            f"{each['number']:,.0f}",
            f"{each['growth']:,.0f}",
            f"{each['megabytes']:,.0f}",
        )
        for kind, each in found.items()
    ]
    return Table(
        "Growth of a process (resident memory)",
        ("", "number", "bytes for each", "MB at the end"),
        rows,
        "The median growth over the last three quarters of them. In the first the cache, of 1 MiB "
        "here, fills up, and so does what a worker remembers of 10,000 finished turns.",
    )


def _parked(found: Results) -> Table:
    return _beside(found, "parked sessions", "wait for an approval")


def _open_turns(found: Results) -> Table:
    return _beside(found, "sessions with open turns", "run in another process")


def _beside(found: Results, which: str, what_they_do: str) -> Table:
    rows = [
        (label, f"{each['cpu']:.1%}", f"{each['commands']:,.0f}")
        for label, each in ((WITHOUT, found[WITHOUT]), (WITH, found[WITH]))
    ]
    return Table(
        f"A background worker beside {found['sessions']:,} {which}, each with a message",
        ("", "CPU of the worker", "commands/s of the server"),
        rows,
        f"Their turns {what_they_do}, their messages wait for the turns. Commands inside scripts "
        f"count.{_begin_beside(found)}",
    )


def _begin_beside(found: Results) -> str:
    if (begin := found.get("begin")) is None:
        return ""
    return (
        f" A message on another session begins {ms(begin[WITH])} ms after its submit, and after "
        f"{ms(begin[WITHOUT])} ms without them; one that comes behind a wake-up of each of them "
        f"after {found['first']:,.0f} ms."
    )


def _serve(found: Results) -> Table:
    rows = [
        (f"{label}, {int(length):,} items", *(rate(sides[name][kind]) for name in _SIDES))
        for length, sides in found["rates"].items()
        for kind, label in (("rate", "requests/s"), ("cpu", "requests per CPU second"))
    ]
    rows.append(("first token, ms", *(ms(found["first_token"][name]) for name in _SIDES)))
    rows.append((f"resume of {TOKENS:,} events, ms", "", ms(found["resume"])))
    idle = found["idle"]
    return Table(
        "`turnwise serve` with its worker inside, beside an app on the SDK's session",
        ("", "SDK", "Turnwise"),
        rows,
        f"One process each; {CONNECTIONS} connections; a model that answers at once. Histories of "
        f"{SHORT} items on average, and from {LONG:,} items. Of the app only what its server "
        "process takes counts as CPU. First token: one request after the other. Resume: a finished "
        f"turn, from its second event on. {idle['streams']:,} streams to which nothing comes take "
        f"{idle['bytes'] / 1_000_000:.0f} MB and {idle['with']['cpu']:.1%} of a CPU of the server "
        f"({idle['without']['cpu']:.1%} without), and {idle['with']['commands']:,.0f} commands/s "
        "of the store.",
    )


_SIDES = SDK, TURNWISE


def _streams(found: Results) -> Table:
    row = [f"{number:.0f}" for number in found["megabytes"]]
    return Table(
        f"{found['streams']:,} streams at once, each with a turn of its own",
        ("", "streams that lost a word", "CPU", "MB when all are open", "", "", "MB at the end"),
        [("the server", str(found["lost"]), f"{found['cpu']:.0%}", *row)],
        "One server process with its worker inside; each turn says a word now and then.",
    )


def _percentiles_table(title: str, samples: Mapping[str, Measured], note: str = "") -> Table:
    rows = [(name, str(sample["n"]), *percentiles(sample)) for name, sample in samples.items()]
    return Table(title, ("", "turns", "median", "p99", "max"), rows, note)


_TABLES = {
    "steps": _steps,
    "takeover": _takeover,
    "cancel": _cancel,
    "background": _background,
    "fairness": _fairness,
    "idle": _idle,
    "waiting": _waiting,
    "growth": _growth,
    "parked": _parked,
    "open_turns": _open_turns,
    "serve": _serve,
    "streams": _streams,
}
