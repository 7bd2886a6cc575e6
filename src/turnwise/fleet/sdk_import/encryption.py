"""Items that the SDK's EncryptedSession has encrypted."""

from __future__ import annotations

import json
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Mapping
from typing import Any

from turnwise.errors import UsageError

_INFO = b"agents.session-store.hkdf.v1"
_KEY_BYTES = 32


class Decryption:
    """Decrypts with one master key. Items that are old by the SDK's ttl are decrypted too."""

    def __init__(self, key: str) -> None:
        try:
            from cryptography.fernet import Fernet, InvalidToken
            from cryptography.hazmat.primitives import hashes
            from cryptography.hazmat.primitives.kdf.hkdf import HKDF
        except ModuleNotFoundError:
            raise UsageError("decrypting needs cryptography; install turnwise[import]") from None
        self._fernet, self._invalid = Fernet, InvalidToken
        self._hkdf, self._hash = HKDF, hashes.SHA256
        self._master = _key_bytes(key)

    def decrypt(self, session_id: str, item: Mapping[str, Any]) -> Any:
        """The item. Raises ValueError if this key is not the one, or the item is damaged."""
        derived = self._hkdf(
            algorithm=self._hash(), length=_KEY_BYTES, salt=session_id.encode(), info=_INFO
        ).derive(self._master)
        try:
            token = str(item.get("payload")).encode()
            return json.loads(self._fernet(urlsafe_b64encode(derived)).decrypt(token))
        except self._invalid:
            raise ValueError("it cannot be decrypted with this key") from None


def is_encrypted(item: object) -> bool:
    return isinstance(item, Mapping) and item.get("__enc__") == 1 and "payload" in item


def _key_bytes(key: str) -> bytes:
    """As the SDK reads it: 32 bytes in URL-safe base64, else the text itself."""
    try:
        decoded = urlsafe_b64decode(key)
    except ValueError:
        decoded = b""
    return decoded if len(decoded) == _KEY_BYTES else key.encode()
