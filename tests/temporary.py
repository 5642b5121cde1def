"""Where tests keep their files: in memory, where there is room for them."""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path

_MEMORY = Path("/dev/shm")

#: Bytes that must be free: about ten times what a run of all tests took.
_ROOM = 4 * 2**30


def use_memory() -> None:
    """Have this process and its children keep temporary files in memory, unless ``TMPDIR`` says where they go.

    A disk takes about 10 ms to confirm that a file is there for good, and the tests wait for that often.
    """
    if "TMPDIR" in os.environ or not os.access(_MEMORY, os.W_OK) or shutil.disk_usage(_MEMORY).free < _ROOM:
        return
    os.environ["TMPDIR"] = tempfile.tempdir = str(_MEMORY)


def short_folder(prefix: str) -> Path:
    """Return a new folder whose path leaves room for the name of a socket: such a path has a longest length."""
    usual = tempfile.gettempdir()
    return Path(tempfile.mkdtemp(prefix=prefix, dir=usual if len(usual) <= len(str(_MEMORY)) else "/tmp"))
