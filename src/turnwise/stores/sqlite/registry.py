"""Named records: a file for each, in a folder beside the database.

So a worker that has nothing to do takes no write lock, and flushes nothing to disk. The time of a
file is that of the last `write`.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from hashlib import blake2b
from pathlib import Path

import msgspec

from turnwise.errors import StoreRefused
from turnwise.stores.sqlite.files import advice
from turnwise.stores.sqlite.host import Host
from turnwise.types import RegistryEntry

_SUFFIX = ".record"
_encode = msgspec.msgpack.Encoder().encode
_decoder = msgspec.msgpack.Decoder(tuple[str, bytes])


class SQLiteRegistry:
    """The contract of `turnwise.contracts.Registry`. Its calls are short, and do not wait.

    Args:
        host: the store.
        what: ends the folder's name.
        kept_ms: how long a record stays that nobody writes again; None for ever.
    """

    def __init__(self, host: Host, what: str, kept_ms: int | None) -> None:
        self._host = host
        self._what, self._kept_ms = what, kept_ms
        self._folder = Path(f"{host.path}-{what}")

    async def write(self, name: str, record: bytes) -> None:
        path, content = self._path(name), _encode((name, record))
        with self._refusals():
            try:
                self._put(path, content)
            except FileNotFoundError:  # another process removed the empty folder in between
                self._put(path, content)

    def _put(self, path: Path, content: bytes) -> None:
        unfinished, now = path.with_suffix(f".{os.getpid()}"), self._host.clock() * 10**6
        self._folder.mkdir(exist_ok=True)
        unfinished.write_bytes(content)
        os.utime(unfinished, ns=(now, now))
        unfinished.replace(path)

    async def remove(self, name: str) -> None:
        with self._refusals():
            self._path(name).unlink(missing_ok=True)
        with suppress(OSError):  # others have records in it
            self._folder.rmdir()

    async def read(self, name: str) -> RegistryEntry | None:
        with self._refusals():
            found = self._load(self._path(name), self._host.clock())
        return found if found is not None and found.name == name else None

    async def list(self) -> list[RegistryEntry]:
        now, found = self._host.clock(), list[RegistryEntry]()
        if not self._folder.parent.is_dir():  # a wrong path is no fleet without workers
            where = str(self._host.path)
            raise StoreRefused(f"{where} cannot be opened: {advice(where)}")
        with self._refusals():
            for path in self._folder.glob(f"*{_SUFFIX}"):
                if (entry := self._load(path, now)) is not None:
                    found.append(entry)
        return sorted(found, key=lambda entry: entry.name)

    def _load(self, path: Path, now: int) -> RegistryEntry | None:
        """None for what is gone, is none of ours, or is removed now since it is too old."""
        with suppress(FileNotFoundError, msgspec.MsgspecError):
            age_ms = max(0, now - path.stat().st_mtime_ns // 10**6)
            if self._kept_ms is None or age_ms <= self._kept_ms:
                name, record = _decoder.decode(path.read_bytes())
                return RegistryEntry(name, age_ms, record)
            path.unlink()
        return None

    def _path(self, name: str) -> Path:
        digest = blake2b(name.encode(errors="surrogatepass"), digest_size=12).hexdigest()
        return self._folder / f"{digest}{_SUFFIX}"

    @contextmanager
    def _refusals(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise StoreRefused(
                f"the records of {self._what} in {self._folder} cannot be used "
                f"({error.strerror}): make room on its disk, and check the folder's owner and mode"
            ) from None
