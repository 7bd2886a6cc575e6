"""Mutation test of the harness: plants one known bug at a time and runs rounds until it is caught.

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

from chaos import planted, report, worker_pool
from chaos.checker import check
from chaos.history import History
from chaos.nemesis import FaultKind, failovers, late, network, workers
from chaos.operations.http import SENT_OVER_HTTP
from chaos.planted import PLANTED, VARIABLE
from chaos.round import RoundConfig, run_round
from chaos.topologies import TOPOLOGIES, Served
from chaos.workload import WorkloadConfig

_ROUND_SECONDS = 6.0
_MAX_ROUNDS = 16
_ROUND_TIMEOUT = 180.0
"""Seconds after which a round is taken to hang; most take some 15."""

_CONTROL = "(none)"


@dataclass(frozen=True)
class Experiment:
    """A workload and faults under which one class of bugs shows."""

    workload: WorkloadConfig
    fault_groups: tuple[tuple[FaultKind, ...], ...] = ((),)
    topology: str = "valkey"


_NO_TURNS = {"short-turn": 0.0, "long-turn": 0.0}
PLAIN = Experiment(
    WorkloadConfig(
        clients=32,
        turn_sessions=1,
        plain_sessions=10,
        plain_session_length=30,
        weights={"clear": 2.0},
    ),
    ((network.LoseReplies(), network.TruncateReplies()),),
)
TURNS = Experiment(
    WorkloadConfig(
        turn_sessions=20,
        plain_sessions=1,
        approval_sessions=0,
        policy_sessions=0,
        duplicate_share=0.5,
        weights={"submit": 0.0},
    )
)
TURNS_ON_SENTINEL = replace(TURNS, topology="sentinel")
RUNS = Experiment(
    WorkloadConfig(turn_sessions=60, plain_sessions=1, max_in_flight=1, weights=_NO_TURNS),
    ((workers.KillWorker(), workers.PauseUntilTakenOver()), (network.LoseReplies(),)),
)
RUNS_WITHOUT_FAULTS = replace(RUNS, fault_groups=((),))
ZOMBIES = Experiment(
    WorkloadConfig(
        turn_sessions=80, plain_sessions=1, max_in_flight=1, max_pause=0.8, weights={"run": 2.0}
    ),
    ((workers.PauseUntilTakenOver(),),),
)
ZOMBIE_RUNS = Experiment(
    WorkloadConfig(turn_sessions=80, plain_sessions=1, max_in_flight=1, weights=_NO_TURNS),
    ((workers.PauseUntilTakenOver(),),),
)
PIPELINES = Experiment(
    WorkloadConfig(clients=48, turn_sessions=40, plain_sessions=10, plain_session_length=20),
    ((workers.CancelTasks(),),),
)
LATE_BEGINS = Experiment(
    WorkloadConfig(clients=16, turn_sessions=40, plain_sessions=1, weights={"long-turn": 0.0}),
    ((late.LateBegin(),),),
)
_CANCELS = WorkloadConfig(  # few clients: who is slow for want of a processor is forced to end
    clients=48,
    turn_sessions=60,
    plain_sessions=1,
    max_in_flight=2,
    max_pause=0.5,
    cancel_share=0.6,
)
CANCELS = Experiment(_CANCELS, ((workers.KillWorker(), workers.PauseBeyondLease()),))
CANCELS_WITHOUT_FAULTS = Experiment(_CANCELS, topology="sqlite")
_NO_RUNS = {"read": 0.0, "run": 0.0, "streamed-run": 0.0, "sdk-run": 0.0}
_MESSAGES = WorkloadConfig(
    clients=48,
    turn_sessions=30,
    plain_sessions=1,
    approval_sessions=0,
    policy_sessions=0,
    cancel_share=0.0,
    weights=_NO_TURNS | _NO_RUNS,
    no_retry_share=1.0,
    quiesce_timeout=4.0,
)
MESSAGES = Experiment(_MESSAGES, ((workers.KillWorker(),),))
MESSAGES_ON_SQLITE = replace(MESSAGES, topology="sqlite")
MESSAGES_ON_CLUSTER = replace(MESSAGES, topology="cluster")
DELAYED_MESSAGES = Experiment(_MESSAGES, ((network.DelayRequests(), network.DropRequests()),))
APPROVALS = Experiment(
    WorkloadConfig(
        clients=48,
        turn_sessions=1,
        plain_sessions=1,
        approval_sessions=24,
        policy_sessions=0,
        cancel_share=0.0,
        weights=_NO_TURNS | _NO_RUNS,
    ),
    ((workers.KillWorker(), network.LoseReplies()),),
)
INTERRUPTS = Experiment(
    WorkloadConfig(
        clients=48,
        turn_sessions=1,
        plain_sessions=1,
        approval_sessions=0,
        policy_sessions=24,
        cancel_share=0.0,
    )
)
INTERRUPTS_ON_SQLITE = replace(INTERRUPTS, topology="sqlite")

FAILOVERS = Experiment(
    WorkloadConfig(turn_sessions=20, plain_sessions=4, approval_sessions=2, policy_sessions=2),
    ((failovers.FailoverBehindProxy(),),),
    topology="balanced",
)

_SERVED = replace(
    Served.workload, clients=24, session_length=8, no_retry_share=1.0, quiesce_timeout=15.0
)
SERVED = Experiment(_SERVED, topology="served")
SERVED_TO_STRANGERS = Experiment(
    replace(_SERVED, twin_share=0.3, peek_share=1.0), topology="served"
)
SERVED_CANCELS = Experiment(replace(_SERVED, cancel_share=0.5), topology="served")
_STREAMS = replace(  # few sessions: most streams wait for their turn, and the turns speak
    _SERVED,
    turn_sessions=8,
    cancel_share=0.0,
    twin_share=0.0,
    peek_share=0.0,
    weights={
        **_SERVED.weights,
        **dict.fromkeys(SENT_OVER_HTTP, 0.0),
        "http-chat-stream": 2.0,
        "http-vercel": 1.0,
    },
)
SERVED_KILLS = Experiment(_STREAMS, ((workers.KillWorker(),),), topology="served")
SERVED_DRAINS = Experiment(_STREAMS, ((workers.DrainWorker(),),), topology="served")

_CONTROL_EXPERIMENTS = (
    *(PLAIN, TURNS, ZOMBIES, ZOMBIE_RUNS, RUNS, LATE_BEGINS, CANCELS, INTERRUPTS, APPROVALS),
    *(MESSAGES, MESSAGES_ON_SQLITE, MESSAGES_ON_CLUSTER, PIPELINES, FAILOVERS),
    *(INTERRUPTS_ON_SQLITE, CANCELS_WITHOUT_FAULTS, TURNS_ON_SENTINEL, RUNS_WITHOUT_FAULTS),
    *(SERVED_TO_STRANGERS, SERVED_CANCELS, SERVED_KILLS, SERVED_DRAINS),
)

MUTANTS: dict[str, tuple[str, Experiment]] = {
    "base-without-commit-id": ("a base names a history by its length, not its commit id", PLAIN),
    "stale-cache": ("a cached history counts as current after pop or clear", PLAIN),
    "clear-not-atomic": ("clear pops one item after the other", PLAIN),
    "append-with-new-op-id": ("a retried append is sent under a new op id", PLAIN),
    "append-not-deduplicated": ("append does not check whether its op id is committed", PLAIN),
    "pop-without-base": ("pop removes whatever is the last item by then", PLAIN),
    "lease-ignored": ("begin grants a session whose lease is live", TURNS),
    "client-clock": ("leases expire by the worker's clock, not the server's", TURNS),
    "turn-id-not-checked": (
        "begin does not check whether the turn is committed",
        TURNS_ON_SENTINEL,
    ),
    "turn-id-forgotten": ("a turn_id is forgotten with the next commit", TURNS),
    "record-without-count": ("a record does not state the number of its turn's items", TURNS),
    "result-not-committed": ("the result stays with the worker that ran the turn", TURNS),
    "commit-not-atomic": ("a commit writes one item, then the others", TURNS),
    "release-forgets-token": ("a begin that arrives after its abort opens a turn", LATE_BEGINS),
    "cancel-without-effect": ("cancel reports a turn as ended that continues", CANCELS),
    "commit-without-token": ("commit does not check the token", ZOMBIES),
    "journal-without-token": ("journal does not check the token", ZOMBIE_RUNS),
    "journal-not-awaited": ("an entry is reported as journaled before it is written", RUNS),
    "journal-not-read": ("a takeover does not get the journal", RUNS),
    "tool-start-not-journaled": ("a tool's start is not journaled", RUNS),
    "tool-end-not-journaled": ("a tool's end is not journaled", RUNS),
    "every-tool-repeatable": ("every tool runs again after a takeover", RUNS),
    "key-per-attempt": ("an idempotency key changes with a takeover", RUNS),
    "journal-dropped-at-error": (
        "a provider's error drops what a direct turn had finished",
        RUNS_WITHOUT_FAULTS,
    ),
    "message-dequeued-early": ("a message leaves the queue before its commit", MESSAGES),
    "wake-up-after-message": ("workers are woken only after the message is queued", MESSAGES),
    "wake-up-acked-when-idle": (
        "a wake-up is acked before its message arrives",
        DELAYED_MESSAGES,
    ),
    "wake-up-acked-early": (
        "a wake-up is acked when a worker claims it, before the commit",
        MESSAGES_ON_CLUSTER,
    ),
    "attempts-not-counted": ("the queue does not count a message's attempts", MESSAGES),
    "events-without-reset": ("events of a takeover follow those before it, no reset", MESSAGES),
    "turn-resumed-twice": ("a resumed turn can be resumed again", APPROVALS),
    "rejection-approves": ("rejected tools run as if approved", APPROVALS),
    "parked-turn-dropped": ("a begin drops a parked turn", APPROVALS),
    "interrupt-unpaired": ("an interrupted turn keeps calls without output", INTERRUPTS_ON_SQLITE),
    "cancel-flag-ignored": ("a worker continues a cancelled turn", CANCELS_WITHOUT_FAULTS),
    "pipeline-cancelled-by-neighbour": (
        "a caller that is cancelled takes along those who share its pipeline",
        PIPELINES,
    ),
    "reply-to-wrong-caller": ("a reply goes to another caller of its pipeline", PIPELINES),
    "compression-contexts-shared": ("threads share compression contexts", TURNS),
    "demoted-server-kept": ("a connection to a server that was demoted is kept", FAILOVERS),
    "connections-inherited": ("a forked child uses its parent's connections", TURNS),
    "event-missed-before-following": (
        "a reader misses what comes between what is there and what it follows",
        SERVED,
    ),
    "resume-repeats": ("who resumes a stream gets the last event again", SERVED_KILLS),
    "follower-ends-at-reset": ("a stream ends where another attempt begins", SERVED_KILLS),
    "feed-of-a-session": ("followers of one session's turns share one reader", SERVED),
    "key-shared-by-owners": ("an idempotency key is known, whoever used it", SERVED_TO_STRANGERS),
    "sent-before-queued": ("a message is taken before it is queued", SERVED),
    "owner-checked-before": (
        "a session's owner is checked before the verb, not in it",
        SERVED_TO_STRANGERS,
    ),
    "cancel-answered-early": ("a cancel is answered before it is recorded", SERVED_CANCELS),
    "drain-says-nothing": ("a server that stops ends its streams without a word", SERVED_DRAINS),
    "void-text-left": ("what a takeover makes void is left with the client", SERVED_KILLS),
}


@dataclass(frozen=True)
class MutantResult:
    """`rule`: the rule that caught the mutant, empty if none did; `others`: more violated rules."""

    name: str
    rule: str
    text: str
    seconds: float
    turns: int
    seed: int
    others: list[str] = field(default_factory=list)


def main(arguments: Sequence[str] | None = None) -> int:
    """The exit code: 0 if all mutants are caught, and the control without a bug finds nothing."""
    parser = argparse.ArgumentParser(prog="python -m chaos.mutants", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="mutant", help=", ".join(MUTANTS))
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--no-results", action="store_true", help="print only")
    parser.add_argument("--one", help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    if options.one is not None:
        print(json.dumps(vars(_try(options.one, options.seed))))
        return 0
    results = []
    for name in options.names or [_CONTROL, *MUTANTS]:
        result = _try_in_process(name, options.seed)
        results.append(result)
        print(
            f"{name}: {result.rule or 'not caught'} ({result.seconds:.0f} s) {result.text}"[:160],
            flush=True,
        )
    table = _table(results)
    print("\n" + table)
    if not options.no_results and not options.names:
        (report.RESULTS / "mutants.md").write_text(_head(options.seed) + table)
    return int(any((result.name == _CONTROL) == bool(result.rule) for result in results))


def _try_in_process(name: str, seed: int) -> MutantResult:
    """Try it in a process of its own, with the mutant in its environment."""
    variables = {} if name == _CONTROL else {VARIABLE: name}
    done = subprocess.run(
        [sys.executable, "-m", "chaos.mutants", "--one", name, "--seed", str(seed)],
        env={**os.environ, **variables},
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    return MutantResult(**json.loads(done.stdout.splitlines()[-1]))


def _try(name: str, seed: int) -> MutantResult:
    """Run rounds until a violation; for the control, one round of each experiment."""
    assert name == _CONTROL or name in PLANTED
    worker_pool.warm_up()
    mutant = "" if name == _CONTROL else name
    can_plant = worker_pool.succeeds_in_process(planted.plant, mutant)
    assert can_plant, f"{name} cannot be planted"
    experiments: Sequence[Experiment] = _CONTROL_EXPERIMENTS
    if name != _CONTROL:
        experiments = [MUTANTS[name][1]] * _MAX_ROUNDS
    start, turns = time.monotonic(), 0
    for number, experiment in enumerate(experiments):
        try:
            history = asyncio.run(_run(experiment, seed + number))
        except TimeoutError:
            passed, text = time.monotonic() - start, "a round did not end"
            return MutantResult(name, "timeout", text, passed, turns, seed + number)
        verdict = check(history, min_ok=0.0)
        turns += report.summarize(history, verdict).turns
        if verdict.violations:
            first, *others = verdict.violations
            rules = sorted({other.rule for other in others} - {first.rule})
            passed = time.monotonic() - start
            return MutantResult(name, first.rule, str(first), passed, turns, seed + number, rules)
    return MutantResult(name, "", "", time.monotonic() - start, turns, seed)


async def _run(experiment: Experiment, seed: int) -> History:
    config = RoundConfig(
        seed,
        _ROUND_SECONDS,
        fault_interval=0.4,
        workload=experiment.workload,
        fault_groups=experiment.fault_groups,
    )
    async with asyncio.timeout(_ROUND_TIMEOUT):
        return await run_round(TOPOLOGIES[experiment.topology](), config)


def _table(results: Sequence[MutantResult]) -> str:
    lines = [
        "| mutant | planted bug | topology | caught by | also by | after | seed |",
        "|---" * 7 + "|",
    ]
    for result in results:
        what, where = "no bug: nothing may be found", "all of these"
        if result.name in MUTANTS:
            what, experiment = MUTANTS[result.name]
            where = experiment.topology
        caught = result.rule or ("nothing" if result.name == _CONTROL else "**NOT CAUGHT**")
        after = f"{result.seconds:.0f} s, {result.turns:,} turns"
        cells = [result.name, what, where, caught, ", ".join(result.others), after]
        lines.append("| " + " | ".join([*cells, str(result.seed)]) + " |")
    mutants = [result for result in results if result.name != _CONTROL]
    caught_all = sum(bool(result.rule) for result in mutants)
    return "\n".join(lines) + f"\n\n{caught_all} of {len(mutants)} mutants were caught.\n"


def _head(seed: int) -> str:
    made = report.environment()
    return (
        f"# Planted bugs\n\nMade by `python -m chaos.mutants --seed {seed}` on {made['date']}, "
        f"revision {made['revision']}.\n\n"
    )


if __name__ == "__main__":
    sys.exit(main())
