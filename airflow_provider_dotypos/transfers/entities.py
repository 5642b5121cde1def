"""The base of transfers of many entities in one task, wherever their rows go."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date, timedelta, timezone
from typing import TYPE_CHECKING, Any, Literal

from airflow_provider_dotypos import _compat
from airflow_provider_dotypos._airflow import ListEvent
from airflow_provider_dotypos.api.entities import Entity, cloud_lists
from airflow_provider_dotypos.api.errors import DotyposError, DotyposInputError
from airflow_provider_dotypos.api.list_log import list_log
from airflow_provider_dotypos.api.names import split_names
from airflow_provider_dotypos.api.reach import DotyposListsError, concerns_all_calls, forbids_one_list
from airflow_provider_dotypos.api.window import time_zone
from airflow_provider_dotypos.hooks.arguments import argument_errors, literals
from airflow_provider_dotypos.transfers.task import TransferTask
from airflow_provider_dotypos.transfers.wording import count, period

if TYPE_CHECKING:
    from airflow.sdk import Context

    from airflow_provider_dotypos.api.client import DotyposClient
    from airflow_provider_dotypos.api.markers import DeletedFilter, UndatedRows
    from airflow_provider_dotypos.api.window import Window
    from airflow_provider_dotypos.transfers.selection import Selection

log = list_log(__name__)

#: What `entities` can be, in place of names.
ALL = "all"

#: What `on_forbidden` can be, the default first.
ON_FORBIDDEN = ("skip", "fail")


class DotyposEntitiesTransferOperator(TransferTask):
    """The base of operators that bring many entities' rows somewhere, each as if it had a task of its own.

    A subclass brings the same as one of `DotyposTransferOperator` does.
    """

    def __init__(
        self,
        *,
        entities: str | Sequence[str],
        since: str | date | None,
        until: str | date | None,
        start: str | date | None,
        lookback: timedelta,
        timezone: str | None,
        personal_data: bool,
        on_forbidden: Literal["skip", "fail"],
        settle: float,
        concurrency: int | None,
        cloud_id: int | str | None,
        dotypos_conn_id: str,
        undated_rows: UndatedRows = "full",
        deleted_filter: DeletedFilter = "auto",
        **kwargs: Any,
    ) -> None:
        super().__init__(
            since=since,
            until=until,
            start=start,
            lookback=lookback,
            timezone=timezone,
            personal_data=personal_data,
            settle=settle,
            concurrency=concurrency,
            cloud_id=cloud_id,
            dotypos_conn_id=dotypos_conn_id,
            undated_rows=undated_rows,
            deleted_filter=deleted_filter,
            **kwargs,
        )
        self.entities = entities
        self.on_forbidden = on_forbidden
        with argument_errors(self):
            if on_forbidden not in ON_FORBIDDEN:
                raise DotyposInputError(
                    f"on_forbidden must be one of {', '.join(ON_FORBIDDEN)}, not {on_forbidden!r} (no template)"
                )
            if "entities" in literals(self) and entities != ALL:
                from airflow_provider_dotypos.transfers.selection import check_selection

                for name in entity_names(entities):
                    check_selection({"entity": name})

    def _selections(self, cloud_id: int) -> Sequence[Selection]:
        from airflow_provider_dotypos.transfers.selection import Selection

        return [
            Selection.of(
                name,
                cloud_id=cloud_id,
                personal_data=self.personal_data,
                undated_rows=self.undated_rows,
                deleted_filter=self.deleted_filter,
            )
            for name in entity_names(self.entities)
        ]

    def _since_of(self, entity: Entity) -> str | date | None:
        return self.since if entity.cursors else None  # a list without a cursor is always read whole

    def _conclude(self) -> dict[str, Any]:
        failures = {transfer.name: transfer.error for transfer in self._lists if transfer.error is not None}
        skipped = self._skipped(failures)
        for name in skipped:
            log.warning("%s: skipped, since the token may not read this list. %s", name, failures.pop(name))
        results = {}
        for transfer in self._lists:
            if transfer.results:
                result = results[transfer.name] = self._result(transfer.results)
                if result["rows"] or transfer.results[1:]:
                    with self._speaking_of(transfer):
                        self._log_result(transfer.results)
        log.info("%s", self._summary(results, skipped))
        if failures:
            raise self._end_of(failures)
        if not results:
            raise _compat.skip_exception("; ".join(sorted({str(transfer.nothing_new) for transfer in self._lists})))
        return {
            "cloud_id": self._lists[0].selection.cloud_id,
            "rows": sum(result["rows"] for result in results.values()),
            "entities": results,
            "skipped": skipped,
        }

    def _arrange(self, context: Context, client: DotyposClient) -> None:
        """Say in the log which window each list has; most have the same."""
        zone = timezone.utc if self.timezone is None else time_zone(self.timezone)
        names: dict[Window, list[str]] = {}
        for transfer in self._lists:
            if transfer.window is not None:
                names.setdefault(transfer.window, []).append(transfer.name)
        for window, lists in names.items():
            log.info("Reading %s: %s.", period(window, zone), ", ".join(lists))

    def _skipped(self, failures: Mapping[str, Exception]) -> list[str]:
        """Return the names of lists that the token may not read, if they are to be skipped. It must read something."""
        forbidden = [name for name, error in failures.items() if forbids_one_list(error)]
        return forbidden if self.on_forbidden == "skip" and len(forbidden) < len(self._lists) else []

    def _summary(self, results: Mapping[str, Mapping[str, Any]], skipped: Sequence[str]) -> str:
        """Return what the task has done, for the log."""
        rows = sum(result["rows"] for result in results.values())
        requests = sum(reader.requests for reader in self._readers)
        amounts = ", ".join([count(rows, "rows"), *self._amounts(results.values()), count(requests, "requests")])
        summary = f"{len(results)} of {count(len(self._lists), 'lists')}: {amounts}."
        nothing_new = [transfer.name for transfer in self._lists if transfer.nothing_new and not transfer.results]
        for what, names in (("Skipped", skipped), ("Read by later runs", nothing_new)):
            summary += f" {what}: {', '.join(names)}." if names else ""
        return summary

    def _end_of(self, failures: Mapping[str, Exception]) -> Exception:
        """Return what the task ends with, as some of its lists have failed."""
        from airflow_provider_dotypos.hooks.failures import as_dotypos_error

        for name, failure in failures.items():
            if not isinstance(failure, (DotyposError, OSError)):  # a mistake in a program: its frames say where
                log.error("%s has failed.", name, exc_info=failure)
        errors = {name: as_dotypos_error(failure) for name, failure in failures.items()}
        brought_rows = any(transfer.was_read for transfer in self._lists)
        for error in errors.values():
            error.brought_rows = error.brought_rows or brought_rows
        if all(concerns_all_calls(error) for error in errors.values()):
            return max(errors.values(), key=_passes_at)
        by_message: dict[str, list[str]] = {}
        for name, error in errors.items():
            by_message.setdefault(str(error), []).append(name)
        lines = [f"{len(errors)} of {count(len(self._lists), 'lists')} failed."]
        lines += [f"List {', '.join(names)}: {message}" for message, names in by_message.items()]
        if waiting := [transfer.name for transfer in self._lists if transfer.waits]:
            lines.append(f"Lists that weren't begun, as they would have failed alike: {', '.join(waiting)}.")
        lines.append("What was read is kept. A retry reads only what is missing, and returns all.")
        return DotyposListsError(" ".join(lines), errors)

    def _events(self, result: Mapping[str, Any]) -> Sequence[ListEvent]:
        events = []
        for transfer in self._lists:
            of_list = result["entities"].get(transfer.name) or {
                "entity": transfer.name,
                "cloud_id": result["cloud_id"],
                "rows": 0,
                **self._no_result,
                "skipped": "forbidden" if transfer.name in result["skipped"] else "nothing new",
            }
            events += [ListEvent(asset, of_list, bool(transfer.results)) for asset in self._assets(transfer.name)]
        return events


def entity_names(entities: str | Sequence[str]) -> list[str]:
    """Return the names of the entities that an operator extracts, each once.

    :raises DotyposInputError: if they aren't names, or there are none.
    """
    if isinstance(entities, str) and entities.strip() == ALL:
        return cloud_lists()
    names = list(dict.fromkeys(name for name in split_names(entities, "entities") if name))
    if not names:
        raise DotyposInputError(f"entities is empty: give names of entities, or {ALL!r}")
    return names


def _passes_at(error: DotyposError) -> float:
    """Return when what an error says is over, in epoch seconds; 0 if it doesn't say that."""
    return 0.0 if error.retry_at is None else error.retry_at.timestamp()
