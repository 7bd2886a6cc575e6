"""The worker registry: a file for each worker, in a folder beside the database.

So a worker that has nothing to do takes no write lock, and flushes nothing to disk. The time of a
file is that of the worker's last heartbeat.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from hashlib import blake2b
from pathlib import Path

import msgspec

from turnwise.errors import StoreRefused
from turnwise.limits import WORKER_KEPT_MS
from turnwise.stores.sqlite.host import Host
from turnwise.types import WorkerEntry

_SUFFIX = ".worker"
_encode = msgspec.msgpack.Encoder().encode
_decoder = msgspec.msgpack.Decoder(tuple[str, bytes])


class SQLiteWorkers:
    """The contract of `turnwise.contracts.Workers`. Its calls are short, and do not wait."""

    def __init__(self, host: Host) -> None:
        self._host = host
        self._folder = Path(f"{host.path}-workers")

    async def write(self, worker: str, record: bytes) -> None:
        path, now = self._path(worker), self._host.clock() * 10**6
        unfinished = path.with_suffix(".new")  # of this name's owner: there is one
        with self._refusals():
            self._folder.mkdir(exist_ok=True)
            unfinished.write_bytes(_encode((worker, record)))
            os.utime(unfinished, ns=(now, now))
            unfinished.replace(path)

    async def remove(self, worker: str) -> None:
        with self._refusals():
            self._path(worker).unlink(missing_ok=True)
        with suppress(OSError):  # others have records in it
            self._folder.rmdir()

    async def list(self) -> list[WorkerEntry]:
        now, found = self._host.clock(), list[WorkerEntry]()
        with self._refusals():
            for path in self._folder.glob(f"*{_SUFFIX}"):
                with suppress(FileNotFoundError, msgspec.MsgspecError):  # gone, or none of ours
                    age_ms = max(0, now - path.stat().st_mtime_ns // 10**6)
                    if age_ms > WORKER_KEPT_MS:
                        path.unlink()
                        continue
                    worker, record = _decoder.decode(path.read_bytes())
                    found.append(WorkerEntry(worker, age_ms, record))
        return sorted(found, key=lambda entry: entry.worker)

    def _path(self, worker: str) -> Path:
        name = blake2b(worker.encode(errors="surrogatepass"), digest_size=12).hexdigest()
        return self._folder / f"{name}{_SUFFIX}"

    @contextmanager
    def _refusals(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise StoreRefused(
                f"the records of workers in {self._folder} cannot be used ({error.strerror}): make "
                "room on its disk, and check the folder's owner and mode"
            ) from None
