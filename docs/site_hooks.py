"""Hooks of MkDocs: the files at the repository's root become pages of the site.

README, CONTRIBUTING and CHANGELOG are written for a reader of the repository. Here their links are
made to fit the site; a link to a file that is not on the site becomes the file's path.
"""

from __future__ import annotations

import re
from pathlib import Path, PurePosixPath
from posixpath import normpath

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.exceptions import PluginError
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

ROOT = Path(__file__).parents[1]
PAGES = {
    "README.md": "index.md",
    "CONTRIBUTING.md": "contributing.md",
    "CHANGELOG.md": "changelog.md",
}
_LINK = re.compile(r"(!?)\[([^\]]*)\]\(([^)\s#]+)(#[^)\s]*)?\)")
_FENCE = re.compile(r"^(```.*?^```)", re.MULTILINE | re.DOTALL)


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the root's files, and the pictures that they show."""
    for source, target in PAGES.items():
        content = (ROOT / source).read_text()
        files.append(File.generated(config, target, content=content))
        for picture, _, path, _ in _LINK.findall(content):
            if picture and not path.startswith("docs/"):
                files.append(File.generated(config, path, abs_src_path=str(ROOT / path)))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Rewrite the links outside of code blocks."""
    uri = page.file.src_uri
    sources = {target: source for source, target in PAGES.items()}
    source = PurePosixPath(sources.get(uri, f"docs/{uri}"))

    def rewritten(link: re.Match[str]) -> str:
        mark, text, path, anchor = link.groups(default="")
        if "://" in path or path.startswith("mailto:"):
            return link[0]
        target = normpath(source.parent / path)
        if not (ROOT / target).exists():
            raise PluginError(f"{source} links to {target}, which does not exist")
        if target in PAGES:
            on_site = PAGES[target]
        elif target.startswith("docs/"):
            on_site = target.removeprefix("docs/")
        elif mark:
            on_site = target
        else:
            return text if text.strip("`") == target else f"{text} (`{target}`)"
        up = "../" * uri.count("/")
        return f"{mark}[{text}]({up}{on_site}{anchor})"

    parts = _FENCE.split(markdown)
    return "".join(part if part.startswith("```") else _LINK.sub(rewritten, part) for part in parts)
