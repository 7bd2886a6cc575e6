"""What holds for every verb of the command: its options, its forms, its exit codes, its records."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import typer

from tests.integration.scene import Scene
from tests.integration.test_cli import invoked
from turnwise import connect
from turnwise.cli.app import SERVERS, app

DOCS = Path(__file__).parents[2] / "docs"
PAGE = DOCS / "operations.md"
LOOKS = {
    "approvals list": "",
    "approvals show": "asks {approval}",
    "audit": "",
    "dead-letters list": "",
    "dead-letters show": "{letter}",
    "doctor": "",
    "keys list": "",
    "queue list": "",
    "queue peek": "waits",
    "sessions biggest": "",
    "sessions export": "s --file {folder}/written.jsonl",
    "sessions info": "s",
    "sessions list": "",
    "sessions show": "s",
    "sessions stats": "",
    "sessions tail": "s --no-follow",
    "stuck": "--all",
    "top": "--looks 1",
    "turns show": "s t1",
    "turns timeline": "s t1",
    "workers list": "",
}
ACTS = {
    "approvals approve": "asks {approval}",
    "approvals reject": "asks {approval}",
    "keys create": "bob",
    "queue pause": "--agent a",
    "queue resume": "--agent paused",
    "sessions copy": "s copied",
    "sessions import": "{exported}",
    "workers quiet": "w1",
    "workers resume": "w1",
}
ENDS = {
    "dead-letters delete": "{letter}",
    "dead-letters retry": "{letter}",
    "keys revoke": "{key}",
    "sessions delete": "s",
    "sessions expire": "s --ttl 60",
    "sessions rewind": "s t1",
    "turns cancel": "held h1",
    "turns release": "held h1",
    "workers stop": "w1",
}
ROOT: Any = typer.main.get_command(app)
CHANGES = ACTS | ENDS
VERBS = LOOKS | CHANGES
MISSING = {
    "approvals approve": "asks nothing",
    "approvals reject": "asks nothing",
    "approvals show": "asks nothing",
    "dead-letters delete": "nothing",
    "dead-letters retry": "nothing",
    "dead-letters show": "nothing",
    "keys revoke": "nothing",
    "queue resume": "",
    "sessions copy": "nothing new",
    "sessions delete": "nothing",
    "sessions expire": "nothing --never",
    "sessions export": "nothing --file {folder}/written.jsonl",
    "sessions import": "{folder}/nothing",
    "sessions info": "nothing",
    "sessions rewind": "s nothing",
    "sessions show": "nothing",
    "turns release": "s nothing",
    "turns show": "s nothing",
    "turns timeline": "s nothing",
    "workers quiet": "nothing",
    "workers resume": "nothing",
    "workers stop": "nothing",
}
"""What is about something that is not there."""


def words(scene: Scene, verb: str, given: str) -> list[str]:
    names = {
        "letter": scene.letter,
        "approval": scene.approval,
        "key": scene.key,
        "folder": str(scene.folder),
    }
    return [*verb.split(), *given.format(exported=scene.exported, **names).split()]


def commands(group: Any = None, *path: str) -> Iterator[tuple[str, Any]]:
    """All verbs that typer has, without those that serve."""
    for name, command in (group or ROOT).commands.items():
        if hasattr(command, "commands"):
            yield from commands(command, *path, name)
        elif command.rich_help_panel != SERVERS:
            yield " ".join((*path, name)), command


@cache
def documented(verb: str) -> set[int]:
    """The exit codes that the page tells of a verb."""
    rows = re.findall(r"^\| (\d+) \|.*\| ([^|]+) \|$", PAGE.read_text(), re.MULTILINE)
    return {int(code) for code, verbs in rows if verbs == "every verb" or f"`{verb}`" in verbs}


def test_every_verb_is_here() -> None:
    assert {name for name, _ in commands()} == set(VERBS)


def test_every_verb_has_the_options_of_its_kind() -> None:
    shared = {"url", "key_prefix", "output"}
    for name, command in commands():
        own = {each.name for each in command.params}
        assert shared <= own, name
        assert ({"dry_run", "reason"} <= own) == (name in CHANGES), name
        assert ("yes" in own) == (name in ENDS), name


def test_every_verb_has_exit_codes() -> None:
    for verb in VERBS:
        assert {0, 1, 2, 130} <= documented(verb), verb
    assert documented("stuck") == {0, 1, 2, 3, 130}
    assert documented("worker") == {0, 1, 2, 69, 130}


def test_what_the_environment_says_is_documented() -> None:
    servers = [each for each in ROOT.commands.values() if each.rich_help_panel == SERVERS]
    every = [*servers, *(command for _, command in commands())]
    read = {each.envvar for command in every for each in command.params if each.envvar}
    named = (DOCS / "configuration.md").read_text().partition("```")[0]
    assert read == set(re.findall(r"TURNWISE_\w+", named))


@pytest.mark.parametrize("verb", VERBS)
async def test_every_verb_in_every_form(made_scene: Scene, tmp_path: Path, verb: str) -> None:
    consent = ["--yes"] if verb in ENDS else []
    for form in ("json", "jsonl") if verb in CHANGES else ("json", "jsonl", "table"):
        scene = made_scene.copied_to(tmp_path / form)
        given = words(scene, verb, VERBS[verb])
        result = await invoked(scene.url, *given, *consent, "-o", form)
        expected = 3 if verb == "stuck" else 0
        assert result.exit_code == expected or verb == "doctor", result.output
        assert result.exit_code in documented(verb)
        assert result.stdout
        if form == "json" and verb not in ("sessions tail", "top"):
            assert json.loads(result.stdout)
        elif form != "table":
            assert all(map(json.loads, result.stdout.splitlines()))


@pytest.mark.parametrize("verb", CHANGES)
async def test_what_changes_something_leaves_a_record(scene: Scene, verb: str) -> None:
    given = words(scene, verb, CHANGES[verb])
    before = scene.content()
    dry = await invoked(scene.url, *given, "--dry-run", "-o", "table")
    assert (dry.exit_code, scene.content()) == (0, before), dry.output
    assert re.search("would be|dry run", dry.stdout)
    if verb in ENDS and verb != "dead-letters retry":
        refused = await invoked(scene.url, *given)
        assert (refused.exit_code, scene.content()) == (1, before)
    consent = ["--yes"] if verb in ENDS else []
    done = await invoked(scene.url, *given, *consent, "--reason", "4711", "--by", "anna")
    assert done.exit_code == 0, done.output
    async with connect(scene.url) as session:
        (record,) = await session.audit(by="anna")
    assert (record.reason, record.outcome is not None) == ("4711", True)


@pytest.mark.parametrize("verb", MISSING)
async def test_what_is_not_there_is_told_in_a_line(scene: Scene, verb: str) -> None:
    consent = ["--yes"] if verb in ENDS else []
    result = await invoked(scene.url, *words(scene, verb, MISSING[verb]), *consent)
    assert result.exit_code == 1, result.output
    (line,) = result.output.splitlines()
    assert line.startswith("turnwise: ")
    assert isinstance(result.exception, SystemExit)


@pytest.mark.parametrize("verb", VERBS)
async def test_a_store_that_is_not_there(scene: Scene, tmp_path: Path, verb: str) -> None:
    given = words(scene, verb, VERBS[verb])
    consent = ["--yes"] if verb in ENDS else []
    result = await invoked(f"sqlite:///{tmp_path}/none/sessions.db", *given, *consent)
    assert result.exit_code == (2 if verb == "doctor" else 1), result.output
    assert isinstance(result.exception, SystemExit)
    assert "none" in result.output


@pytest.mark.parametrize("verb", VERBS)
async def test_a_wrong_command_line(scene: Scene, verb: str) -> None:
    result = await invoked(scene.url, *words(scene, verb, VERBS[verb]), "--no-such-option")
    assert result.exit_code == 2


async def test_an_approval_is_shown_whole(scene: Scene) -> None:
    result = await invoked(scene.url, "approvals", "show", "asks", scene.approval)
    head, since, agent, *rest = result.stdout.splitlines()
    assert head == f"== approval {scene.approval}: turn p1 of session asks"
    assert re.fullmatch(r"  waits for \d+[smh], since 20\S+", since)
    assert agent == "  agent clerk calls pay"
    assert rest == [
        "  arguments: {}",
        f"  turnwise approvals approve asks {scene.approval}",
        f"  turnwise approvals reject asks {scene.approval}",
    ]
    found = await invoked(scene.url, "approvals", "show", "asks", scene.approval, "-o", "json")
    (row,) = json.loads(found.stdout)
    assert (row["session_id"], row["approval"]["turn_id"]) == ("asks", "p1")
