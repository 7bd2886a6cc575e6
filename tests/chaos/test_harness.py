"""The harness: histories are saved, elements parsed, and every known bug can be planted."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from pathlib import Path

from chaos import script, task_stacks
from chaos.checker import check
from chaos.excerpt import excerpt
from chaos.final_state import parse
from chaos.history import History
from chaos.mutants import MUTANTS
from chaos.planted import PLANTED
from tests.chaos.histories import HistoryBuilder
from turnwise.codec import Codec
from turnwise.codec.elements import marker, record
from turnwise.types import Record

ROOT = Path(__file__).parents[2]


def _builder() -> HistoryBuilder:
    builder = HistoryBuilder()
    invocation = builder.run("1", "n", {"1.00": script.output("1.00", 0)})
    builder.execution(invocation, "1.00")
    builder.fault("worker killed", 1, 2)
    return builder


def test_a_history_is_saved_and_loaded(tmp_path: Path) -> None:
    history = _builder().close()
    history.save(tmp_path / "h.gz")
    assert History.load(tmp_path / "h.gz") == history


def test_an_excerpt_shows_the_events_of_a_violation() -> None:
    builder = _builder()
    builder.store("1", session="s")
    history = builder.close()
    lines = excerpt(history, check(history).violations[0])
    words = [line.split()[1] for line in lines]
    assert words == ["invoke", "granted", "fault", "execution", "ok", "turn", "turn"]


def test_elements_are_parsed_into_turns() -> None:
    item = Codec().encode(script.user("op 1 plan "))
    whole = [item, marker("t1"), record(Record("c1", 5, 1, "turn", b"")), marker("t2")]
    state = parse("s", whole[:3], 1)
    assert [(turn.turn_id, turn.kind, len(turn.items)) for turn in state.turns] == [
        ("t1", "turn", 1)
    ]
    assert state.corruption == ""
    assert "belong to no turn" in parse("s", whole, 1).corruption
    assert "out of place" in parse("s", [whole[2]], 0).corruption


async def test_the_frames_of_a_task() -> None:
    async def outer() -> None:
        await inner()

    async def inner() -> None:
        await asyncio.Event().wait()

    task = asyncio.create_task(outer())
    await asyncio.sleep(0)
    names = [frame.rpartition(".")[2] for frame in task_stacks.frames(task.get_coro())]
    task.cancel()
    assert names[:3] == ["outer", "inner", "wait"]


def test_every_known_bug_can_be_planted() -> None:
    assert set(MUTANTS) == set(PLANTED)
    program = (
        "import os, sys\n"
        "from chaos import planted\n"
        "for name in sys.argv[1:]:\n"
        "    child = os.fork()\n"
        "    if child == 0:\n"
        "        planted.plant(name)\n"
        "        os._exit(0)\n"
        "    if os.waitpid(child, 0)[1] != 0:\n"
        "        sys.exit(name)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, *PLANTED],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=100,
    )
    assert done.returncode == 0, done.stderr[-1000:]
