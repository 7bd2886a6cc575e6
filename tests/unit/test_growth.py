"""What a long-lived process keeps of requests and sessions that it is done with is bounded."""

from __future__ import annotations

import gc
from weakref import ref

from agents import AsyncComputer, RunConfig, RunHooks
from agents.models.multi_provider import MultiProvider

from tests.scripted import Script, agent, says
from turnwise import MemorySession, Runner
from turnwise.durable import agent_runner, computers, proxy, tools
from turnwise.durable.proxy import recently_derived
from turnwise.worker.acks import Recent

REQUESTS = 100


async def test_each_request_with_classes_of_its_own() -> None:
    session = MemorySession()
    made = []
    for request in range(REQUESTS):

        class OwnModel(Script): ...

        class OwnHooks(RunHooks[object]): ...

        class OwnProvider(MultiProvider): ...

        class OwnConfig(RunConfig): ...

        answering = agent()
        answering.model = OwnModel(says("hi"))
        await Runner.run(
            answering,
            "hi",
            session=session,
            session_id=f"s{request}",
            hooks=OwnHooks(),
            run_config=OwnConfig(model_provider=OwnProvider()),
        )
        made += [ref(kind) for kind in (OwnModel, OwnHooks, OwnProvider, OwnConfig)]
    del answering, OwnModel, OwnHooks, OwnProvider, OwnConfig
    gc.collect()
    assert sum(kind() is not None for kind in made) < len(made) / 3


def test_every_derived_class_is_cached_so() -> None:
    most = recently_derived(lambda: None).cache_parameters()["maxsize"]
    for derive in (
        proxy._proxy_class,
        computers._durable_class,
        tools._durable_class,
        agent_runner._durable_config_class,
    ):
        assert derive.cache_parameters()["maxsize"] == most
    assert most is not None


class Screen(AsyncComputer):
    async def screenshot(self) -> str:
        return ""

    async def _act(self, *_: object) -> None: ...

    click = double_click = scroll = type = wait = move = keypress = drag = _act  # type: ignore[assignment]  # of any arguments


def test_a_computer_of_a_class_of_its_own() -> None:
    made = []
    for _ in range(REQUESTS):
        kind = type("OwnComputer", (Screen,), {})
        computer = kind()
        computers.make_computer_durable(computer)
        assert type(computer) is not kind
        made.append(ref(kind))
    del computer, kind
    gc.collect()
    assert sum(kind() is not None for kind in made) < len(made) / 2


def test_a_worker_remembers_only_the_sessions_that_it_had_last() -> None:
    recent = Recent[str, int]()
    for number in range(20_000):
        recent[f"session-{number}"] = number
        recent["again"] = number
    assert len(recent) == 10_000
    assert (recent["again"], "session-0" in recent) == (19_999, False)
