"""How bugs are planted: changes of scripts and of methods, which fail if those are not there."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from turnwise.stores.redis import events, scripts, session_scripts

Plant = Callable[[], None]


def lua(verb: str, old: str, new: str) -> Plant:
    """A change of one script, or of the part that all scripts share if `verb` is empty."""

    namespace = vars(events if verb.startswith("events/") else session_scripts)

    def change() -> None:
        original: Callable[[str], scripts.Script] = namespace["script"]
        assert old in original(verb or "commit").text, f"the script of {verb!r} has no {old!r}"

        def changed(name: str) -> scripts.Script:
            script = original(name)
            if verb not in ("", name):
                return script
            text = script.text.replace(old, new)
            return scripts.Script.of(name, text)

        namespace["script"] = changed

    return change


def method(kind: Any, name: str, new: Any) -> Plant:
    """A replaced method."""

    def change() -> None:
        assert hasattr(kind, name), f"{kind} has no {name}"
        setattr(kind, name, new)

    return change
