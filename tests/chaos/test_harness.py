"""The harness itself: what is recorded is kept, and every known bug can be planted."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from pathlib import Path

from chaos import script, stacks
from chaos.checker import check
from chaos.excerpt import excerpt
from chaos.history import History
from chaos.mutants import MUTANTS
from chaos.planted import PLANTED
from chaos.remains import parsed
from tests.chaos.histories import Book
from turnwise.codec import Codec
from turnwise.codec.elements import marker, record

ROOT = Path(__file__).parents[2]


def _book() -> Book:
    book = Book()
    call = book.run("1", "n", {"1.00": script.output("1.00", 0)})
    book.executed(call, "1.00")
    book.fault("worker killed", 1, 2)
    return book


def test_a_history_is_kept(tmp_path: Path) -> None:
    history = _book().close()
    history.save(tmp_path / "h.gz")
    assert History.load(tmp_path / "h.gz") == history


def test_an_excerpt_shows_what_concerns_the_violation() -> None:
    book = _book()
    book.store("1", session="s")
    history = book.close()
    lines = excerpt(history, check(history).violations[0])
    words = [line.split()[1] for line in lines]
    assert words == ["invoke", "granted", "fault", "ledger", "ok", "entry", "entry"]


def test_elements_become_turns() -> None:
    item = Codec().encode(script.user("op 1 plan "))
    whole = [item, marker("t1"), record("c1", 5, 1, "turn", b""), marker("t2")]
    final = parsed("s", whole[:3], 1)
    assert [(entry.turn_id, entry.kind, len(entry.items)) for entry in final.entries] == [
        ("t1", "turn", 1)
    ]
    assert final.trouble == ""
    assert "belong to no turn" in parsed("s", whole, 1).trouble
    assert "out of place" in parsed("s", [whole[2]], 0).trouble


async def test_a_task_shows_where_it_stands() -> None:
    async def outer() -> None:
        await inner()

    async def inner() -> None:
        await asyncio.Event().wait()

    task = asyncio.create_task(outer())
    await asyncio.sleep(0)
    names = [place.rpartition(".")[2] for place in stacks.places(task.get_coro())]
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
