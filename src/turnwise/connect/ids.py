"""One session id for a user and a conversation."""

from __future__ import annotations

from turnwise.turns import check_session_id


def make_session_id(user_id: str, conversation_id: str) -> str:
    """A session id for a user's conversation, the same in every process.

    `make_session_id("usr_1", "conv_1")` is `session:usr_1:conv_1`. Different pairs never get the
    same id: colons and percent signs inside the parts are encoded.

    Args:
        user_id: Any non-empty string.
        conversation_id: Any non-empty string.

    Raises:
        InvalidSessionId: A part is no non-empty string, or the id exceeds 512 bytes in UTF-8.
    """
    parts = [_encoded(user_id), _encoded(conversation_id)]
    return check_session_id("session:" + ":".join(parts))


def _encoded(part: str) -> str:
    return check_session_id(part).replace("%", "%25").replace(":", "%3A")
