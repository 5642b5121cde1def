"""The many sets of each month become one, by a task."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator, Mapping, Sequence
from datetime import date
from typing import TYPE_CHECKING, Any

from airflow_provider_dotypos.lake.upkeep import ALL, compacted_totals, read_until
from airflow_provider_dotypos.operators.upkeep import DotyposListsOperator
from airflow_provider_dotypos.transfers.arguments import check_part_bytes
from airflow_provider_dotypos.transfers.files.formats.file_format import PART_BYTES
from airflow_provider_dotypos.transfers.wording import count, size

if TYPE_CHECKING:
    from airflow_provider_dotypos.lake.compaction import Compaction, ListFolder

log = logging.getLogger(__name__)


class DotyposCompactOperator(DotyposListsOperator):
    """Make one set of the many sets of each month, with the newest version of each row and its children.

    A compacted set is a set like any other: its window runs from the first one's begin to the last one's end, and every
    reader takes it. The sets that it was made of stay until `DotyposPruneOperator` removes them, and what reads them
    isn't disturbed. Sets from the beginning are left alone. A set that comes later, or is replaced later, is compacted
    together with the compacted one by the next run.

    The API isn't asked. Run it as often as you like: what is one set already isn't touched.

    :param destination: the destination of extractions. (templated)
    :param destination_conn_id: Airflow connection of the store, where `destination` doesn't name one. (templated)
    :param entities: the lists to compact, comma-separated or a list; ``"all"`` for all that lie below `destination`.
        Defaults to ``"all"``. (templated)
    :param cloud_id: the cloud whose lists are compacted. Defaults to all clouds. (templated)
    :param until: only months that have ended by then are compacted, as a time or a date in UTC. Defaults to now.
        (templated)
    :param max_part_bytes: size that a file reaches at most. Defaults to 64 MiB.
    :param dry_run: whether to count only, and change nothing. Defaults to ``False``.
    :return: numbers: ``{"compacted", "sets", "rows_before", "rows", "bytes_before", "bytes", "dry_run"}``. `compacted`
        is how many sets were made, and `sets` of how many.
    :raises DamagedSetError: if a set can't be read. Everything else is compacted before.
    :raises SetsChangedError: if other tasks keep replacing the sets.
    """

    template_fields: Sequence[str] = (*DotyposListsOperator.template_fields, "until")

    def __init__(
        self,
        *,
        destination: str,
        destination_conn_id: str | None = None,
        entities: str | Sequence[str] = ALL,
        cloud_id: int | str | None = None,
        until: str | date | None = None,
        max_part_bytes: int = PART_BYTES,
        dry_run: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(
            destination=destination,
            destination_conn_id=destination_conn_id,
            entities=entities,
            cloud_id=cloud_id,
            dry_run=dry_run,
            **kwargs,
        )
        self.until = until
        self.max_part_bytes = max_part_bytes
        self._check_arguments()

    def _check_literals(self, arguments: Mapping[str, Any]) -> None:
        super()._check_literals(arguments)
        check_part_bytes(self.max_part_bytes)
        if "until" in arguments:
            read_until(self.until, 0)

    def _work(self, folder: ListFolder) -> Iterator[Compaction]:
        from airflow_provider_dotypos.lake.compaction import compact_list, preview_compaction

        until = read_until(self.until, time.time())
        if self._dry_run:
            return preview_compaction(folder, until)
        return compact_list(folder, until, check=self._check_cancelled, max_part_bytes=self.max_part_bytes)

    def _totals(self, done: list[Any]) -> dict[str, Any]:
        return compacted_totals(done)

    def _log_totals(self, totals: Mapping[str, Any]) -> None:
        log.info(
            "%s %s %s, with %s in %s instead of %s in %s.",
            count(totals["sets"], "sets"),
            "would become" if self._dry_run else "are",
            count(totals["compacted"], "sets"),
            count(totals["rows"], "rows"),
            size(totals["bytes"]),
            count(totals["rows_before"], "rows"),
            size(totals["bytes_before"]),
        )
