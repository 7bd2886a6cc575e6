"""Does the harness find bugs? Plants one at a time and runs a short chaos until it is caught.

`python -m chaos.mutants` plants all of them, or those that are named.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from chaos import arena, crew, planted, report
from chaos.checker import check
from chaos.nemesis import Strike, late, network, workers
from chaos.planted import PLANTED, VARIABLE
from chaos.topologies import TOPOLOGIES
from chaos.workload import Plan

_ROUND = 6.0
_ROUNDS = 8
_LONGEST = 180.0
"""Seconds after which a round, which takes some 15, is said to have no end."""

_CONTROL = "(none)"


@dataclass(frozen=True)
class Trial:
    """A workload and faults among which a kind of bug shows."""

    plan: Plan
    strikes: tuple[tuple[Strike, ...], ...] = ((),)
    topology: str = "valkey"


_NO_TURNS = {"brief": 0.0, "held": 0.0}
PLAIN = Trial(
    Plan(pumps=32, turn_sessions=1, plain_sessions=10, plain_life=30, weights={"clear": 2.0}),
    ((network.LoseReplies(), network.CutReplies()),),
)
ANSWERS = Trial(
    Plan(
        turn_sessions=20,
        plain_sessions=1,
        approval_sessions=0,
        policy_sessions=0,
        duplicates=0.5,
        weights={"submit": 0.0},
    )
)
RUNS = Trial(
    Plan(turn_sessions=60, plain_sessions=1, busy=1, weights=_NO_TURNS),
    ((workers.KillWorker(), workers.WakeRival()), (network.LoseReplies(),)),
)
RIVALS = Trial(
    Plan(turn_sessions=80, plain_sessions=1, busy=1, hold=0.8, weights={"run": 2.0}),
    ((workers.WakeRival(),),),
)
LATE = Trial(
    Plan(pumps=16, turn_sessions=40, plain_sessions=1, weights={"held": 0.0}),
    ((late.LateBegin(),),),
)
CANCELS = Trial(
    Plan(turn_sessions=60, plain_sessions=1, busy=2, hold=0.5, cancels=0.6),
    ((workers.KillWorker(), workers.FreezeWorker()),),
)
_NO_PLAIN = {"read": 0.0, "run": 0.0, "streamed": 0.0, "plain-run": 0.0}
MESSAGES = Plan(
    pumps=48,
    turn_sessions=30,
    plain_sessions=1,
    approval_sessions=0,
    policy_sessions=0,
    cancels=0.0,
    weights=_NO_TURNS | _NO_PLAIN,
    gives_up=1.0,
    patience=4.0,
)
MESSAGES_LOST = Trial(MESSAGES, ((workers.KillWorker(),),))
MESSAGES_LATE = Trial(MESSAGES, ((network.DelayRequests(), network.DropRequests()),))
MESSAGES_ON_SQLITE = replace(MESSAGES_LOST, topology="sqlite")
MESSAGES_ON_CLUSTER = replace(MESSAGES_LOST, topology="cluster")
_PUSHED = Plan(
    pumps=48,
    turn_sessions=1,
    plain_sessions=1,
    approval_sessions=0,
    policy_sessions=24,
    cancels=0.0,
)
INTERRUPTS = Trial(_PUSHED)
ANSWERS_BEHIND_SENTINELS = replace(ANSWERS, topology="sentinel")
APPROVALS = Trial(
    Plan(
        pumps=48,
        turn_sessions=1,
        plain_sessions=1,
        approval_sessions=24,
        policy_sessions=0,
        cancels=0.0,
        weights=_NO_TURNS | _NO_PLAIN,
    ),
    ((workers.KillWorker(), network.LoseReplies()),),
)
INTERRUPTS_ON_SQLITE = Trial(_PUSHED, topology="sqlite")
UNDISTURBED = Trial(
    Plan(turn_sessions=60, plain_sessions=1, busy=2, hold=0.5, cancels=0.6), topology="sqlite"
)
SLOW_RIVALS = Trial(
    Plan(turn_sessions=80, plain_sessions=1, busy=1, weights=_NO_TURNS), ((workers.WakeRival(),),)
)

MUTANTS: dict[str, tuple[str, Trial]] = {
    "integer-compare": ("a history is named by its length, not by its last commit id", PLAIN),
    "stale-cache": ("a cached history is taken for right after pop or clear", PLAIN),
    "clear-by-pops": ("clear takes one item after the other", PLAIN),
    "retry-with-new-id": ("what is sent again is another operation", PLAIN),
    "append-not-looked-up": ("append does not look whether it was done before", PLAIN),
    "pop-without-base": ("pop takes whatever is the last item by then", PLAIN),
    "lease-ignored": ("begin takes a session whose lease is live", ANSWERS),
    "clock-of-the-client": ("leases go by the worker's clock", ANSWERS),
    "turn-id-not-looked-up": (
        "begin does not look whether the turn was committed",
        ANSWERS_BEHIND_SENTINELS,
    ),
    "marks-rolled-at-once": ("a turn_id is forgotten with the next commit", ANSWERS),
    "record-without-count": ("a record does not say how many items are its turn's", ANSWERS),
    "result-outside-the-commit": ("the result stays with the worker that ran the turn", ANSWERS),
    "commit-in-two-steps": ("a commit writes one item, then the others", ANSWERS),
    "release-forgets-tokens": ("a begin that comes after it was given up opens a turn", LATE),
    "cancel-only-said": ("cancel says that it has ended a turn that goes on", CANCELS),
    "no-token-in-commit": ("commit does not check the token", RIVALS),
    "no-token-in-journal": ("journal does not check the token", SLOW_RIVALS),
    "journal-not-awaited": ("what is said to be journaled is on its way", RUNS),
    "journal-not-read": ("a takeover is not given the journal", RUNS),
    "start-not-journaled": ("a tool's start is not journaled", RUNS),
    "end-not-journaled": ("a tool's end is not journaled", RUNS),
    "everything-repeatable": ("every tool is run again after a takeover", RUNS),
    "key-per-attempt": ("an idempotency key is another one after a takeover", RUNS),
    "message-dropped-when-taken": ("a message leaves the queue before its commit", MESSAGES_LOST),
    "wake-up-without-intent": ("workers are told after the message is there", MESSAGES_LOST),
    "wake-up-forgotten-when-idle": (
        "a wake-up is acknowledged though its message is on its way",
        MESSAGES_LATE,
    ),
    "wake-up-settled-before-the-commit": (
        "a wake-up is acknowledged when a worker takes it",
        MESSAGES_ON_CLUSTER,
    ),
    "attempts-not-counted": ("the queue does not count a message's attempts", MESSAGES_LOST),
    "events-without-reset": ("events of a takeover follow those before it", MESSAGES_LOST),
    "resumed-twice": ("a turn that was taken up can be taken up again", APPROVALS),
    "rejection-approves": ("what is rejected runs with what is approved", APPROVALS),
    "parked-turn-dropped": ("a begin sweeps away a turn that waits for an approval", APPROVALS),
    "unpaired-interrupt": ("an interrupted turn keeps calls without output", INTERRUPTS_ON_SQLITE),
    "cancel-flag-ignored": ("a worker goes on with a turn that it is to end", UNDISTURBED),
}


@dataclass(frozen=True)
class Fate:
    """What became of a mutant. `rule`: what caught it, or nothing."""

    name: str
    rule: str
    text: str
    seconds: float
    turns: int
    seed: int
    others: list[str] = field(default_factory=list)


def main(arguments: Sequence[str] | None = None) -> int:
    """0 if all were caught, and nothing was found where nothing was planted."""
    parser = argparse.ArgumentParser(prog="python -m chaos.mutants", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="mutant", help=", ".join(MUTANTS))
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--no-results", action="store_true", help="print only")
    parser.add_argument("--one", help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    if options.one is not None:
        print(json.dumps(vars(_try(options.one, options.seed))))
        return 0
    fates = []
    for name in options.names or [_CONTROL, *MUTANTS]:
        fate = _elsewhere(name, options.seed)
        fates.append(fate)
        print(
            f"{name}: {fate.rule or 'nothing found'} ({fate.seconds:.0f} s) {fate.text}"[:160],
            flush=True,
        )
    table = _table(fates)
    print("\n" + table)
    if not options.no_results and not options.names:
        (report.RESULTS / "mutants.md").write_text(_head(options.seed) + table)
    return int(any((fate.name == _CONTROL) == bool(fate.rule) for fate in fates))


def _elsewhere(name: str, seed: int) -> Fate:
    """In a process of its own, with the mutant in its environment."""
    planted = {} if name == _CONTROL else {VARIABLE: name}
    done = subprocess.run(
        [sys.executable, "-m", "chaos.mutants", "--one", name, "--seed", str(seed)],
        env={**os.environ, **planted},
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    return Fate(**json.loads(done.stdout.splitlines()[-1]))


def _try(name: str, seed: int) -> Fate:
    """Rounds until something is found; all trials, each for a round, where nothing is planted."""
    assert name == _CONTROL or name in PLANTED
    crew.warm_up()
    assert crew.can(planted.plant, "" if name == _CONTROL else name), f"{name} cannot be planted"
    trials = [PLAIN, ANSWERS, RIVALS, SLOW_RIVALS, RUNS, LATE, CANCELS, INTERRUPTS, APPROVALS]
    trials += [MESSAGES_LOST, MESSAGES_ON_SQLITE, MESSAGES_ON_CLUSTER]
    trials += [INTERRUPTS_ON_SQLITE, UNDISTURBED, ANSWERS_BEHIND_SENTINELS]
    if name != _CONTROL:
        trials = [MUTANTS[name][1]] * _ROUNDS
    begun, turns = time.monotonic(), 0
    for number, trial in enumerate(trials):
        try:
            history = asyncio.run(_round(trial, seed + number))
        except TimeoutError:
            passed, text = time.monotonic() - begun, "a round went on and on"
            return Fate(name, "no end", text, passed, turns, seed + number)
        verdict = check(history, least_ok=0.0)
        turns += report.summed(history, verdict).turns
        if verdict.violations:
            first, *others = verdict.violations
            rules = sorted({other.rule for other in others} - {first.rule})
            passed = time.monotonic() - begun
            return Fate(name, first.rule, str(first), passed, turns, seed + number, rules)
    return Fate(name, "", "", time.monotonic() - begun, turns, seed)


async def _round(trial: Trial, seed: int) -> Any:
    settings = arena.Settings(seed, _ROUND, pause=0.4, plan=trial.plan, strikes=trial.strikes)
    async with asyncio.timeout(_LONGEST):
        return await arena.run(TOPOLOGIES[trial.topology](), settings)


def _table(fates: Sequence[Fate]) -> str:
    lines = [
        "| planted | what it does | on | caught by | also by | after | seed |",
        "|---" * 7 + "|",
    ]
    for fate in fates:
        what = MUTANTS[fate.name][0] if fate.name in MUTANTS else "no bug: nothing is to be found"
        caught = fate.rule or ("nothing" if fate.name == _CONTROL else "**NOT CAUGHT**")
        after = f"{fate.seconds:.0f} s, {fate.turns:,} turns"
        where = MUTANTS[fate.name][1].topology if fate.name in MUTANTS else "all of these"
        cells = [fate.name, what, where, caught, ", ".join(fate.others), after, str(fate.seed)]
        lines.append("| " + " | ".join(cells) + " |")
    planted = [fate for fate in fates if fate.name != _CONTROL]
    caught_all = sum(bool(fate.rule) for fate in planted)
    return "\n".join(lines) + f"\n\n{caught_all} of {len(planted)} were caught.\n"


def _head(seed: int) -> str:
    around = report.surroundings()
    return (
        f"# Planted bugs\n\nMade by `python -m chaos.mutants --seed {seed}` on {around['date']}, "
        f"revision {around['revision']}.\n\n"
    )


if __name__ == "__main__":
    sys.exit(main())
