"""What documents name is there: links, files, names of the library, the quick start's output."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.docs.names import problem_with, problems_of
from tests.docs.pages import PAGES, ROOT, blocks, prose_of, text_of
from turnwise.stores.header import StoredTurn
from turnwise.stores.redis.header import ListHeader

PACKAGE = ROOT / "src/turnwise"

_LINK = re.compile(r"\]\(([^)\s]+)\)")
_HEADING = re.compile(r"^#+ (.*)$", re.MULTILINE)


def _anchor(heading: str) -> str:
    """As GitHub and MkDocs make it."""
    return re.sub(r"[^\w\- ]", "", heading.lower()).strip().replace(" ", "-")


def _links(page: str) -> list[str]:
    return [link for link in _LINK.findall(prose_of(page)) if "://" not in link]


@pytest.mark.parametrize("page", PAGES)
def test_links_lead_somewhere(page: str) -> None:
    for link in _links(page):
        path, _, anchor = link.partition("#")
        target = ROOT / page if not path else (ROOT / page).parent / path
        assert target.exists(), link
        if anchor:
            headings = _HEADING.findall(target.read_text())
            assert anchor in map(_anchor, headings), link


@pytest.mark.parametrize("page", PAGES)
def test_what_a_page_names_can_be_imported(page: str) -> None:
    assert problems_of(page) == {}


@pytest.mark.parametrize(
    "span",
    [
        "SessionsBusy",
        "Runner.ran",
        "session.letters",
        "turnwise.hook.TurnEvent",
        "lock()",
        "Worker.x",
    ],
)
def test_what_cannot_be_imported_is_noticed(span: str) -> None:
    assert problem_with(span)


@pytest.mark.parametrize("page", ["README.md", "docs/web.md", "docs/durable.md"])
def test_pages_that_show_use_have_examples(page: str) -> None:
    assert any(block.page == page for block in blocks("python"))


@pytest.mark.parametrize("language", ["py", "python3", "pycon", "Python"])
def test_no_example_is_marked_so_that_it_does_not_run(language: str) -> None:
    assert blocks(language) == []


def test_the_quick_start_is_the_file_and_prints_what_the_readme_shows(tmp_path: Path) -> None:
    file = ROOT / "examples/quickstart.py"
    shown = [block.content for block in blocks("python") if block.page == "README.md"]
    assert file.read_text() in shown
    environment = {name: value for name, value in os.environ.items() if name != "OPENAI_API_KEY"}
    output = ""
    for _ in range(2):
        program = [sys.executable, str(file)]
        result = subprocess.run(
            program, cwd=tmp_path, env=environment, capture_output=True, text=True, check=True
        )
        output += f"$ python quickstart.py\n{result.stdout}"
    assert f"```\n{output}```" in text_of("README.md")


def test_the_examples_of_web_apps_are_those_of_the_example_file() -> None:
    example = (ROOT / "examples/web_stream.py").read_text()
    functions = re.compile(r"(?:^@app.*\n)?^async def .*\n(?:(?: .*)?\n)*", re.MULTILINE)
    shown = [block.content + "\n" for block in blocks("python") if block.page == "docs/web.md"]
    found = [text.rstrip() for content in shown for text in functions.findall(content)]
    assert len(found) >= 4
    for text in found:
        assert text in example


def test_the_map_names_files_that_exist() -> None:
    files = re.compile(r"`([\w/-]+\.(?:py|lua|sql)|[\w/]+/)`")
    named = files.findall(prose_of("docs/internals.md"))
    assert len(named) > 100
    assert [
        path for path in named if not (PACKAGE / path).exists() and path != "src/turnwise/"
    ] == []


def test_the_map_has_every_package_and_the_drawing_every_layer() -> None:
    modules = {path.stem for path in PACKAGE.iterdir() if path.name[0] not in "_."} - {"py"}
    page, drawing = text_of("docs/internals.md"), text_of("docs/layers.svg")
    assert {name for name in modules if not re.search(rf"`{name}(\.py|/)`", page)} == set()
    drawn = set(re.findall(r">(\w+)</text>", drawing))
    assert drawn == modules
    assert drawn <= set(re.findall(r"\w+", page.partition("![")[2].partition("]")[0]))


def test_recipes_name_files_that_exist() -> None:
    files = re.compile(r"`([\w/]+/[\w.]*\.\w+)`")
    named = set(files.findall(text_of("CONTRIBUTING.md"))) - {"stores/redis/lua/name.lua"}
    assert len(named) > 20
    assert [path for path in named if not any((r / path).exists() for r in (ROOT, PACKAGE))] == []


def test_the_page_on_data_has_each_field_of_the_header() -> None:
    tables = text_of("docs/data.md").partition("## The header")[2].partition("## Other keys")[0]
    cells = re.findall(r"^\| (`.*?`) \|", tables, re.MULTILINE)
    documented = {name for cell in cells for name in re.findall(r"`(\w+)`", cell)}
    assert documented == {*ListHeader.__struct_fields__, *StoredTurn.__struct_fields__}


def test_the_site_is_whole_and_loads_nothing_from_elsewhere(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "mkdocs", "build", "--quiet", "--site-dir", str(tmp_path)]
    environment = {**os.environ, "NO_MKDOCS_2_WARNING": "1"}
    subprocess.run(command, cwd=ROOT, env=environment, check=True)
    pages = list(tmp_path.rglob("*.html"))
    assert len(pages) >= 20
    external = re.compile(r"<(?:script|img|iframe)[^>]* src=\"?https?:|<link[^>]* href=\"?https?:")
    assert [page.name for page in pages if external.search(page.read_text())] == []
