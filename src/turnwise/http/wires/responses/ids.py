"""Response ids. An id says which turn it stands for, so that any replica can answer for it."""

from __future__ import annotations

import base64
import binascii
import hashlib
from dataclasses import dataclass
from enum import IntFlag

from turnwise.http.wires.responses.errors import not_found

PREFIX = "resp_"
_VERSION = 1
_CHECK_BYTES = 4
_MAX_PART = 255


class Mode(IntFlag):
    """How a response was asked for."""

    NONE = 0
    BACKGROUND = 1
    STREAM = 2
    STORE = 4
    CONVERSATION = 8
    """Its session is a conversation that the client named."""


@dataclass(frozen=True, slots=True)
class ResponseId:
    """What a response id stands for.

    Attributes:
        session_id, turn_id: The turn.
        mode: How the response was asked for.
        part: A turn that is parked gives a response, and its continuation another: how often the
            turn was parked before this one.
    """

    session_id: str
    turn_id: str
    mode: Mode
    part: int = 0

    def __str__(self) -> str:
        session = self.session_id.encode()
        head = bytes([_VERSION << 4 | self.mode, self.part]) + len(session).to_bytes(2)
        payload = head + session + self.turn_id.encode()
        return PREFIX + base64.urlsafe_b64encode(payload + _check(payload)).decode().rstrip("=")

    @classmethod
    def parse(cls, text: str) -> ResponseId:
        """What the id stands for. Raises the error 404 for a text that is no id."""
        try:
            encoded = text.removeprefix(PREFIX)
            decoded = base64.b64decode(encoded + "=" * (-len(encoded) % 4), b"-_", validate=True)
            payload, check = decoded[:-_CHECK_BYTES], decoded[-_CHECK_BYTES:]
            if not text.startswith(PREFIX) or check != _check(payload) or len(payload) < 6:
                raise ValueError
            if payload[0] >> 4 != _VERSION:
                raise ValueError
            end = 4 + int.from_bytes(payload[2:4])
            session_id, turn_id = payload[4:end].decode(), payload[end:].decode()
            found = cls(session_id, turn_id, Mode(payload[0] & 15), payload[1])
            if str(found) != text:
                raise ValueError
        except (ValueError, binascii.Error):
            raise response_not_found(text) from None
        return found

    @property
    def background(self) -> bool:
        return Mode.BACKGROUND in self.mode

    @property
    def stream(self) -> bool:
        return Mode.STREAM in self.mode

    @property
    def store(self) -> bool:
        return Mode.STORE in self.mode

    @property
    def conversation(self) -> str | None:
        """The conversation that the client named; None if the session is the response's own."""
        return self.session_id if Mode.CONVERSATION in self.mode else None

    def following(self, mode: Mode) -> ResponseId:
        """The response that the turn gives when it goes on from where this one parked it."""
        if self.part == _MAX_PART:
            raise ValueError(f"a turn gives at most {_MAX_PART + 1} responses")
        return ResponseId(self.session_id, self.turn_id, mode, self.part + 1)


def response_not_found(text: str) -> Exception:
    return not_found(f"Response with id '{text[:200]}' not found.", "response_id")


def _check(payload: bytes) -> bytes:
    """It tells an id that was cut or altered. The store says who may see a turn."""
    return hashlib.blake2b(payload, digest_size=_CHECK_BYTES).digest()
