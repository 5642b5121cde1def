"""What the command asks the person in the terminal."""

from __future__ import annotations

import sys
from getpass import getpass


def on_a_terminal() -> bool:
    """Return whether there is somebody to ask."""
    return sys.stdin.isatty()


def ask(question: str) -> str:
    """Return what is typed."""
    sys.stderr.write(question)
    sys.stderr.flush()
    return sys.stdin.readline().strip()


def ask_secretly(question: str) -> str:
    """Return what is typed, without showing it; what is piped in is read as it comes."""
    return getpass(question, sys.stderr).strip() if on_a_terminal() else ask(question)
