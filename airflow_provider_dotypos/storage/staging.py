"""Where parts under way lie if their destination is an object store: a temporary folder that outlives no process.

A killed process leaves its folder, with customers' rows in it. So each folder holds a locked file. The lock ends with
its process, however that ends; process ids wouldn't do, as containers may share a temporary folder. A folder whose lock
can be taken is a left-over, and the next extraction removes it.
"""

from __future__ import annotations

import fcntl
import logging
import os
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

log = logging.getLogger(__name__)

_PREFIX = "dotypos-"
_LOCK = ".lock"


@contextmanager
def staging_folder() -> Iterator[Path]:
    """Give a new temporary folder that only its owner can read. It is removed in the end."""
    folder, lock = _locked_folder()
    try:
        yield folder
    finally:
        _remove(folder)
        os.close(lock)


def open_private(path: Path) -> BinaryIO:
    """Open a new file for writing that only its owner can read."""
    return open(path, "wb", opener=lambda name, flags: os.open(name, flags, 0o600))


def remove_left_overs() -> None:
    """Remove what dead processes of this user have left, and nothing of living ones."""
    with suppress(OSError):  # no permission to list it, or it is gone: others will clean up
        for entry in os.scandir(tempfile.gettempdir()):
            if entry.name.startswith(_PREFIX) and entry.is_dir(follow_symlinks=False):
                _remove_if_dead(Path(entry.path))


def _remove_if_dead(folder: Path) -> None:
    with suppress(OSError):  # somebody else's, without a lock (just being made), or removed meanwhile
        if folder.lstat().st_uid != os.getuid():
            return
        lock = os.open(folder / _LOCK, os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if _is_at(lock, folder / _LOCK):
                _remove(folder)
                log.info("Removed %s, the staging of a process that was killed.", folder)
        finally:
            os.close(lock)


def _locked_folder() -> tuple[Path, int]:
    """Make a folder, and take its lock. If a clean-up takes the lock first, make another."""
    while True:
        folder = Path(tempfile.mkdtemp(prefix=_PREFIX))
        lock = os.open(folder / _LOCK, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX)
        except OSError:  # a file system without locks: what lies there is never taken for a left-over
            (folder / _LOCK).unlink()
            return folder, lock
        if _is_at(lock, folder / _LOCK):
            return folder, lock
        os.close(lock)


def _is_at(descriptor: int, path: Path) -> bool:
    """Return whether an open file still has this path."""
    try:
        there, here = path.lstat(), os.fstat(descriptor)
    except FileNotFoundError:
        return False
    return stat.S_ISREG(there.st_mode) and os.path.samestat(there, here)


def _remove(folder: Path) -> None:
    """Remove a folder and its files; the lock last, so that a process that is killed meanwhile leaves a left-over."""
    with suppress(OSError):
        for name in sorted(os.listdir(folder), key=lambda name: name == _LOCK):
            os.unlink(folder / name)
        os.rmdir(folder)
