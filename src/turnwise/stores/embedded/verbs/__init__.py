"""The verbs as plain Python on one session's state: the readable model of `contracts.Store`.

A verb runs alone on its session, to its end or not at all; memory and SQLite see to that.
`redis/lua` says the same again in Lua, in files and functions of the same names, and one
conformance suite holds both to it.
"""

from turnwise.stores.embedded.verbs.verbs import Verbs

__all__ = ["Verbs"]
