"""A worker as a process of its own, whose turn others cancel.

    python cancel_process.py URL SESSION FOLDER HOW LEASE

Its run comes to its second tool, writes the file `FOLDER/entered`, and waits: in the event loop
(HOW is `waits`), or holding the event loop up until the file `FOLDER/over` is there (`stalls`).
What became of it goes to `FOLDER/ended`: the error's name, how often the model was asked, and
what was said of why it was to end.
"""

from __future__ import annotations

import asyncio
import sys
import time
from pathlib import Path
from typing import Any

from agents import function_tool

from tests.scripted import Reply, agent, calls, says, script_of
from turnwise import Runner, connect

LEASE = 30.0


def desk(folder: Path, how: str) -> Any:
    async def quick() -> str:
        return "quick is done"

    async def hold() -> str:
        (folder / "entered").touch()
        while how == "stalls" and not (folder / "over").exists():
            time.sleep(0.01)  # it holds the event loop up: that is what is tested
        if how == "waits":
            await asyncio.Event().wait()
        return "held"

    def both(given: list[Any]) -> Any:
        return [*calls("quick", "c1"), *calls("hold", "c2")]

    steps: list[Reply] = [calls("quick", "c0"), both, says("never")]
    made: list[Any] = [quick, hold]
    return agent(*steps, tools=[function_tool(tool) for tool in made])


async def main(url: str, session_id: str, place: str, how: str, lease: str) -> None:
    folder, name, reason = Path(place), "", None
    worker = desk(folder, how)
    async with connect(url, session_id=session_id, lease=float(lease)) as session:
        try:
            await Runner.run(worker, "Hi", session=session, turn_id="t")
        except Exception as error:
            name, reason = type(error).__name__, getattr(error, "reason", None)
    (folder / "new").write_text(f"{name} {len(script_of(worker).asked)} {reason or ''}")
    (folder / "new").rename(folder / "ended")


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
