"""No wire reaches behind the gateway: the layers' contract knows imports only."""

from __future__ import annotations

import ast
from pathlib import Path

import turnwise.http.wires

_FOLDER = Path(turnwise.http.wires.__file__).parent
_BEHIND = {"runtime", "_runtime", "_session", "_sessions"}


def test_no_wire_reaches_behind_the_gateway() -> None:
    files = sorted(_FOLDER.rglob("*.py"))
    assert len(files) > 20
    found = [
        f"{file.name}:{node.lineno} .{node.attr}"
        for file in files
        for node in ast.walk(ast.parse(file.read_text()))
        if isinstance(node, ast.Attribute) and node.attr in _BEHIND
    ]
    assert found == []
