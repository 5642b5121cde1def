"""A committed set as its readers see it: its tables, row by row, in batches, or whole."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from airflow_provider_dotypos.storage.store import Store, object_path
from airflow_provider_dotypos.transfers.errors import DamagedSetError
from airflow_provider_dotypos.transfers.files.formats.chosen import Chosen
from airflow_provider_dotypos.transfers.files.formats.file_format import FileFormat
from airflow_provider_dotypos.transfers.files.manifest import (
    Manifest,
    generation_of,
    manifest_name,
    newest_generation,
    newest_manifest,
    refuse_misplaced,
    whole_manifest,
)
from airflow_provider_dotypos.transfers.files.part import ChildFile, Part
from airflow_provider_dotypos.transfers.files.tables import Table, check_table, columns_of_table

if TYPE_CHECKING:
    import pandas
    import pyarrow
    from airflow.sdk import ObjectStoragePath


@dataclass(frozen=True)
class CommittedSet:
    """A committed set. `rows` and `to_batches` read it.

    It has a table of its own entity, and one for each child list that was flattened. A method that takes a table takes
    the name of its entity. It defaults to the set's own.

    :param manifest: what it holds.
    :param path: the manifest's path.
    :param files: its files, ready to be opened.
    :param children: the files of flattened child lists, by entity.
    """

    manifest: Manifest
    path: ObjectStoragePath
    files: list[ObjectStoragePath]
    children: dict[str, list[ObjectStoragePath]]

    @classmethod
    def of(cls, store: Store, manifest: Manifest) -> CommittedSet:
        """Return the set of a manifest.

        :param store: the folder that it lies in.
        :param manifest: what it consists of.
        """
        return cls(
            manifest,
            store.folder / manifest_name(manifest.generation),
            [store.folder / part.name for part in manifest.parts],
            {
                child: [store.folder / file.name for file in manifest.contents.children(child)]
                for child in manifest.children
            },
        )

    @property
    def uris(self) -> list[str]:
        """The addresses of its files for other tools (DuckDB, Spark, pandas): without Airflow's connection in them."""
        return [uri(file) for file in self.files]

    @property
    def tables(self) -> dict[str, int]:
        """How many rows each table has, by its entity; the set's own is first."""
        return {self.manifest.entity: self.manifest.rows, **self.manifest.children}

    def rows(self, table: str | None = None) -> Iterator[dict[str, Any]]:
        """Yield a table's rows, in little memory.

        A row is in the form in which the API gives it, whatever the format of the files: ids, numbers and times are
        text (``Decimal(row["totalValueRounded"])`` is exact), truth values are ``bool``, lists and nested objects are
        ``list`` and ``dict``. CSV and Parquet hold every field of the entity: one that the API omitted is ``None``, in
        CSV also an empty text. Parquet doesn't keep how a number was spelled: ``12.50`` comes back as ``12.5``.

        :param table: the table's entity. Defaults to the set's own.
        :raises DotyposInputError: if the set has no such table.
        :raises DamagedSetError: if a file can't be read, or doesn't hold the rows that the manifest counts.
        :raises PyarrowMissingError: if the files are Parquet, and pyarrow isn't installed.
        """
        return self._table(table).rows()

    def to_batches(self, table: str | None = None) -> Iterator[pyarrow.RecordBatch]:
        """Yield a table's rows as record batches of some thousand, in little memory.

        Columns are typed like those of Parquet files, whatever the format of the files, and all batches have the same
        schema. Needs the extra ``parquet``. It raises what `rows` raises.

        :param table: the table's entity. Defaults to the set's own.
        """
        return self._table(table).to_batches()

    def to_arrow(self, table: str | None = None) -> pyarrow.Table:
        """Return all rows of a table in memory, as `to_batches` yields them; a table without rows has its columns.

        It raises what `rows` raises.

        :param table: the table's entity. Defaults to the set's own.
        """
        return self._table(table).to_arrow()

    def to_pandas(self, table: str | None = None) -> pandas.DataFrame:
        """Return all rows of a table in memory as a data frame, with the types of `to_arrow`.

        Whole numbers and truth values are pandas's nullable types, so an id stays exact beside a null. Amounts are
        ``Decimal``. It raises what `rows` raises.

        :param table: the table's entity. Defaults to the set's own.
        :raises PandasMissingError: if pandas isn't installed.
        """
        return self._table(table).to_pandas()

    def _table(self, name: str | None) -> Table:
        """Return a table.

        :raises DotyposInputError: if there is none of that name.
        """
        name = name or self.manifest.entity
        check_table(name, self.tables)
        return set_table(Store(self.path.parent), self.manifest, name)


def set_table(
    store: Store,
    manifest: Manifest,
    name: str,
    files: Sequence[Part | ChildFile] | None = None,
    chosen: Mapping[str, Chosen] | None = None,
) -> Table:
    """Return a table of a set.

    :param store: where the set lies.
    :param name: the entity of the table's rows.
    :param files: those of its files that are wanted. Defaults to all.
    :param chosen: which rows of each of these files are wanted. Defaults to all.
    """
    own = name == manifest.entity
    if files is None:
        files, counted = (
            (manifest.parts, manifest.rows) if own else (manifest.contents.children(name), manifest.children[name])
        )
    else:
        counted = sum(file.rows if chosen is None else chosen[file.name].count for file in files)
    return Table(
        store=store,
        names=[file.name for file in files],
        counted=counted,
        file_format=FileFormat.read(manifest.file_format, manifest.compression),
        columns=columns_of_table(name, manifest.include if own else "", manifest.children, manifest.columns),
        chosen=chosen,
    )


def uri(file: ObjectStoragePath) -> str:
    """Return a file's address for other tools: without the connection that Airflow puts into it.

    :param file: the file's path.
    """
    address: str = file.fs.unstrip_protocol(file.path)
    return address


def read_manifest(path: str | ObjectStoragePath, conn_id: str | None = None, *, verify: bool = False) -> CommittedSet:
    """Return the committed set of a window.

    Every file must exist in its size. A set may be moved or copied together with its last three folders, whose names
    say what it is: ``{cloud}/{entity}/{window}``.

    :param path: the manifest's path (as the operator returns it), or the window's folder, whose newest set is taken.
    :param conn_id: the Airflow connection of the store, where its path doesn't name one.
    :param verify: also read every file and compare its SHA-256.
    :raises FileNotFoundError: if there is no whole set there: nothing was committed, or a file is gone.
    :raises DotyposInputError: if the manifest is of another set than the folder's name says, or of a newer format.
    :raises DamagedSetError: if `verify` finds a file whose bytes have changed.
    """
    place = object_path(path, conn_id)
    generation = generation_of(place.name)
    store = Store(place.parent if generation else place)
    try:
        manifest = whole_manifest(store, generation) if generation else newest_manifest(store)
        if manifest is None:
            refuse_misplaced(store, generation or newest_generation(store.list()))
    except NotADirectoryError:
        raise FileNotFoundError(f"no whole set at {path}: it is a file, and no manifest of a set") from None
    if manifest is None:
        raise FileNotFoundError(f"no whole set at {path}: nothing was committed there, or a file of it is gone")
    if verify:
        _verify(store, manifest)
    return CommittedSet.of(store, manifest)


def _verify(store: Store, manifest: Manifest) -> None:
    for file in manifest.contents.files:
        if store.sha256(file.name) != file.sha256:
            raise DamagedSetError(
                f"{store.folder / file.name}: its bytes aren't those that were written (SHA-256 differs); extract the "
                "window again with overwrite=True"
            )
