"""Processes that end when this one ends, whatever ends it."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Sequence
from multiprocessing import parent_process
from pathlib import Path
from types import TracebackType
from typing import Any

_GUARD = Path(__file__).with_name("guard.py")


class Child(subprocess.Popen[Any]):
    """A ``Popen`` in a session of its own, whose processes end with this process, its block, or its last reference.

    It doesn't inherit that Ctrl-C or hanging up is ignored.
    """

    def __init__(self, command: Sequence[str | Path], **options: Any) -> None:
        watched, lifeline = os.pipe()
        self._lifeline = os.fdopen(lifeline, "wb", buffering=0)
        guarded = [sys.executable, "-IS", str(_GUARD), str(watched), *map(str, command)]
        try:
            super().__init__(guarded, pass_fds=[watched], start_new_session=True, **options)
        finally:
            os.close(watched)

    def end(self) -> None:
        """End its processes. Nothing is done if they have ended."""
        self._lifeline.close()

    def __del__(self) -> None:
        self.end()
        super().__del__()  # type: ignore[misc]

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.end()
        super().__exit__(kind, error, trace)


def run(
    command: Sequence[str | Path],
    *,
    input: Any = None,
    capture_output: bool = False,
    timeout: float | None = None,
    check: bool = False,
    **options: Any,
) -> subprocess.CompletedProcess[Any]:
    """Run a command as ``subprocess.run`` does, by a `Child`."""
    if input is not None:
        options["stdin"] = subprocess.PIPE
    if capture_output:
        options |= {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    with Child(command, **options) as process:
        output, errors = process.communicate(input, timeout)
    done = subprocess.CompletedProcess(command, process.returncode, output, errors)
    if check:
        done.check_returncode()
    return done


def end_with_parent() -> None:
    """End this worker of a process pool when its pool's process ends (an initializer)."""
    parent = parent_process()
    assert parent is not None

    def wait() -> None:
        parent.join()
        os._exit(1)

    threading.Thread(target=wait, daemon=True).start()
