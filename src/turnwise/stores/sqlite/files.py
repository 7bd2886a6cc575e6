"""Where a database file may be."""

from __future__ import annotations

import os
import re
from pathlib import Path

from turnwise.errors import StoreRefused, UsageError

MOUNTS = Path("/proc/self/mountinfo")
# Their locks do not work between machines, or not at all. Others are trusted.
_NETWORK = frozenset(
    {
        *("afs", "beegfs", "ceph", "cifs", "coda", "davfs", "gfs2", "glusterfs", "gpfs", "lustre"),
        *("ncpfs", "nfs", "nfs4", "ocfs2", "orangefs", "smb2", "smb3", "smbfs"),
    }
)
_NETWORK_FUSE = re.compile(
    r"fuse\.(sshfs|s3fs|goofys|gcsfuse|glusterfs|ceph|rclone|davfs2?|curlftpfs|juicefs|nfs)"
)
_ESCAPED = re.compile(r"\\([0-7]{3})")


def absolute(path: str | os.PathLike[str]) -> str:
    """The full path: a later change of directory does not matter."""
    text = os.fspath(path)
    if text in ("", ":memory:"):
        raise UsageError(
            f"{text!r} names no file that several processes can share; "
            "use MemorySession for sessions in memory"
        )
    if "\0" in text:
        raise UsageError("the path of a SQLite file holds a NUL character")
    return os.path.abspath(text)


def refuse_network(path: str) -> None:
    """Raise StoreRefused if the file would be on another machine, as far as Linux says so."""
    if kind := network_file_system(path):
        raise StoreRefused(
            f"{path} is on a network file system ({kind}), whose locks SQLite cannot rely on: "
            "histories would be damaged. Use a local disk, or Redis for several machines"
        )


def network_file_system(path: str) -> str:
    """The kind of the network file system that the file would be on; "" if it is on none."""
    try:
        mounts = MOUNTS.read_text(encoding="utf-8", errors="surrogateescape")
    except OSError:  # not Linux
        return ""
    kind = file_system(os.path.realpath(os.path.dirname(path)), mounts)
    return kind if kind in _NETWORK or _NETWORK_FUSE.fullmatch(kind) else ""


def file_system(directory: str, mounts: str) -> str:
    """The type of the file system that `directory` (without links) is on; "" if unknown.

    `mounts` is the content of /proc/self/mountinfo.
    """
    best, kind = "", ""
    for line in mounts.splitlines():
        before, _, after = line.partition(" - ")
        fields = before.split(" ")
        if len(fields) < 5 or not after:
            continue
        point = _ESCAPED.sub(lambda match: chr(int(match[1], 8)), fields[4])
        inside = directory == point or directory.startswith(point.rstrip("/") + "/")
        if inside and len(point) >= len(best):  # of two at one mount point, the later one is on top
            best, kind = point, after.split(" ")[0]
    return kind


def advice(path: str) -> str:
    """Why a file cannot be opened, as far as it can be seen, and what to do."""
    parent = os.path.dirname(path)
    try:
        os.stat(parent)
    except FileNotFoundError:
        return f"the directory {parent} does not exist: make it first"
    except OSError as error:
        return (
            f"its directory {parent} cannot be entered ({error.strerror}): check its path and mode"
        )
    if not os.path.isdir(parent):
        return f"{parent} is not a directory: choose another path"
    if os.path.isdir(path):
        return "it is a directory: name a file in it"
    if os.statvfs(parent).f_flag & os.ST_RDONLY:
        return "its disk is mounted read-only: mount it for writing, or choose another path"
    return "check that this user may read and write it and its directory"
