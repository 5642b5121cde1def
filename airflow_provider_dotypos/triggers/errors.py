"""What a task raises when its trigger has failed; ``exceptions`` exports it."""

from __future__ import annotations

from datetime import datetime

from airflow_provider_dotypos.api.errors import DotyposError


class DotyposTriggerError(DotyposError):
    """A deferred task's trigger has failed: the message is that of its error.

    :ivar reason: why a retry can't help, as ``retry_table`` knows it, or ``None``.
    """

    def __init__(self, message: str, *, reason: str | None = None, retry_at: datetime | None = None) -> None:
        super().__init__(message)
        self.reason = reason
        self.retry_at = retry_at
        self.too_long_to_wait = retry_at is not None
