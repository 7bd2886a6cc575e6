"""An object that stands for another one: of its kind, with its attributes, but for some methods."""

from __future__ import annotations

from functools import cache
from types import new_class
from typing import Any


class ObjectProxy:
    """Comes before the original's class. Attributes are the original's own, both ways."""

    __slots__ = ()

    _turnwise_original: Any
    _turnwise_context: Any

    def __getattr__(self, name: str) -> Any:
        """What the original keeps outside its `__dict__`."""
        if name.startswith("_turnwise_"):
            raise AttributeError(name)
        return getattr(self._turnwise_original, name)

    def __reduce_ex__(self, protocol: Any) -> Any:
        """A deep copy stands for a copy of the original."""
        shadow = next(kind for kind in type(self).__mro__[1:] if issubclass(kind, ObjectProxy))
        return make_proxy, (self._turnwise_original, shadow, self._turnwise_context)


@cache
def _proxy_kind(shadow: type[ObjectProxy], kind: type[Any]) -> type[Any]:
    """The class of shadows of this kind. Called by who has one, it makes an original."""
    names: dict[str, Any] = {
        "__new__": lambda _, *args, **options: kind(*args, **options),
        "__slots__": ("_turnwise_original", "_turnwise_context"),
        "__module__": kind.__module__,
        "__qualname__": kind.__qualname__,
        "__doc__": kind.__doc__,
    }
    return new_class(kind.__name__, (shadow, kind), {}, lambda space: space.update(names))


def make_proxy(original: Any, shadow: type[ObjectProxy], whose: Any) -> Any:
    """The shadow of `original` in a run, or in a tool.

    Of a class that nobody can inherit from it is none: there it only has the attributes.
    """
    kind_of: Any = _proxy_kind
    try:
        made = object.__new__(kind_of(shadow, type(original)))
    except TypeError:
        made = object.__new__(kind_of(shadow, object))
    else:
        if hasattr(original, "__dict__"):
            object.__setattr__(made, "__dict__", original.__dict__)
    object.__setattr__(made, "_turnwise_original", original)
    object.__setattr__(made, "_turnwise_context", whose)
    return made
