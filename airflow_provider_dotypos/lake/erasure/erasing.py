"""Erasing a person: their rows found in sets and tables, and rewritten without their data, until nothing new appears.

First the ids are collected everywhere, because an order may lie in a table and its items in files. Then sets and tables
are rewritten. Whatever came meanwhile is looked through as well. A run that was interrupted is simply done again: what
it has rewritten holds no data any more.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from airflow_provider_dotypos.api.errors import DotyposInputError
from airflow_provider_dotypos.api.list_log import list_log
from airflow_provider_dotypos.lake.erasure.held_tables import find_clouds
from airflow_provider_dotypos.lake.erasure.person import Person
from airflow_provider_dotypos.lake.erasure.report import ErasureReport
from airflow_provider_dotypos.lake.erasure.sets import SetErasure
from airflow_provider_dotypos.lake.sets import lists_below, require_cloud, require_destination
from airflow_provider_dotypos.transfers.history import NESTED_FOLDER

if TYPE_CHECKING:
    from airflow.sdk import ObjectStoragePath

    from airflow_provider_dotypos.lake.erasure.tables import TableErasure
    from airflow_provider_dotypos.storage.patience import StorePatience
    from airflow_provider_dotypos.transfers.sql.database import Database

log = list_log(__name__)


@dataclass
class Erasure:
    """What is to be erased, and where.

    :param customer_id: the customer's id.
    :param destination: the destination of extractions; ``None``: no files are searched.
    :param database: a database that loads have filled; ``None``: no tables are searched.
    :param schema: where the loads' own tables lie in it.
    :param cloud_id: whose customer it is. Defaults to the only cloud that is there.
    :param dry_run: whether nothing is changed.
    :param remove_unfinished: whether files of unfinished attempts are removed, too.
    :param patience: how long an object store that fails is asked again.
    :param check: called between steps; what it raises ends the work. What was rewritten by then stays, and a second run
        does the rest.
    """

    customer_id: int
    destination: ObjectStoragePath | None = None
    database: Database | None = None
    schema: str | None = None
    cloud_id: int | None = None
    dry_run: bool = True
    remove_unfinished: bool = False
    patience: StorePatience | None = None
    check: Callable[[], None] = lambda: None

    def run(self) -> ErasureReport:
        """Search, erase, and return what was found.

        :raises DotyposInputError: if nothing of this provider is where it was said to be, or the cloud isn't clear.
        """
        if self.destination is None and self.database is None:
            raise DotyposInputError("destination: give the folder of files, a database's connection, or both")
        cloud_id = self._cloud()
        report = ErasureReport(cloud_id, self.customer_id, self.dry_run)
        person = Person(str(self.customer_id))
        sets, tables = self._places(person, report)
        known = -1
        while True:
            fresh = sets is not None and sets.note()
            merged = tables is not None and tables.merged()
            if not fresh and not merged and known == person.known:
                if sets is None or sets.tidy():
                    break
                continue
            if tables is not None:
                tables.note()
            if sets is not None:
                sets.note_related()
            if tables is not None:
                tables.note_related()
            again, known = person.known != known, person.known
            if sets is not None:
                sets.erase(again=again)
            if tables is not None and (again or merged):
                tables.erase()
        return report

    def _places(self, person: Person, report: ErasureReport) -> tuple[SetErasure | None, TableErasure | None]:
        sets = tables = None
        if self.destination is not None:
            sets = SetErasure(
                self.destination,
                person,
                report,
                patience=self.patience,
                remove_unfinished=self.remove_unfinished,
                check=self.check,
            )
        if self.database is not None:
            from airflow_provider_dotypos.lake.erasure.tables import TableErasure

            tables = TableErasure(self.database, self.schema, person, report, check=self.check)
        return sets, tables

    def _cloud(self) -> int:
        """Return the cloud, once it is sure that there is something to search."""
        clouds: set[int] = set()
        if self.destination is not None:
            roots = (self.destination, self.destination / NESTED_FOLDER)
            clouds |= {cloud for root in roots for cloud, _ in lists_below(root, self.patience)}
            if not clouds:
                require_destination(self.destination, self.patience)
        if self.database is not None:
            clouds |= find_clouds(self.database, self.schema)
        if self.cloud_id is not None:
            require_cloud(clouds, self.cloud_id, "what was named")
            return self.cloud_id
        if len(clouds) != 1:
            raise DotyposInputError(
                f"cloud_id: there is data of {'no cloud' if not clouds else 'several clouds'}"
                f"{': ' if clouds else ''}{', '.join(map(str, sorted(clouds)))}. Name the customer's"
            )
        return clouds.pop()
