"""One window of one entity, every row once, into tables of a SQL database."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, timedelta
from typing import TYPE_CHECKING, Any

from airflow_provider_dotypos.api.window import SETTLE
from airflow_provider_dotypos.hooks.arguments import argument_errors, literals
from airflow_provider_dotypos.transfers.base import DotyposTransferOperator
from airflow_provider_dotypos.transfers.sql_tables import SqlTables

if TYPE_CHECKING:
    from airflow_provider_dotypos.api.markers import DeletedFilter, UndatedRows
    from airflow_provider_dotypos.api.query import Filter
    from airflow_provider_dotypos.transfers.selection import Selection
    from airflow_provider_dotypos.transfers.sql.merge import Mode
    from airflow_provider_dotypos.transfers.sql.tables import Deletes, Naming


class DotyposToSqlOperator(SqlTables, DotyposTransferOperator):
    """Load the rows of an entity that changed in ``[since, until)`` into a table of a SQL database.

    The table holds each row once, in its newest version, in whatever order windows are loaded, and however often. Rows
    wait in a staging table until all of the window are read. Then one transaction merges them. An interrupted window is
    resumed, and one that is loaded already is left alone, unless `reload` is set.

    Without `since` and `until` the task continues from where the table's last load ended. The database keeps that, so
    it works on every version of Airflow, and without outlets.

    :param entity: its name in the API's paths, such as ``orders``. (templated)
    :param conn_id: the Airflow connection of the database: of type ``postgres``, ``mysql``, ``sqlite`` or ``duckdb``.
        (templated)
    :param table: the table. Defaults to the entity's name in snake case, such as ``order_items``. Included child lists
        go into tables of their own. (templated)
    :param schema: where the tables lie. Defaults to the connection's own schema. (templated)
    :param staging_schema: where the loads' own tables lie, whose names begin with ``_dotypos_``. Its role needs CREATE
        there. Defaults to `schema`. (templated)
    :param mode: ``upsert`` keeps the newest version of each row; ``append`` adds every version that is read; and
        ``replace`` reads all rows, and also removes those that don't exist any more.
    :param deletes: what becomes of rows that the API shows as deleted: ``keep`` keeps them as they are, ``remove``
        removes them, and ``mark`` sets ``_removed_at``.
    :param since: first instant inside the window: a datetime with a zone, ISO 8601 text with one, or, with `timezone`,
        a bare date as text or ``date``. With `until` alone, the window holds everything up to `until`. (templated)
    :param until: first instant after the window. Defaults to the DAG run's `run_after`, which retries don't change. The
        task waits until it is `settle` seconds ago. Without `since` as well, the window ends `settle` seconds before
        that time, and nothing is waited for, unless `mode` is ``replace``. (templated)
    :param start: without a window: where the first run begins, given like `since`. Defaults to the beginning.
        (templated)
    :param lookback: without a window: how far before the watermark to read again.
    :param filter: further conditions, in the API's grammar or as ``(field, operator, value)`` triples. One on
        ``deleted`` replaces ours (live and deleted rows). (templated)
    :param include: child lists to load from each row, comma-separated, such as ``orderItems,moneyLogs``. Each goes into
        a table of its own. (templated)
    :param warehouse_id: for ``warehouse-products``: the warehouse to read. Defaults to all. (templated)
    :param timezone: IANA zone in which bare dates begin.
    :param columns: only these fields, comma-separated or a list, a child's as ``orderItems.name``. Ids and the fields
        that order changes are always there. (templated)
    :param exclude: all fields but these, such as ``printData``. (templated)
    :param personal_data: ``False`` omits fields that hold personal data, and fields that the entity table doesn't know.
    :param naming: how columns are named: ``snake`` makes ``version_date`` of ``versionDate``, ``api`` keeps the names.
    :param create: whether tables that don't exist are created. With ``False`` the role needs no CREATE in `schema`.
    :param alter: whether columns that a table lacks are added to it. Nothing is ever dropped or narrowed.
    :param indexes: whether new tables get indexes on the fields that order changes, and on parents' ids.
    :param reload: load a window again that is loaded already.
    :param allow_empty: with ``mode="replace"``: whether a list without rows may empty the table.
    :param undated_rows: when to read rows that show no change date: ``full``, by a window from the beginning, or
        ``always``, by each window. Defaults to ``full``.
    :param deleted_filter: how to ask for live and deleted rows: by ``one`` filter for both, by ``two`` requests, or
        ``auto``, as was found to be safe for this cloud. Defaults to ``auto``.
    :param settle: seconds that a change may need to show in the API.
    :param concurrency: threads that walk the window at once, 1 to 64. Defaults to the Dotypos connection's *Max
        concurrency*. The database has one connection more than that at most.
    :param cloud_id: the cloud, in place of the connection's. (templated)
    :param dotypos_conn_id: the Airflow connection of Dotypos. (templated)
    :return: ``{"table", "entity", "cloud_id", "since", "until", "rows", "inserted", "updated", "unchanged", "removed",
        "load_id"}``: `rows` were read, and the others say what that did to the entity's own table.
    :raises AirflowFailException: if it can't be cured by a retry: a refused token, a bad window or filter, a table that
        can't take the rows.
    :raises AirflowSkipException: if there is no window, and later runs have read beyond this one's time.

    https://docs.api.dotypos.com/api-reference/general/paging
    """

    template_fields: Sequence[str] = (
        "entity",
        "conn_id",
        "table",
        "schema",
        "staging_schema",
        "since",
        "until",
        "start",
        "filter",
        "include",
        "columns",
        "exclude",
        "warehouse_id",
        "cloud_id",
        "dotypos_conn_id",
    )

    def __init__(
        self,
        *,
        entity: str,
        conn_id: str,
        table: str | None = None,
        schema: str | None = None,
        staging_schema: str | None = None,
        mode: Mode = "upsert",
        deletes: Deletes = "keep",
        since: str | date | None = None,
        until: str | date | None = None,
        start: str | date | None = None,
        lookback: timedelta = timedelta(0),
        filter: Filter = None,
        include: str | None = None,
        warehouse_id: int | str | None = None,
        timezone: str | None = None,
        columns: str | Sequence[str] | None = None,
        exclude: str | Sequence[str] | None = None,
        personal_data: bool = True,
        naming: Naming = "snake",
        create: bool = True,
        alter: bool = True,
        indexes: bool = True,
        reload: bool = False,
        allow_empty: bool = False,
        undated_rows: UndatedRows = "full",
        deleted_filter: DeletedFilter = "auto",
        settle: float = SETTLE,
        concurrency: int | None = None,
        cloud_id: int | str | None = None,
        dotypos_conn_id: str = "dotypos_default",
        **kwargs: Any,
    ) -> None:
        super().__init__(
            entity=entity,
            since=since,
            until=until,
            start=start,
            lookback=lookback,
            filter=filter,
            include=include,
            warehouse_id=warehouse_id,
            timezone=timezone,
            columns=columns,
            exclude=exclude,
            personal_data=personal_data,
            settle=settle,
            concurrency=concurrency,
            cloud_id=cloud_id,
            dotypos_conn_id=dotypos_conn_id,
            undated_rows=undated_rows,
            deleted_filter=deleted_filter,
            **kwargs,
        )
        self.conn_id = conn_id
        self.table = table
        self.schema = schema
        self.staging_schema = staging_schema
        self.mode = mode
        self.deletes = deletes
        self.naming = naming
        self.create = create
        self.alter = alter
        self.indexes = indexes
        self.reload = reload
        self.allow_empty = allow_empty
        with argument_errors(self):
            self._check_tables(literals(self))

    def _selection(self, cloud_id: int, **further: Any) -> Selection:
        return super()._selection(cloud_id, flatten=bool(self.include), **further)
