"""Every Python example of the README and the documents runs, as it is printed."""

from __future__ import annotations

import ast
import gc
import inspect
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from types import ModuleType

import pytest
import pytest_asyncio

from tests.docs.pages import Block, blocks
from tests.docs.setups import redirect, setup, use_tool_caller
from turnwise.testing.servers import ValkeyServer

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def server() -> AsyncIterator[ValkeyServer]:
    async with ValkeyServer() as server:
        yield server


@pytest.fixture(autouse=True)
def surroundings(
    server: ValkeyServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[None]:
    monkeypatch.chdir(tmp_path)
    redirect(monkeypatch, server)
    use_tool_caller(monkeypatch)
    yield
    gc.unfreeze()


@pytest.mark.parametrize("block", blocks("python"), ids=str)
async def test_an_example_runs_as_it_is_printed(
    block: Block, server: ValkeyServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    await server.command("FLUSHALL")
    module = ModuleType("example")
    monkeypatch.setitem(sys.modules, module.__name__, module)  # some libraries look for it there
    async with setup(block) as names:
        module.__dict__.update(names)
        try:
            await run(block, module)
        finally:
            names.update(module.__dict__)


async def run(block: Block, module: ModuleType) -> None:
    """Its lines have their numbers in the page, for a traceback."""
    source = "\n" * (block.line - 1) + block.content
    flags = ast.PyCF_ALLOW_TOP_LEVEL_AWAIT
    result = eval(compile(source, block.page, "exec", flags, dont_inherit=True), module.__dict__)
    if inspect.iscoroutine(result):
        await result
