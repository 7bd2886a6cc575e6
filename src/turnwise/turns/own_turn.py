"""Code that waits for a turn which it is part of waits in vain: it gets an error instead."""

from __future__ import annotations

from turnwise.enclosing import enclosing_turns
from turnwise.errors import UsageError
from turnwise.turns.runtime import Runtime
from turnwise.types import Info


async def refuse_to_wait_for_own_turn(runtime: Runtime, session_id: str) -> None:
    """Raise UsageError if this code is part of the turn that holds the session now.

    It calls the store only if the code is part of a turn of a session of this name, which may be in
    another store.
    """
    turns = enclosing_turns(session_id, runtime.origin)
    own = {(turn.turn_id, turn.worker) for turn in turns}
    if not own:
        return
    found = await runtime.store.info(session_id)
    turn = found.open_turn if isinstance(found, Info) else None
    if turn is not None and (turn.turn_id, turn.worker) in own:
        raise UsageError(
            f"this code is part of turn {turn.turn_id!r}, which holds the session, so it would "
            "wait for itself. In a block of session.turn use the turn. In a tool or a hook use "
            "another session; what is to follow the turn can be submitted (session.submit), but "
            "not waited for",
            session_id=session_id,
        )
