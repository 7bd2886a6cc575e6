"""Proxies: objects that replace some methods of another object, and are otherwise like it."""

from __future__ import annotations

from functools import lru_cache
from types import new_class
from typing import Any

recently_derived = lru_cache(maxsize=32)
"""Caches classes that are derived from the application's: the last ones, since an application may
make classes for each request, and a class that is kept keeps all that it refers to."""


class ObjectProxy:
    """The base of all proxies. A proxy's class derives from its `ObjectProxy` and the original's.

    So it passes `isinstance` checks. It shares the original's `__dict__`: attributes set on one are
    set on both. `_turnwise_context` is what the proxy's own methods need.
    """

    __slots__ = ()

    _turnwise_original: Any
    _turnwise_context: Any

    def __getattr__(self, name: str) -> Any:
        """What the original keeps outside its `__dict__`."""
        if name.startswith("_turnwise_"):
            raise AttributeError(name)
        return getattr(self._turnwise_original, name)

    def __reduce_ex__(self, protocol: Any) -> Any:
        """A deep copy is a proxy of a copy of the original."""
        proxy = next(kind for kind in type(self).__mro__[1:] if issubclass(kind, ObjectProxy))
        return make_proxy, (self._turnwise_original, proxy, self._turnwise_context)


@recently_derived
def _proxy_class(proxy: type[ObjectProxy], kind: type[Any]) -> type[Any]:
    """The class of proxies of this kind. Calling `type(proxy)(...)` makes an original."""
    names: dict[str, Any] = {
        "__new__": lambda _, *args, **options: kind(*args, **options),
        "__slots__": ("_turnwise_original", "_turnwise_context"),
        "__module__": kind.__module__,
        "__qualname__": kind.__qualname__,
        "__doc__": kind.__doc__,
    }
    return new_class(kind.__name__, (proxy, kind), {}, lambda space: space.update(names))


def make_proxy(original: Any, proxy: type[ObjectProxy], context: Any) -> Any:
    """A proxy of `original` with the methods of `proxy`.

    If the original's class cannot be inherited, the proxy has its attributes only.
    """
    proxy_class: Any = _proxy_class
    try:
        made = object.__new__(proxy_class(proxy, type(original)))
    except TypeError:
        made = object.__new__(proxy_class(proxy, object))
    else:
        if hasattr(original, "__dict__"):
            object.__setattr__(made, "__dict__", original.__dict__)
    object.__setattr__(made, "_turnwise_original", original)
    object.__setattr__(made, "_turnwise_context", context)
    return made
