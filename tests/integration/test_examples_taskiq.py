"""The example with taskiq, run with the real library."""

from __future__ import annotations

from pathlib import Path

from tests.integration.background_lab import texts
from tests.integration.programs import STARTED, programs
from turnwise import connect
from turnwise.testing.servers.waiting import until


async def test_taskiq_jobs_answer_the_messages_in_order(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'sessions.db'}"
    async with programs(tmp_path) as started, connect(url) as session:
        program = started.python(
            "-W", "error", "-m", "examples.taskiq_jobs", environment={"TURNWISE_URL": url}
        )

        async def ended() -> bool:
            return not program.alive

        await until(ended, STARTED, "the program exited")
        history = await session.bind("user-1").get_items()
        assert texts(history)[::2] == ["Hello", "Where is my order?"], program.log()
        assert "Message 2 of our conversation is 'Where is my order?'" in program.log()
