"""Workers as processes of their own, on one store."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from tests.integration.forked import ForkedProcess, Forks, script, turnwise
from tests.integration.programs import ready

AGENTS = "tests.integration.background_process:agents"


class Fleet:
    """Workers on one store, and the ledger of what they do."""

    def __init__(self, url: str, folder: Path, started: Forks) -> None:
        self.url = url
        self.ledger = folder / "ledger.txt"
        self.ledger.touch()
        self._started = started

    def worker(self, *options: str, hold: str = "", lease: str = "1") -> ForkedProcess:
        """Start one. It waits for its end at the step that `hold` names."""
        self.ledger.with_suffix(".holds").write_text(hold)
        return self.command("worker", AGENTS, "--lease", lease, *options)

    def command(self, *words: str) -> ForkedProcess:
        environment = {"LEDGER": str(self.ledger), "TURNWISE_URL": self.url}
        return self._started.start(turnwise, *words, environment=environment)

    def script(self, text: str) -> ForkedProcess:
        return self._started.start(script, text, self.url, environment={})

    def let_go(self) -> None:
        """What is slow may end."""
        self.ledger.with_suffix(".go").touch()

    def noted(self) -> Counter[str]:
        return Counter(line.split()[0] for line in self.ledger.read_text().splitlines())

    async def reached(self, what: str, process: ForkedProcess) -> None:
        async def noted() -> bool:
            return self.noted()[what] > 0

        await ready(process, noted, what)
