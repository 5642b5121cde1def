"""The current table of a list: the newest version of each row over all its committed sets."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from datetime import date
from typing import TYPE_CHECKING, Any, TypeVar

from airflow_provider_dotypos.api.entities import find_list, id_text
from airflow_provider_dotypos.api.errors import DotyposInputError
from airflow_provider_dotypos.api.names import split_names
from airflow_provider_dotypos.api.window import Window, instant
from airflow_provider_dotypos.lake.coverage import covered, gaps
from airflow_provider_dotypos.lake.current_sets import CurrentQuery, find_sets
from airflow_provider_dotypos.lake.newest import Bounds, Newest, newest_rows, possible_tables
from airflow_provider_dotypos.lake.newest_table import NewestRows, quoted
from airflow_provider_dotypos.lake.sets import LakeSet
from airflow_provider_dotypos.storage.patience import StorePatience
from airflow_provider_dotypos.storage.store import object_path
from airflow_provider_dotypos.transfers.errors import SetsChangedError
from airflow_provider_dotypos.transfers.files.formats.parquet import require_pyarrow
from airflow_provider_dotypos.transfers.files.tables import check_table

if TYPE_CHECKING:
    import duckdb
    import pandas
    import pyarrow
    from airflow.sdk import ObjectStoragePath

_T = TypeVar("_T")

#: How often sets are looked for, if some of them are gone each time.
_LOOKS = 5


class CurrentTable:
    """The current table of a list. `rows` and `to_batches` read it, as often as you like. Made by `read_entity`.

    It shows the sets that existed when it was made. If one of them is replaced or removed before a row was read, it
    looks for sets again. If it happens later, reading raises `SetsChangedError`.

    A method that takes a table takes the name of its entity. It defaults to the list's own; the others are child lists
    that were flattened. They hold the children that came with the newest version of their parent.
    """

    def __init__(self, query: CurrentQuery, patience: StorePatience) -> None:
        self._query = query
        self._patience = patience
        self._sets: Sequence[LakeSet] = ()
        self._newest: Newest | None = None
        self._look()

    @property
    def entity(self) -> str:
        """The name of the list's entity."""
        return self._query.entity.name

    @property
    def cloud_id(self) -> int:
        """The cloud."""
        return self._query.cloud_id

    @property
    def sets(self) -> list[str]:
        """The paths of the sets' folders."""
        return [str(lake_set.store.folder) for lake_set in self._sets]

    @property
    def tables(self) -> tuple[str, ...]:
        """The names of its tables; the list's own is first."""
        return (self.entity, *dict.fromkeys(child for lake_set in self._sets for child in lake_set.manifest.children))

    @property
    def covered(self) -> list[Window]:
        """The times that the sets cover together, in order: windows that touch or overlap are joined.

        It is cut to `since` and `until`, if these were given.
        """
        return covered((lake_set.folder.window for lake_set in self._sets), *self._query.bounds)

    @property
    def gaps(self) -> list[Window]:
        """The times that no set covers: between those of `covered`, and up to `since` and `until`, if they were given.

        Rows that changed in a gap are missing, or show an earlier version.
        """
        return gaps(self.covered, *self._query.bounds)

    def count(self, table: str | None = None) -> int:
        """Return how many rows a table has.

        :param table: the table's entity. Defaults to the list's own.
        """
        return self._again(lambda: self._rows(table).count)

    def rows(self, table: str | None = None) -> Iterator[dict[str, Any]]:
        """Yield a table's rows, in little memory and in no particular order.

        A row is in the form in which the API gives it, as `CommittedSet.rows` yields it. It raises what that raises.

        :param table: the table's entity. Defaults to the list's own.
        :raises SetsChangedError: if a set was replaced or removed after the first row.
        """
        return self._begun_again(lambda: self._rows(table).rows())

    def to_batches(self, table: str | None = None) -> Iterator[pyarrow.RecordBatch]:
        """Yield a table's rows as record batches of one schema, in little memory.

        Needs the extra ``parquet``. It raises what `rows` raises.

        :param table: the table's entity. Defaults to the list's own.
        """
        require_pyarrow("reading as Arrow")
        return self._begun_again(lambda: self._rows(table).to_batches())

    def to_arrow(self, table: str | None = None) -> pyarrow.Table:
        """Return all rows of a table in memory, as `to_batches` yields them.

        :param table: the table's entity. Defaults to the list's own.
        """
        return self._again(lambda: self._rows(table).to_arrow())

    def to_pandas(self, table: str | None = None) -> pandas.DataFrame:
        """Return all rows of a table in memory as a data frame, as `CommittedSet.to_pandas` does.

        :param table: the table's entity. Defaults to the list's own.
        :raises PandasMissingError: if pandas isn't installed.
        """
        return self._again(lambda: self._rows(table).to_pandas())

    def to_duckdb(
        self, connection: duckdb.DuckDBPyConnection, table: str | None = None, *, name: str | None = None
    ) -> duckdb.DuckDBPyRelation:
        """Bring a table's rows into a temporary table of DuckDB, and return it as a relation.

        Rows pass in batches. DuckDB keeps them until the connection is closed: in memory up to its `memory_limit`, then
        in its `temp_directory`.

        :param connection: where the temporary table is made.
        :param table: the table's entity. Defaults to the list's own.
        :param name: the temporary table's name. Defaults to the entity's, with ``_`` in place of ``-``. One that exists
            is replaced.
        """
        name = name or (table or self.entity).replace("-", "_")
        self._again(lambda: self._rows(table).into_duckdb(connection, name))
        return connection.sql(f"FROM temp.{quoted(name)}")

    def _rows(self, table: str | None) -> NewestRows:
        """Return a table's rows in the sets that are known now."""
        table = table or self.entity
        # Without a set in that time, nothing shows which child lists were flattened.
        tables = self.tables if self._sets else possible_tables(self._query.entity)
        check_table(table, dict.fromkeys(tables, 0))
        if self._newest is None or table not in self._newest.tables:
            self._newest = newest_rows(
                self._sets,
                tables=[table] if table == self.entity else None,
                bounds=self._query.bounds,
                hide_deleted=not self._query.deleted,
            )
        return NewestRows.of(self._newest, table)

    def _again(self, work: Callable[[], _T]) -> _T:
        """Return what work returns, which begins again if a set is gone."""
        for _ in range(_LOOKS):
            try:
                return work()
            except FileNotFoundError:
                self._look()
        raise self._changed()

    def _begun_again(self, read: Callable[[], Iterator[_T]]) -> Iterator[_T]:
        """Yield what is read. Begin again if a set is gone before anything was."""
        begun = False
        for _ in range(_LOOKS):
            try:
                for item in read():
                    begun = True
                    yield item
                return
            except FileNotFoundError:
                if begun:
                    break
                self._look()
        raise self._changed()

    def _look(self) -> None:
        """Look for the sets."""
        self._sets = find_sets(self._query, self._patience)
        self._newest = None

    def _changed(self) -> SetsChangedError:
        return SetsChangedError(
            f"sets of {self.entity} below {self._query.destination} were replaced or removed while they were read, as "
            "by overwrite, erase or prune: read again"
        )


