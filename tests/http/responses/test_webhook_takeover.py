"""Servers die behind the commit, and while they deliver: the webhook comes all the same."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

import pytest

from tests.http.receiver import SECRET, Receiver
from tests.http.test_replicas import Replicas, replicas, session, url  # noqa: F401  # fixtures
from turnwise import Session
from turnwise.fleet.webhooks import PendingWebhooks
from turnwise.http.wires.responses.ids import ResponseId
from turnwise.testing.servers.waiting import until


async def test_who_dies_behind_the_commit_leaves_the_webhook_to_another(
    replicas: Replicas,  # noqa: F811  # the fixture
    session: Session,  # noqa: F811  # likewise
    tmp_path: Path,
) -> None:
    receiver = Receiver()  # it does not listen yet
    options: tuple[str, ...] = ("--webhook-url", receiver.url)
    replicas.environment["TURNWISE_WEBHOOK_SECRET"] = SECRET
    process, client = await replicas.start(*options)
    body = {"model": "typist", "input": "hello", "background": True}
    response = (await client.post("/v1/responses", json=body)).json()
    rid = ResponseId.parse(response["id"])

    async def committed() -> bool:
        return (await session.status(rid.session_id, rid.turn_id)).state == "committed"

    await until(committed, 60, "the turn is committed")
    await process.kill()
    del replicas.environment["TURNWISE_WEBHOOK_SECRET"]
    (tmp_path / "secret").write_text(f"{SECRET}\n")
    options = *options, "--webhook-secret-file", str(tmp_path / "secret")
    receiver.answers.append("")  # and then it takes the webhook, and never answers
    async with receiver.listening():
        dying, _ = await replicas.start(*options)
        await receiver.has(1)
        await dying.kill()
        await replicas.start(*options)
        first, second = await receiver.has(2)
    assert (first.id, first.body) == (second.id, second.body)
    assert second.event().data.id == response["id"]

    async def delivered() -> bool:
        return not await PendingWebhooks(session.runtime).list()

    await until(delivered, 60, "nothing is left to be delivered")


@pytest.mark.parametrize("options", [[], ["--webhook-secret-file", "nowhere"]])
async def test_without_a_secret_it_does_not_begin(tmp_path: Path, options: list[str]) -> None:
    process = await asyncio.create_subprocess_exec(
        *("env", f"FOLDER={tmp_path}", sys.executable, "-m", "turnwise.cli", "serve"),
        *("tests.http.served:agents", "--url", f"sqlite:///{tmp_path}/s.db"),
        *("--webhook-url", "https://example.com", *options),
        stderr=asyncio.subprocess.PIPE,
    )
    _, errors = await process.communicate()
    assert process.returncode == 2
    assert "--webhook-secret-file" in errors.decode()
