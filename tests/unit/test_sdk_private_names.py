"""The SDK's private names are used in `turnwise/durable/sdk*.py` only, and each has a canary."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import turnwise

SOURCES = Path(turnwise.__file__).parent
SDK = sorted(SOURCES.glob("durable/sdk*.py"))
CANARIES = Path(__file__).parent.glob("test_sdk_[rst]*.py")
PACKAGES = ("agents", "openai")


def parsed(path: Path) -> Iterator[ast.AST]:
    return ast.walk(ast.parse(path.read_text()))


def private_attributes(path: Path) -> set[str]:
    """Of other objects than the module's own."""
    return {
        node.attr
        for node in parsed(path)
        if isinstance(node, ast.Attribute)
        and node.attr.startswith("_")
        and not node.attr.startswith("__")
        and not (isinstance(node.value, ast.Name) and node.value.id in ("self", "cls"))
    }


def private_imports(path: Path) -> list[str]:
    return [
        f"{node.module}.{name.name}"
        for node in parsed(path)
        if isinstance(node, ast.ImportFrom) and (node.module or "").partition(".")[0] in PACKAGES
        for name in node.names
        if "run_internal" in f"{node.module}" or "._" in f"{node.module}.{name.name}"
    ]


def test_no_other_module_uses_them() -> None:
    used = {name for path in SDK for name in private_attributes(path)}
    assert len(used) > 12
    assert all(map(private_imports, SDK))
    for path in SOURCES.rglob("*.py"):
        if path not in SDK and "testing" not in path.parts:
            assert not private_attributes(path) & used, path
            assert not private_imports(path), path


def test_each_has_a_canary() -> None:
    names = {
        node.name
        for path in SDK
        for node in ast.parse(path.read_text()).body
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef)
        and not node.name.startswith("_")
    }
    tested = {
        getattr(node, "attr", None) or getattr(node, "id", None)
        for path in CANARIES
        for node in parsed(path)
        if isinstance(node, ast.Attribute | ast.Name)
    }
    assert len(names) > 20
    assert names - tested <= {"PendingCall"}  # which `pending_calls` returns
