"""Objects of the application that the command line names."""

from __future__ import annotations

import gc
import os
import sys
from collections.abc import Iterable
from importlib import import_module
from typing import Any

import typer

from turnwise.hooks import Hook


def load(reference: str) -> Any:
    """Import the object that `module:name` names; the working directory is on the path."""
    module, _, name = reference.partition(":")
    if not module or not name:
        raise typer.BadParameter(f"{reference!r}: use module:name, as in examples.support:agents")
    if os.getcwd() not in sys.path:
        sys.path.insert(0, os.getcwd())
    try:
        return getattr(import_module(module), name)
    except (ModuleNotFoundError, AttributeError) as error:
        raise typer.BadParameter(f"{reference!r}: {error}") from None


def load_hooks(reference: str) -> list[Hook]:
    """What the factory makes that `module:factory` names: a hook, or several."""
    factory = load(reference)
    if not callable(factory):
        raise typer.BadParameter(
            f"{reference!r} is no function or class, but {factory!r}: name what makes the hook"
        )
    made = factory()
    hooks = list(made) if isinstance(made, Iterable) and not callable(made) else [made]
    for hook in hooks:
        if not callable(hook):
            raise typer.BadParameter(
                f"{reference!r} made {hook!r}, which cannot be called with an event"
            )
    return hooks


def freeze_garbage_collector() -> None:
    """Exclude all objects loaded so far from garbage collection.

    A full collection visits them each time, and all turns wait for that: the SDK alone loads
    190,000 objects, which take 0.15 s.
    """
    gc.collect()
    gc.freeze()
