"""The newest rows of a table over many sets, as rows, as batches of one schema, or in DuckDB."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

from airflow_provider_dotypos.lake.newest import Newest
from airflow_provider_dotypos.transfers.files.committed_set import set_table
from airflow_provider_dotypos.transfers.files.formats.parquet import require_pyarrow
from airflow_provider_dotypos.transfers.files.manifest import Manifest
from airflow_provider_dotypos.transfers.files.tables import Rows, Table, columns_of_table
from airflow_provider_dotypos.transfers.rows.columns import Columns

if TYPE_CHECKING:
    import duckdb
    import pyarrow

_T = TypeVar("_T")


@dataclass(frozen=True)
class NewestRows(Rows):
    """The rows of a table that are the newest.

    :param parts: the tables of the sets.
    :param columns: the columns that they have together.
    """

    parts: Sequence[Table]
    columns: Columns

    @classmethod
    def of(cls, newest: Newest, name: str) -> NewestRows:
        """Return the rows of a table, as they were searched for."""
        parts = []
        for lake_set in newest.sets:
            manifest = lake_set.manifest
            files = manifest.parts if name == manifest.entity else manifest.contents.children(name)
            chosen = {file.name: newest.chosen(lake_set, file.name) for file in files}
            wanted = [file for file in files if chosen[file.name].count]
            if wanted:
                parts.append(set_table(lake_set.store, manifest, name, wanted, chosen))
        return cls(parts, _columns([lake_set.manifest for lake_set in newest.sets], name))

    @property
    def count(self) -> int:
        """How many rows there are."""
        return sum(part.counted for part in self.parts)

    def rows(self) -> Iterator[dict[str, Any]]:
        """Yield the rows in the form that the API gives them."""
        for part in self.parts:
            yield from part.rows()

    def to_batches(self) -> Iterator[pyarrow.RecordBatch]:
        """Yield the rows as record batches of one schema."""
        arrow, _ = require_pyarrow("reading as Arrow")
        fit = arrow.Table(self.columns).fit
        for part in self.parts:
            for batch in part.to_batches():
                yield fit(batch)

    def into_duckdb(self, connection: duckdb.DuckDBPyConnection, name: str) -> None:
        """Make a temporary table of the rows."""
        arrow, _ = require_pyarrow("reading as Arrow")
        failures: list[Exception] = []
        source = f"dotypos_{name}_rows"
        connection.register(source, arrow.Table(self.columns).reader(_keeping(failures, self.to_batches())))
        try:
            connection.execute(f"CREATE OR REPLACE TEMP TABLE {quoted(name)} AS FROM {quoted(source)}")
        except Exception:  # of DuckDB: it has classes of its own, and they hold nothing but a text
            if failures:
                raise failures[0] from None
            raise
        finally:
            connection.unregister(source)


def _columns(manifests: Sequence[Manifest], name: str) -> Columns:
    """Return the columns of a table in sets whose rows are of one shape."""
    if not manifests:
        return columns_of_table(name, "", (), {})
    kept = [manifest.columns.get(name) for manifest in manifests]
    named = {column: None for columns in kept for column in columns or ()}
    first = manifests[-1]
    include = first.include if name == first.entity else ""
    return columns_of_table(name, include, first.children, {name: [*named]} if None not in kept else {})


def _keeping(failures: list[Exception], items: Iterator[_T]) -> Iterator[_T]:
    """Yield items, and keep what is raised meanwhile."""
    try:
        yield from items
    except Exception as error:
        failures.append(error)
        raise


def quoted(name: str) -> str:
    """Return a name as SQL takes it."""
    return '"' + name.replace('"', '""') + '"'
