"""Many entities of a cloud in one task, each window whole and every row once, into tables of a SQL database."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, timedelta
from typing import TYPE_CHECKING, Any, Literal

from airflow_provider_dotypos.api.window import SETTLE
from airflow_provider_dotypos.hooks.arguments import argument_errors, literals
from airflow_provider_dotypos.transfers.entities import DotyposEntitiesTransferOperator
from airflow_provider_dotypos.transfers.sql_tables import SqlTables

if TYPE_CHECKING:
    from airflow_provider_dotypos.api.markers import DeletedFilter, UndatedRows
    from airflow_provider_dotypos.transfers.sql.merge import Mode
    from airflow_provider_dotypos.transfers.sql.tables import Deletes, Naming


class DotyposEntitiesToSqlOperator(SqlTables, DotyposEntitiesTransferOperator):
    """Load many entities of a cloud into tables of a SQL database: one task, one sign-in, one pool of threads.

    Each entity has its table and watermark, under the names that a `DotyposToSqlOperator` of its own would use with the
    same arguments. So a DAG can change from one form to the other and continue.

    An error of one entity doesn't stop the others. At the end the task fails, and names each that failed. A retry makes
    requests only for what is missing. If the API asks for a long wait, the task gives its slot back until then.

    Without `since` and `until` each entity continues from where its table's last load ended.

    Arguments that only some entities have (a filter, columns, included lists) need a `DotyposToSqlOperator`.

    :param entities: ``all`` entities that a cloud has a list of, or names of some, comma-separated or a list.
        (templated)
    :param conn_id: the Airflow connection of the database: of type ``postgres``, ``mysql``, ``sqlite`` or ``duckdb``.
        (templated)
    :param schema: where the tables lie. Defaults to the connection's own schema. (templated)
    :param staging_schema: where the loads' own tables lie, whose names begin with ``_dotypos_``. Its role needs CREATE
        there. Defaults to `schema`. (templated)
    :param mode: ``upsert`` keeps the newest version of each row; ``append`` adds every version that is read; and
        ``replace`` reads all rows, and also removes those that don't exist any more.
    :param deletes: what becomes of rows that the API shows as deleted: ``keep`` keeps them as they are, ``remove``
        removes them, and ``mark`` sets ``_removed_at``.
    :param since: first instant inside the window, for entities with a field that shows changes; others are read whole.
        A datetime with a zone, ISO 8601 text with one, or, with `timezone`, a bare date. (templated)
    :param until: first instant after the window. Defaults to the DAG run's `run_after`, which retries don't change.
        (templated)
    :param start: without a window: where the first run begins, given like `since`. Defaults to the beginning.
        (templated)
    :param lookback: without a window: how far before the watermarks to read again.
    :param timezone: IANA zone in which bare dates begin.
    :param personal_data: ``False`` omits fields that hold personal data, and fields that the entity table doesn't know.
    :param on_forbidden: what a list does that the token may not read: ``skip`` says so in the log and in the result,
        ``fail`` fails the task at the end. Its watermark doesn't move. If the token may read none of them, the task
        fails.
    :param naming: how columns are named: ``snake`` makes ``version_date`` of ``versionDate``, ``api`` keeps the names.
    :param create: whether tables that don't exist are created. With ``False`` the role needs no CREATE in `schema`.
    :param alter: whether columns that a table lacks are added to it. Nothing is ever dropped or narrowed.
    :param indexes: whether new tables get indexes on the fields that order changes, and on parents' ids.
    :param reload: load windows again that are loaded already.
    :param allow_empty: with ``mode="replace"``: whether a list without rows may empty its table.
    :param undated_rows: when rows without a cursor are read, as they belong to no window: ``full``, by windows from the
        beginning, or ``always``, by each window.
    :param deleted_filter: by how many filters live and deleted rows are read: ``one``, ``two``, or ``auto``, as was
        found to be right for this cloud.
    :param settle: seconds that a change may need to show in the API.
    :param concurrency: threads, 1 to 64: each takes an entity, and helps with the large ones when none is left.
        Defaults to the Dotypos connection's *Max concurrency*. The database has one connection more than that at most.
    :param cloud_id: the cloud, in place of the connection's. (templated)
    :param dotypos_conn_id: the Airflow connection of Dotypos. (templated)
    :return: ``{"cloud_id", "rows", "entities", "skipped"}``: `entities` holds for each entity what a
        `DotyposToSqlOperator` returns, `skipped` the names of those that the token may not read.
    :raises AirflowFailException: if a retry can't cure any of what went wrong.
    :raises AirflowSkipException: if later runs have read beyond this one's time in all entities.

    https://docs.api.dotypos.com/api-reference/general/paging
    """

    template_fields: Sequence[str] = (
        "entities",
        "conn_id",
        "schema",
        "staging_schema",
        "since",
        "until",
        "start",
        "cloud_id",
        "dotypos_conn_id",
    )

    def __init__(
        self,
        *,
        entities: str | Sequence[str],
        conn_id: str,
        schema: str | None = None,
        staging_schema: str | None = None,
        mode: Mode = "upsert",
        deletes: Deletes = "keep",
        since: str | date | None = None,
        until: str | date | None = None,
        start: str | date | None = None,
        lookback: timedelta = timedelta(0),
        timezone: str | None = None,
        personal_data: bool = True,
        on_forbidden: Literal["skip", "fail"] = "skip",
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
            entities=entities,
            since=since,
            until=until,
            start=start,
            lookback=lookback,
            timezone=timezone,
            personal_data=personal_data,
            on_forbidden=on_forbidden,
            settle=settle,
            concurrency=concurrency,
            cloud_id=cloud_id,
            dotypos_conn_id=dotypos_conn_id,
            undated_rows=undated_rows,
            deleted_filter=deleted_filter,
            **kwargs,
        )
        self.conn_id = conn_id
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
