"""An object that stands for another one: of its kind, with its attributes, but for some methods."""

from __future__ import annotations

from functools import cache
from types import new_class
from typing import Any


class Shadow:
    """Comes before the original's class. Attributes are the original's own, both ways."""

    __slots__ = ()

    _turnwise_original: Any
    _turnwise_run: Any

    def __getattr__(self, name: str) -> Any:
        """What the original keeps outside its `__dict__`."""
        if name.startswith("_turnwise_"):
            raise AttributeError(name)
        return getattr(self._turnwise_original, name)


@cache
def _shadow_kind(shadow: type[Shadow], kind: type[Any]) -> type[Any]:
    names = {
        "__slots__": ("_turnwise_original", "_turnwise_run"),
        "__module__": kind.__module__,
        "__qualname__": kind.__qualname__,
        "__doc__": kind.__doc__,
    }
    return new_class(kind.__name__, (shadow, kind), {}, lambda space: space.update(names))


def shadowed(original: Any, shadow: type[Shadow], run: Any) -> Any:
    """The shadow of `original` in this run."""
    kinds: tuple[Any, Any] = shadow, type(original)
    made = object.__new__(_shadow_kind(*kinds))
    if hasattr(original, "__dict__"):
        object.__setattr__(made, "__dict__", original.__dict__)
    object.__setattr__(made, "_turnwise_original", original)
    object.__setattr__(made, "_turnwise_run", run)
    return made
