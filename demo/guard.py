"""Run a command that ends when its starter does: ``guard.py DESCRIPTOR COMMAND …``.

DESCRIPTOR is a pipe that only the starter can write to. It closes when the starter ends, even by SIGKILL. A process
beside the command waits for that. It then ends the command's session: the command with everything that it has started,
also what has left its process group. This works on every system that Airflow runs on, and with any command.
"""

from __future__ import annotations

import os
import signal
import sys
import time
from contextlib import suppress

#: Seconds in which the session may end after a signal.
GRACE = 15.0


def main(lifeline: int, command: list[str]) -> None:
    """Put the watcher beside this process, which then becomes the command. The process id stays the starter's."""
    session = os.getsid(0)
    if watcher := os.fork():
        os.waitpid(watcher, 0)
    else:
        try:
            # It forks again, so that the command doesn't have a child that it knows nothing of.
            if os.fork() == 0:
                watch(lifeline, session)
        finally:
            os._exit(0)
    os.close(lifeline)
    # A shell without job control lets its background processes ignore Ctrl-C, and nohup lets them ignore hanging up.
    for number in (signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_DFL)
    os.execvp(command[0], command)


def watch(lifeline: int, session: int) -> None:
    """Wait until the starter has gone, then end the session."""
    os.setsid()
    nowhere = os.open(os.devnull, os.O_RDWR)
    for descriptor in range(3):  # somebody may be waiting for the end of the command's output
        os.dup2(nowhere, descriptor)
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    os.read(lifeline, 1)
    for number in (signal.SIGTERM, signal.SIGKILL):
        end(session, number)


def end(session: int, number: int) -> None:
    """Send each process of the session a signal, also those that start meanwhile, and wait until all have ended."""
    sent: set[int] = set()
    deadline = time.monotonic() + GRACE
    while (members := members_of(session)) and time.monotonic() < deadline:
        for process in members - sent:
            with suppress(ProcessLookupError):  # it has just ended
                os.kill(process, number)
        sent |= members
        time.sleep(0.05)


def members_of(session: int) -> set[int]:
    """Return the session's processes."""
    if os.path.isdir("/proc/self"):
        listed = [name for name in os.listdir("/proc") if name.isdigit()]
    else:
        listed = os.popen("ps -A -o pid=").read().split()
    return {process for process in map(int, listed) if session_of(process) == session}


def session_of(process: int) -> int | None:
    """Return a process's session, unless it has ended."""
    try:
        return os.getsid(process)
    except OSError:
        return None


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2:])
