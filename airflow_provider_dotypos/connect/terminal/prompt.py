"""Questions to the person at the terminal."""

from __future__ import annotations

import sys
from getpass import getpass


def on_a_terminal() -> bool:
    """Return whether a person can be asked."""
    return sys.stdin.isatty()


def ask(question: str) -> str:
    """Return what is typed."""
    sys.stderr.write(question)
    sys.stderr.flush()
    return sys.stdin.readline().strip()


def ask_secretly(question: str) -> str:
    """Return what is typed, without showing it; or a line of what is piped in."""
    return getpass(question, sys.stderr).strip() if on_a_terminal() else ask(question)
