"""Connections of event loops that wait for the next request."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from typing import Any

#: Idle connections that are kept: a loop makes many calls at once, and each new connection costs a TLS handshake.
KEPT = 256

#: Seconds for which an idle connection is kept.
KEPT_FOR = 60.0


class Idle:
    """A client's idle connections. Each belongs to the loop that opened it, and is of no use once that has ended."""

    def __init__(self) -> None:
        self._by_loop: dict[asyncio.AbstractEventLoop, deque[tuple[float, Any]]] = {}

    def take(self) -> Any | None:
        """Return the connection that was used last, or ``None``."""
        idle = self._here()
        return idle.pop()[1] if idle else None

    async def keep(self, connection: Any) -> None:
        """Keep a connection for the next request, and close those that have been idle for long, or are too many."""
        idle = self._here()
        idle.append((time.monotonic(), connection))
        while idle and (len(idle) > KEPT or idle[0][0] < time.monotonic() - KEPT_FOR):
            await idle.popleft()[1].aclose()

    async def aclose(self) -> None:
        """Close this loop's idle connections."""
        while connection := self.take():
            await connection.aclose()

    def _here(self) -> deque[tuple[float, Any]]:
        for ended in [loop for loop in list(self._by_loop) if loop.is_closed()]:
            self._by_loop.pop(ended, None)
        return self._by_loop.setdefault(asyncio.get_running_loop(), deque())
