"""The statements of `queries.sql`, and of other files like it, by their names."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path

_HERE = Path(__file__).parent
_NAME = re.compile(r"^-- (\w+) --$", re.MULTILINE)
_COMMENT = re.compile(r"^--.*$", re.MULTILINE)


def schema(version: int) -> list[str]:
    """The statements that upgrade a file to this version from the one before."""
    file = _HERE / f"schema-{version}.sql"
    text = _COMMENT.sub("", file.read_text(encoding="utf-8"))
    return [statement.strip() for statement in text.split(";") if statement.strip()]


@cache
def queries(file: str = "queries.sql") -> dict[str, str]:
    """Each statement under its name."""
    _, *parts = _NAME.split((_HERE / file).read_text(encoding="utf-8"))
    texts = (_COMMENT.sub("", text).strip().rstrip(";") for text in parts[1::2])
    return dict(zip(parts[::2], texts, strict=True))


def query(name: str) -> str:
    """The statement called `name`."""
    return queries()[name]
