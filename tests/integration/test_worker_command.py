"""The worker command of the documentation, word for word, but for the store's address."""

from __future__ import annotations

import gc
import re
import shlex
import sys
from pathlib import Path

import pytest
from agents import Agent

from tests.integration.programs import ROOT, programs, ready
from tests.scripted import Script, says
from turnwise import connect
from turnwise.testing.servers.process import ServerFailed

counting = Agent(name="counting", model=Script(lambda _: says(str(gc.get_freeze_count()))))


def documented(url: str) -> list[str]:
    """What docs/background.md says to type."""
    text = (ROOT / "docs/background.md").read_text()
    (line,) = re.findall(r"^turnwise worker examples.*$", text, re.MULTILINE)
    program, *words, name, _ = shlex.split(line)
    assert (program, name) == ("turnwise", "--url")
    return [str(Path(sys.executable).with_name(program)), *words, name, url]


async def test_it_answers_a_message_and_ends_on_sigterm(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'sessions.db'}"
    async with programs(tmp_path) as started, connect(url) as session:
        receipt = await session.submit("s", "Where is my parcel A-1003?", agent="support")
        worker = started.start(*documented(url))

        async def answered() -> bool:
            return (await receipt.status()).finished

        await ready(worker, answered, "the answer")
        assert "A-1003" in str((await receipt.result(10)).final_output)
        await worker.terminate(20)
        with pytest.raises(ServerFailed, match="ended with code 0"):
            worker.check()
        assert "worker has ended after 1 turns" in worker.log()


async def test_its_turns_do_not_wait_for_the_collection_of_what_is_loaded(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'sessions.db'}"
    name = "tests.integration.test_worker_command:counting"
    async with programs(tmp_path) as started, connect(url) as session:
        receipt = await session.submit("s", "How many objects?", agent="counting")
        worker = started.python("-m", "turnwise.cli", "worker", name, "--url", url)

        async def answered() -> bool:
            return (await receipt.status()).finished

        await ready(worker, answered, "the answer")
        assert int((await receipt.result(10)).final_output) > 100_000
