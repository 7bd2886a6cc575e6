"""The figures in README.md: written from the results, between two marks."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from textwrap import fill

from bench.background import LOAD
from bench.concurrency import MEMORY, SESSIONS
from bench.contenders import SDK, TURNWISE
from bench.images import IMAGE_BYTES, ONE_SHOT
from bench.report import target_table
from bench.steps import NO_JOURNAL
from bench.targets import Results

README = Path(__file__).parents[1] / "README.md"
START, END = "<!-- bench:start -->\n", "<!-- bench:end -->\n"
_WIDTH = 110
_PLOT = (
    "![Cost of one turn against the length of the history, both libraries](bench/results/turns.png)"
)


def write_figures(results: Results, path: Path = README) -> None:
    """Replace what stands between the marks by the figures of these results."""
    text = path.read_text(encoding="utf-8")
    before, rest = text.split(START)
    _, after = rest.split(END)
    path.write_text(f"{before}{START}{figures(results)}{END}{after}", encoding="utf-8")


def figures(results: Results) -> str:
    """As Markdown: how it was measured, the targets, and what the table does not tell."""
    notes = [
        note for part, write in _NOTES.items() if part in results for note in write(results[part])
    ]
    return "\n".join(
        [
            fill(_measured(results), _WIDTH),
            "",
            *target_table(results).markdown_rows(),
            "",
            _PLOT,
            "",
            *(fill(f"- {note}", _WIDTH, subsequent_indent="  ") for note in notes),
            "",
        ]
    )


def _measured(results: Results) -> str:
    found = results["environment"]
    versions = found["versions"]
    quick = " It was a quick run: few rounds, wide spread." if results["quick"] else ""
    return (
        f"Measured {found['date'][:10]} with `make bench`, side by side with the SDK's own "
        f"`RedisSession`, on {found['cpus']} CPUs, {found['server']} on loopback, Python "
        f"{found['python']}, openai-agents {versions['openai-agents']}, redis-py "
        f"{versions['redis']}. Medians; items of about {found['item_bytes']} bytes. Read the "
        f"ratios: times depend on the machine.{quick} A target is a limit that was measured, in "
        "the same run or by a prototype; where there is none, there is no target. "
        "[All tables, with spread](bench/results/results.md)."
    )


def _traffic(found: Results) -> Iterator[str]:
    length = list(found)[-1]
    turnwise, sdk = found[length][TURNWISE], found[length][SDK]
    yield (
        f"**A turn costs {len(turnwise['commands'])} commands and {turnwise['round_trips']} round "
        f"trips** (the SDK's session: {len(sdk['commands'])} and {sdk['round_trips']}). At "
        f"{int(length):,} items it moves "
        f"{(turnwise['bytes_sent'] + turnwise['bytes_received']) / 1000:.1f} kB "
        f"(the SDK's: {(sdk['bytes_sent'] + sdk['bytes_received']) / 1000:,.0f} kB)."
    )


def _concurrency(found: Results) -> Iterator[str]:
    for length, samples in found.items():
        share = samples[TURNWISE]["median"] / samples[MEMORY]["median"]
        yield (
            f"**{SESSIONS} sessions at once**, {int(length):,} items: {share:.0%} of the turns/s "
            "that Turnwise reaches in the memory of the process, without any server."
        )


def _steps(found: Results) -> Iterator[str]:
    turnwise, sdk, without = (found[name]["step"]["median"] for name in (TURNWISE, SDK, NO_JOURNAL))
    yield (
        "**A durable step**, a model's response and a tool's call, both journaled, takes a run "
        f"{turnwise:.2f} ms. The SDK's run with its `RedisSession` takes {sdk:.2f} ms; without "
        f"the journal it is {without:.2f} ms."
    )


def _background(found: Results) -> Iterator[str]:
    for store, kinds in found.items():
        loaded = kinds["loaded"]
        yield (
            f"**One background worker process on {store}** answers "
            f"{kinds['turns']['median']:,.0f} turns a second, its submitters on the same CPUs. At "
            f"{LOAD:.0%} of that load a turn begins {loaded['median']:.1f} ms after its submit, "
            f"one in a hundred after {loaded['p99']:.0f} ms."
        )


def _fairness(found: Results) -> Iterator[str]:
    for store, kinds in found.items():
        alone, beside = kinds["alone"], kinds["beside_hot"]
        yield (
            f"**Beside a session with {kinds['messages']:,} waiting messages** the turns of others "
            f"begin after {beside['median']:.1f} ms on {store}, one in a hundred after "
            f"{beside['p99']:.0f} ms (without it: {alone['median']:.1f} and "
            f"{alone['p99']:.0f} ms)."
        )


def _memory(_: Results) -> Iterator[str]:
    yield (
        "**Memory** is measured with a dictionary that never saw those conversations' tasks. The "
        "one we ship was trained on this agent and does a little better on it. Of an agent unlike "
        "it expect about half."
    )


def _images(found: Results) -> Iterator[str]:
    yield (
        f"**An image of {IMAGE_BYTES:,} bytes** as a tool's output: a turn without a turn_id "
        f"takes {found[ONE_SHOT] / found['item']:.0%} of its item's size."
    )


_NOTES: Mapping[str, Callable[[Results], Iterator[str]]] = {
    "traffic": _traffic,
    "concurrency": _concurrency,
    "steps": _steps,
    "background": _background,
    "fairness": _fairness,
    "memory": _memory,
    "images": _images,
}
