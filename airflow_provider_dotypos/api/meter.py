"""What counts calls for people, as they happen."""

from __future__ import annotations

from typing import Protocol


class Meter(Protocol):
    """Receives what happens to calls. It may be called by many threads at once, and never raises."""

    def sent(self, cloud_id: int | None) -> None:
        """Count a request that leaves; ``None``: it belongs to no cloud."""

    def throttled(self, cloud_id: int | None, status: int) -> None:
        """Count an answer that asks to slow down."""

    def budgeted(self, cloud_id: int | None, used: int, left: int) -> None:
        """Take how many requests of the request budget are in use, and how many are free."""
