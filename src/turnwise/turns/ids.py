"""Ids: the caller's are checked, our own are minted."""

from __future__ import annotations

import os
import sys
from base64 import urlsafe_b64encode

from turnwise.errors import InvalidSessionId, InvalidTurnId

_SESSION_BYTES, _TURN_BYTES = 512, 256


def mint() -> str:
    """96 random bits in 16 characters: a token, an op id, a commit id or a turn id."""
    return urlsafe_b64encode(os.urandom(12)).decode()


def check_session_id(session_id: object) -> str:
    """The session id. Raises InvalidSessionId."""
    if isinstance(session_id, str) and 0 < utf8_size(session_id) <= _SESSION_BYTES:
        return session_id
    raise InvalidSessionId(
        f"{_shown(session_id)} is no session id: use a non-empty string of at most "
        f"{_SESSION_BYTES} bytes in UTF-8"
    )


def check_turn_id(session_id: str, turn_id: object) -> str:
    """The turn id. Raises InvalidTurnId."""
    if isinstance(turn_id, str) and 0 < utf8_size(turn_id) <= _TURN_BYTES:
        return turn_id
    raise InvalidTurnId(
        f"{_shown(turn_id)} is no turn id: use a non-empty string of at most {_TURN_BYTES} bytes "
        "in UTF-8",
        session_id=session_id,
    )


def utf8_size(text: str) -> int:
    """How many bytes it takes in UTF-8; too many if UTF-8 cannot say it (a lone surrogate)."""
    try:
        return len(text.encode())
    except UnicodeEncodeError:
        return sys.maxsize


def _shown(value: object) -> str:
    text = ascii(value)
    return text if len(text) <= 80 else f"{text[:76]} ..."
