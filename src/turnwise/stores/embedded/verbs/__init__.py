"""The verbs in plain Python, on one session's state: a readable model of `contracts.Store`.

A verb runs alone on its session, to its end or not at all; memory and SQLite see to that.
`redis/lua` has the same verbs in Lua, in files and functions of the same names. One conformance
suite tests both.
"""

from turnwise.stores.embedded.verbs.verbs import Verbs

__all__ = ["Verbs"]
