"""One of the lists that a task extracts: what to read of it, for which window, and what came of it."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from airflow_provider_dotypos.api.errors import DotyposError
from airflow_provider_dotypos.api.window import duration, iso
from airflow_provider_dotypos.transfers.wording import period, spoken

if TYPE_CHECKING:
    from airflow_provider_dotypos.api.reading import Reader
    from airflow_provider_dotypos.api.window import Window
    from airflow_provider_dotypos.transfers.selection import Selection
    from airflow_provider_dotypos.transfers.watermark import Watermark


@dataclass(eq=False)
class ListTransfer:
    """One list of a task.

    :param reader: reads it. An error of the list cancels it, and no other list's.
    :ivar window: what to read; ``None`` if there is nothing new.
    :ivar watermark: where the window continues from, if the task has none of its own.
    :ivar results: the sink's results that the task returns: those of earlier runs whose tasks didn't succeed, the
        oldest first, and its own.
    :ivar nothing_new: why there is nothing to read, if so.
    :ivar error: what ended it.
    """

    selection: Selection
    reader: Reader
    window: Window | None = None
    watermark: Watermark[Any] | None = None
    results: list[Any] = field(default_factory=list)
    nothing_new: str | None = None
    error: Exception | None = None

    @property
    def name(self) -> str:
        """The entity's name."""
        return self.selection.entity.name

    @property
    def waits(self) -> bool:
        """Whether it could be extracted, but was neither extracted nor failed."""
        return self.window is not None and self.error is None and not self.results

    @property
    def was_read(self) -> bool:
        """Whether this task has extracted it, or read a part of it that the next attempt keeps."""
        kept = isinstance(self.error, DotyposError) and self.error.brought_rows
        return kept or (self.error is None and bool(self.results) and self.reader.requests > 0)

    def extent(self) -> str | None:
        """Return how far the list is extracted, in words; ``None`` if nothing is known of it."""
        name = f"{spoken(self.name)} of cloud {self.selection.cloud_id}"
        if self.watermark is not None:
            reached = self.watermark.read()
            if reached is None:
                return f"{name}: no run has succeeded so far"
            return f"{name}: up to {iso(reached)}, {duration(time.time() - reached / 1000)} ago"
        if self.window is not None and not self.results:
            return f"{name}: the window {period(self.window)} isn't complete"
        return None

    def finish(self, result: Any, start: int | None) -> None:
        """Note what the sink has committed, and move the watermark.

        :param start: where a first run begins.
        """
        earlier = []
        if self.watermark is not None and self.window is not None:
            earlier = self.watermark.finish(self.window, result, start=start)
        self.results = [*earlier, result]
