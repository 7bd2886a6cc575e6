"""How the Agents SDK uses its sessions: private names, as in `sdk.py`, each with a canary test."""

from __future__ import annotations

import inspect
from types import FrameType

from agents.memory.openai_responses_compaction_session import OpenAIResponsesCompactionSession
from agents.run_internal.session_persistence import prepare_input_with_session

_FOR_A_MODEL = prepare_input_with_session.__code__
_PASSES_ON = OpenAIResponsesCompactionSession.get_items.__code__
_BOOKKEEPERS = frozenset(
    {prepare_input_with_session.__module__, OpenAIResponsesCompactionSession.__module__}
)


def is_bookkeeping() -> bool:
    """Whether the SDK reads the session whose method asks, to compare or replace what it holds.

    Not if a model or the application gets what it reads.
    """
    frame, found = inspect.currentframe(), False
    while frame is not None:
        if frame.f_code is _FOR_A_MODEL:
            return False
        found = found or _keeps_books(frame)
        frame = frame.f_back
    return found


def _keeps_books(frame: FrameType) -> bool:
    module = frame.f_globals.get("__name__")
    return module in _BOOKKEEPERS and frame.f_code is not _PASSES_ON
