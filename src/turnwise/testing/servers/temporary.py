"""Temporary directories that go with their owner."""

import shutil
import tempfile
import weakref
from pathlib import Path


class TemporaryDirectory:
    """A new directory at `path`; removed by `remove()`, or else together with `owner`."""

    def __init__(self, owner: object) -> None:
        self.path = Path(tempfile.mkdtemp(prefix="turnwise-"))
        self._finalizer = weakref.finalize(owner, shutil.rmtree, self.path, ignore_errors=True)

    def remove(self) -> None:
        """Remove it with all that is in it; nothing happens the second time."""
        self._finalizer()
