"""One session id for a user and a conversation."""

from __future__ import annotations

from turnwise.turns import check_session_id


def session_id(user_id: str, conversation_id: str) -> str:
    """`session_id("usr_1", "conv_1")` is `session:usr_1:conv_1`, the same in every process.

    Different pairs never get the same id: a colon or percent sign inside a part is encoded.
    Raises InvalidSessionId if the result is over 512 bytes, or a part is empty or no text.
    """
    parts = [_part(user_id), _part(conversation_id)]
    return check_session_id("session:" + ":".join(parts))


def _part(text: str) -> str:
    checked = check_session_id(text)
    return checked.replace("%", "%25").replace(":", "%3A")
