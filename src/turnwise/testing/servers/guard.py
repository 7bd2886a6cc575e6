"""Becomes the server given on the command line, after asking to die with its parent.

Run as a script: guard.py <pid of the parent> <binary> <arguments ...>. A `preexec_fn` would do
the same inside a fork, which is unsafe, and warned of, in a process that has threads.
"""

import ctypes
import os
import signal
import sys

_PR_SET_PDEATHSIG = 1


def die_with(parent: int) -> bool:
    """Let this process die with its parent; False if the parent is dead already."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    # It may have died before the request, and the signal would never come.
    return os.getppid() == parent


def main() -> None:
    parent, *command = sys.argv[1:]
    if not die_with(int(parent)):
        sys.exit("the parent process is gone")
    os.execv(command[0], command)


if __name__ == "__main__":
    main()
