"""Sets that aren't needed any more are removed, by a task."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from airflow_provider_dotypos.lake.upkeep import ALL, pruned_totals, read_age, read_entities, refuse_retention_of_all
from airflow_provider_dotypos.operators.upkeep import DotyposListsOperator
from airflow_provider_dotypos.transfers.wording import count, size

if TYPE_CHECKING:
    from airflow_provider_dotypos.lake.compaction import ListFolder
    from airflow_provider_dotypos.lake.pruning import Removal

log = logging.getLogger(__name__)


class DotyposPruneOperator(DotyposListsOperator):
    """Remove sets that a whole compacted set covers, and, if an age is asked for, what is older than that.

    A set is covered if a compacted set was made of it as it is now. A set that was replaced, rewritten or extracted
    again after that isn't covered, and stays until it is compacted again. A set that wasn't delivered yet always stays:
    the next run without a window returns it.

    `older_than` is a retention: it removes what nothing covers, too. Rows that haven't changed since then are gone,
    also those of a set from the beginning. That suits lists of what happens, such as orders. A product that was last
    changed last year is still sold, so `entities` must name the lists. Only the set of each shape that reaches furthest
    stays.

    Run it as often as you like. After a crash, the next run removes what was left.

    :param destination: the destination of extractions. (templated)
    :param destination_conn_id: Airflow connection of the store, where `destination` doesn't name one. (templated)
    :param entities: the lists to prune, comma-separated or a list; ``"all"`` for all that lie below `destination`.
        Defaults to ``"all"``. (templated)
    :param cloud_id: the cloud whose lists are pruned. Defaults to all clouds. (templated)
    :param grace: how long a covered set stays after the one that covers it was made, for tasks that still read it.
        Defaults to a day.
    :param older_than: also remove sets whose window has ended so long ago; at least a day. `entities` must name the
        lists then. Defaults to none.
    :param dry_run: whether to count only, and change nothing. Defaults to ``False``.
    :return: numbers: ``{"sets", "covered", "by_age", "rows", "bytes", "dry_run"}``.
    """

    def __init__(
        self,
        *,
        destination: str,
        destination_conn_id: str | None = None,
        entities: str | Sequence[str] = ALL,
        cloud_id: int | str | None = None,
        grace: timedelta = timedelta(days=1),
        older_than: timedelta | None = None,
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
        self.grace = grace
        self.older_than = older_than
        self._check_arguments()

    def _check_literals(self, arguments: Mapping[str, Any]) -> None:
        super()._check_literals(arguments)
        read_age(self.grace, "grace")
        if self.older_than is not None:
            read_age(self.older_than, "older_than", timedelta(days=1))
            if "entities" in arguments:
                refuse_retention_of_all(self.older_than, read_entities(self.entities))

    def _work(self, folder: ListFolder) -> Iterator[Removal]:
        from airflow_provider_dotypos.lake.pruning import preview_pruning, prune_list

        refuse_retention_of_all(self.older_than, read_entities(self.entities))  # a template may say it
        grace = read_age(self.grace, "grace")
        older_than = None if self.older_than is None else read_age(self.older_than, "older_than", timedelta(days=1))
        if self._dry_run:
            return iter(preview_pruning(folder, grace=grace, older_than=older_than))
        return prune_list(folder, grace=grace, older_than=older_than, check=self._check_cancelled)

    def _totals(self, done: list[Any]) -> dict[str, Any]:
        return pruned_totals(done)

    def _log_totals(self, totals: Mapping[str, Any]) -> None:
        log.info(
            "%s %s: %s covered by compacted sets, %s by age, %s.",
            count(totals["sets"], "sets"),
            "would be removed" if self._dry_run else "removed",
            f"{totals['covered']:,}",
            f"{totals['by_age']:,}",
            size(totals["bytes"]),
        )