def read_entity(
    destination: str | ObjectStoragePath,
    cloud_id: int | str,
    entity: str,
    *,
    since: str | date | None = None,
    until: str | date | None = None,
    timezone: str | None = None,
    deleted: bool = False,
    shape: str | Sequence[str] | None = None,
    conn_id: str | None = None,
) -> CurrentTable:
    """Return the current table of a list: the newest version of each row over all its committed sets.

    Snapshots have no part in it: they hold ids only. Of a list without a change date, each set is the whole list, and
    the newest one is the table.

    :param destination: where the sets lie, as extractions were given it: above the folders of the clouds.
    :param cloud_id: the cloud.
    :param entity: the list, such as ``orders``.
    :param since: only versions that changed at this time or later count, and no rows without a change date. Defaults to
        the beginning.
    :param until: only versions that changed before this time count, so the table is as of this time, as far as its
        versions were read. Of rows without a change date, those of sets whose window begins before it count. Of a list
        without a change date, it is the newest set whose window ends by this time.
    :param timezone: the time zone of bare dates in `since` and `until`, such as ``Europe/Prague``.
    :param deleted: whether rows are shown that are marked as deleted, too.
    :param shape: the digest at the end of the names of the sets' folders: sets of which shape are read. Several if only
        their formats differ. Needed only if the list has sets of different shapes: other filters or fields.
    :param conn_id: the Airflow connection of the store, where `destination` doesn't name one.
    :raises DotyposInputError: if an argument is wrong, or the sets hold rows of different shapes.
    :raises FileNotFoundError: if there is no committed set of the list.
    """
    listed = find_list(entity)
    start = None if since is None else instant(since, "since", timezone)
    end = None if until is None else instant(until, "until", timezone)
    if since is not None and until is not None:
        Window.of(since, until, timezone=timezone)  # refuses one that is empty or reversed
    if start is not None and not listed.cursors:
        raise DotyposInputError(f"since: {entity} has no change date, so each of its sets is the whole list")
    place = object_path(destination, conn_id)
    shapes = tuple(split_names(shape, "shape"))
    cloud = int(id_text(cloud_id, "cloud_id"))
    return CurrentTable(CurrentQuery(place, cloud, listed, Bounds(start, end), deleted, shapes), StorePatience())
