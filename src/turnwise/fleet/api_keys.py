"""API keys: who holds one acts for its owner. The store keeps their digests, never the keys.

A key has 256 random bits, which nobody guesses, however fast the digest is computed: so SHA-256 is
enough, and each request can afford it. Slow digests and salts protect passwords, which people
choose.
"""

from __future__ import annotations

import hmac
import secrets
import time
from dataclasses import dataclass
from hashlib import sha256

import msgspec

from turnwise.errors import StoreError, UsageError
from turnwise.fleet.audit import audited
from turnwise.stores.header import check_owner
from turnwise.turns import Runtime
from turnwise.types import RegistryEntry

_PREFIX = "tw"
_MAX_NAME_BYTES = 200
_USED = "used "
"""Begins the name of the record whose age tells when a key was used last.

It is a record of its own: so noting a use cannot undo a revocation.
"""
_NOTE_INTERVAL = 60.0


@dataclass(frozen=True, slots=True)
class ApiKey:
    """What is known of an API key. The key itself is shown once, by `ApiKeys.create`.

    Attributes:
        id: Names it. It is the part of the key between the underscores.
        owner: Whom it acts for.
        name: What it is for; "" if nobody said.
        created_at: When it was created, in POSIX seconds.
        last_used_at: When it was used last, to within about a minute; None if it never was.
        revoked_at: When it was revoked; None if it is valid.
    """

    id: str
    owner: str
    name: str
    created_at: float
    last_used_at: float | None
    revoked_at: float | None


class _Stored(msgspec.Struct, omit_defaults=True):
    """A key as it is stored. Times are in POSIX seconds."""

    digest: str
    owner: str
    created: float
    name: str = ""
    revoked: float | None = None


_NONE = _Stored("0" * 64, "", 0, revoked=0)
"""Stands for a key that does not exist, so that it takes the same path as one that was revoked."""
_decoder = msgspec.json.Decoder(_Stored)


class ApiKeys:
    """The API keys of a fleet, in its store.

    Args:
        runtime: That of a session object that stands for all sessions of the store.

    Raises:
        UsageError: The session object is bound to the sessions of one owner.
    """

    def __init__(self, runtime: Runtime) -> None:
        runtime.check_unowned("an API key")
        self._runtime = runtime
        self._registry = runtime.store.api_keys
        self._noted: dict[str, float] = {}

    async def create(
        self, owner: str, name: str = "", *, reason: str | None = None, by: str | None = None
    ) -> tuple[str, ApiKey]:
        """Make a key.

        Args:
            owner: Whom it acts for: a non-empty string of at most 256 bytes in UTF-8.
            name: What it is for; at most 200 bytes.
            reason, by: Why and who, for the audit.

        Returns:
            The key, which is not stored and cannot be shown again, and what is known of it.

        Raises:
            UsageError: `owner` or `name` is no such text.
            StoreError: The store failed. If the key was stored all the same, nobody knows it.
        """
        check_owner(owner)
        if len(name.encode(errors="replace")) > _MAX_NAME_BYTES:
            raise UsageError(f"name: use a text of at most {_MAX_NAME_BYTES} bytes")
        key_id, secret = secrets.token_hex(8), secrets.token_urlsafe(32)
        text = f"{_PREFIX}_{key_id}_{secret}"
        async with audited(self._runtime, "create_key", "", key_id, reason=reason, by=by):
            stored = _Stored(digest_of(text), owner, time.time(), name)
            await self._registry.write(key_id, msgspec.json.encode(stored))
        return text, _key(key_id, stored, None)

    async def list(self, owner: str | None = None) -> list[ApiKey]:
        """The keys, revoked ones too, the oldest first.

        Args:
            owner: Only those of this owner.
        """
        entries = {entry.name: entry for entry in await self._registry.list()}
        found = [
            _key(name, stored, entries.get(_USED + name))
            for name, entry in entries.items()
            if (stored := _parsed(entry)) is not None and owner in (None, stored.owner)
        ]
        return sorted(found, key=lambda key: (key.created_at, key.id))

    async def revoke(
        self, key_id: str, *, reason: str | None = None, by: str | None = None
    ) -> bool:
        """End a key for good. A server that let it in a moment ago does so for five seconds more.

        Args:
            key_id: Its id, or the key itself.
            reason, by: Why and who, for the audit.

        Returns:
            False if there is no such key.
        """
        key_id = _id_in(key_id) or key_id
        async with audited(self._runtime, "revoke_key", "", key_id, reason=reason, by=by) as deed:
            stored = _parsed(await self._registry.read(key_id))
            if stored is not None and stored.revoked is None:
                stored.revoked = time.time()
                await self._registry.write(key_id, msgspec.json.encode(stored))
            deed.outcome = "absent" if stored is None else "done"
        return stored is not None

    async def find(self, text: str) -> ApiKey | None:
        """What is known of a key that somebody shows; None if it is none, or was revoked.

        Both take the same path, and the same time.
        """
        key_id = _id_in(text)
        if key_id is None:
            return None
        stored = _parsed(await self._registry.read(key_id)) or _NONE
        is_right = hmac.compare_digest(stored.digest, digest_of(text))
        if not (is_right & (stored.revoked is None)):
            return None
        await self._note(key_id)
        return _key(key_id, stored, None)

    async def _note(self, key_id: str) -> None:
        """Note that the key is used, at most once a minute. If that fails, nothing else does."""
        now = time.monotonic()
        if now - self._noted.get(key_id, -_NOTE_INTERVAL) >= _NOTE_INTERVAL:
            self._noted[key_id] = now
            try:
                await self._registry.write(_USED + key_id, b"")
            except StoreError:
                self._noted.pop(key_id, None)  # its next use is noted


def digest_of(text: str) -> str:
    """What is stored of a key."""
    return sha256(text.encode(errors="replace")).hexdigest()


def _id_in(text: str) -> str | None:
    """The id in a key; None for what does not look like one."""
    prefix, _, rest = text.partition("_")
    key_id, _, secret = rest.partition("_")
    return key_id if prefix == _PREFIX and key_id.isalnum() and secret else None


def _parsed(entry: RegistryEntry | None) -> _Stored | None:
    """None for what is no key: when one was used, or what another version wrote."""
    if entry is None:
        return None
    try:
        return _decoder.decode(entry.record)
    except msgspec.MsgspecError:
        return None


def _key(key_id: str, stored: _Stored, used: RegistryEntry | None) -> ApiKey:
    last_used = None if used is None else time.time() - used.age_ms / 1000
    return ApiKey(key_id, stored.owner, stored.name, stored.created, last_used, stored.revoked)
