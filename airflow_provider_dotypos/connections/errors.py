"""What keeps a connection from being connected or used. Every message is for the person, and safe to show."""

from __future__ import annotations


class ConnectError(Exception):
    """Connecting came to nothing. The message holds nothing that came from outside."""


class WrongConnectionError(ConnectError):
    """A connection can't be used for this."""
