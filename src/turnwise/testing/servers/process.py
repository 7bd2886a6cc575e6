"""One child process, which does not outlive its parent."""

import asyncio
import atexit
import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

_LINUX = sys.platform == "linux"
_GUARD = Path(__file__).with_name("guard.py")


class ServerFailed(RuntimeError):
    """A server ended on its own, or never became ready; the message holds the end of its log."""


class PortTaken(ServerFailed):
    """A port was in use by another process."""


class Process:
    """A running child process that writes to the file `log`."""

    def __init__(self, command: Sequence[str], directory: Path, log: Path) -> None:
        self._log = log
        self._log_start = log.stat().st_size if log.exists() else 0
        # A session of its own, so that Ctrl-C reaches the tests, which then stop the server.
        with log.open("ab") as output:
            self._popen = subprocess.Popen(
                [*_guarded(command)],
                cwd=directory,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        atexit.register(self._kill)

    @property
    def pid(self) -> int:
        return self._popen.pid

    @property
    def alive(self) -> bool:
        return self._popen.poll() is None

    def check(self) -> None:
        """Raise PortTaken or ServerFailed if the process has ended."""
        if self.alive:
            return
        log = self.log()
        taken = "Address already in use" in log
        raise (PortTaken if taken else ServerFailed)(
            f"the server ended with code {self._popen.returncode}:\n{log[-2_000:]}"
        )

    def log(self) -> str:
        """What this process has written so far."""
        with self._log.open("rb") as log:
            log.seek(self._log_start)
            return log.read().decode(errors="replace")

    def pause(self) -> None:
        """SIGSTOP; returns when the process is stopped."""
        self._popen.send_signal(signal.SIGSTOP)
        if _LINUX and self.alive:
            os.waitid(os.P_PID, self.pid, os.WSTOPPED | os.WEXITED | os.WNOWAIT)

    def resume(self) -> None:
        """SIGCONT."""
        self._popen.send_signal(signal.SIGCONT)

    async def kill(self) -> None:
        """SIGKILL; returns when the process is gone."""
        self._popen.kill()
        await self._gone(timeout=10)

    async def terminate(self, timeout: float) -> None:
        """SIGTERM, and SIGKILL if the process is still there after `timeout` seconds."""
        self.resume()
        self._popen.terminate()
        try:
            await self._gone(timeout)
        except TimeoutError:
            await self.kill()

    async def _gone(self, timeout: float) -> None:
        deadline = time.monotonic() + timeout
        while self.alive:
            if time.monotonic() > deadline:
                raise TimeoutError(f"process {self.pid} is still there after {timeout:g} s")
            await asyncio.sleep(0.002)
        atexit.unregister(self._kill)

    def _kill(self) -> None:
        self._popen.kill()
        self._popen.wait()


def _guarded(command: Sequence[str]) -> list[str]:
    if not _LINUX:
        return [*command]
    return [sys.executable, "-I", "-S", str(_GUARD), str(os.getpid()), *command]
