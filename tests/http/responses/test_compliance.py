"""The public compliance suite of the Open Responses specification, at `turnwise serve`."""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.integration.programs import STARTED, programs, ready

FORMATS = ["open-responses", "openai-chat"]
_CLI = "import sys; from llm_comply.cli import main; sys.exit(main())"


async def suite(address: str, kind: str) -> tuple[int | None, dict[str, Any]]:
    """Its exit code, and its results."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", _CLI, "-u", f"{address}v1", "-k", "none", "--json"),
        *("-m", "gpt-5-of-tests", "--format", kind),
        stdout=asyncio.subprocess.PIPE,
    )
    output, _ = await process.communicate()
    return process.returncode, json.loads(output)


@pytest.mark.parametrize("kind", FORMATS)
async def test_every_test_that_concerns_it_passes(tmp_path: Path, kind: str) -> None:
    async with programs(tmp_path) as started:
        process = started.python(
            *("-m", "turnwise.cli", "serve", "tests.http.responses.served:agents"),
            *("--port", "0", "--url", f"sqlite:///{tmp_path / 'sessions.db'}"),
        )

        async def serves() -> bool:
            return "serving at " in process.log()

        await ready(process, serves, "it serves")
        code, results = await suite(process.log().partition("serving at ")[2].split()[0], kind)
        await process.terminate(STARTED)
    assert code == 0, json.dumps(results, indent=1)
    summary = results["summary"]
    assert summary["passed"] == summary["total"] > 0, json.dumps(results, indent=1)
