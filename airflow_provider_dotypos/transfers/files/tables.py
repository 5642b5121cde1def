"""Reading the tables of a committed set, file by file: in little memory, however many rows there are."""

from __future__ import annotations

import csv
import gzip
import zlib
from abc import ABC, abstractmethod
from collections.abc import Callable, Container, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, BinaryIO, TypeVar

import msgspec

from airflow_provider_dotypos.api.entities import find_entity
from airflow_provider_dotypos.api.errors import DotyposInputError, DotyposResponseError
from airflow_provider_dotypos.api.names import nearest
from airflow_provider_dotypos.api.query import include_names
from airflow_provider_dotypos.storage.store import Store
from airflow_provider_dotypos.transfers.errors import DamagedSetError, PandasMissingError
from airflow_provider_dotypos.transfers.files.formats.chosen import Chosen
from airflow_provider_dotypos.transfers.files.formats.file_format import FileFormat
from airflow_provider_dotypos.transfers.files.formats.parquet import require_pyarrow
from airflow_provider_dotypos.transfers.rows.columns import Columns, columns_of

if TYPE_CHECKING:
    import pandas
    import pyarrow

    from airflow_provider_dotypos.transfers.files.formats.part_versions import Numbers

_T = TypeVar("_T")

#: What reading a file raises if its bytes aren't those that were written; Arrow has more, see `_is_damage`.
_DAMAGE = (
    EOFError,
    gzip.BadGzipFile,
    zlib.error,
    csv.Error,
    ValueError,
    NotImplementedError,  # Arrow's, of a code that it doesn't know
    msgspec.MsgspecError,
    DotyposResponseError,
)


class Rows(ABC):
    """Rows of one table, which are read again and again.

    :ivar columns: their columns.
    """

    columns: Columns

    @abstractmethod
    def rows(self) -> Iterator[dict[str, Any]]:
        """Yield the rows in the form that the API gives them."""

    @abstractmethod
    def to_batches(self) -> Iterator[pyarrow.RecordBatch]:
        """Yield the rows as record batches."""

    def to_arrow(self) -> pyarrow.Table:
        """Return the rows as one Arrow table."""
        arrow, _ = require_pyarrow("reading as Arrow")
        return arrow.whole_table(self.to_batches(), self.columns)

    def to_pandas(self) -> pandas.DataFrame:
        """Return the rows as a data frame."""
        table = self.to_arrow()
        try:
            import pandas
        except ImportError as error:
            raise PandasMissingError(f"to_pandas() needs pandas ({error}): pip install pandas") from error
        nullable = {"int64": pandas.Int64Dtype(), "int32": pandas.Int32Dtype(), "bool": pandas.BooleanDtype()}
        return table.to_pandas(types_mapper=lambda arrow: nullable.get(str(arrow)))


@dataclass(frozen=True)
class Table(Rows):
    """The files of one table.

    :param store: where they lie.
    :param names: their names.
    :param counted: rows in all of them, as the manifest says; of those that are chosen, if some are.
    :param chosen: which rows of each file are wanted. Defaults to all.
    """

    store: Store
    names: Sequence[str]
    counted: int
    file_format: FileFormat
    columns: Columns
    chosen: Mapping[str, Chosen] | None = None

    def rows(self) -> Iterator[dict[str, Any]]:
        """Yield the rows in the form that the API gives them."""
        return self._read(
            lambda part, chosen: self.file_format.rows(part, self.columns, chosen),
            lambda row: 1,
        )

    def to_batches(self) -> Iterator[pyarrow.RecordBatch]:
        """Yield the rows as record batches."""
        require_pyarrow("reading as Arrow")
        return self._read(
            lambda part, chosen: self.file_format.batches(part, self.columns, chosen),
            lambda batch: int(batch.num_rows),
        )

    def versions(self, fields: Sequence[str]) -> Iterator[Numbers]:
        """Yield some fields of the rows as columns of numbers, see `part_versions`."""
        return self._read(
            lambda part, chosen: self.file_format.versions(part, self.columns, fields),
            lambda numbers: len(numbers[0]),
        )

    def read(self, read: Callable[[BinaryIO], Iterator[_T]], rows: Callable[[_T], int]) -> Iterator[_T]:
        """Yield what is read of each file.

        :param read: reads a file, whichever of its rows are chosen.
        :param rows: how many rows an item of that is.
        :raises DamagedSetError: if a file can't be read, or has other rows than it should.
        """
        return self._read(lambda part, chosen: read(part), rows)

    def _read(self, read: Callable[[BinaryIO, Chosen | None], Iterator[_T]], rows: Callable[[_T], int]) -> Iterator[_T]:
        """Yield what is read of each file, and raise in the end if it isn't as many rows as it should be."""
        count = 0
        for name in self.names:
            with self.store.open(name) as part:
                try:
                    for item in read(part, None if self.chosen is None else self.chosen[name]):
                        count += rows(item)
                        yield item
                except Exception as error:
                    if not _is_damage(error):
                        raise
                    raise self._damaged(f"{self.store.folder / name} can't be read ({type(error).__name__})") from None
        if count != self.counted:
            raise self._damaged(f"{self.store.folder} holds {count} rows of {self.columns.entity}, not {self.counted}")

    @staticmethod
    def _damaged(what: str) -> DamagedSetError:
        return DamagedSetError(f"{what}: extract the window again with overwrite=True")


def _is_damage(error: Exception) -> bool:
    """Return whether reading failed because of a file's bytes.

    Arrow raises OSError for some of them, but without the number or the class of a store's failure.
    """
    return isinstance(error, _DAMAGE) or (type(error) is OSError and error.errno is None)


def columns_of_table(name: str, include: str, flattened: Container[str], kept: Mapping[str, Sequence[str]]) -> Columns:
    """Return the columns of a table in a set's files.

    :param name: the entity of its rows.
    :param include: the child lists that came with its rows.
    :param flattened: entities of those of them that have tables of their own.
    :param kept: names of the columns in the files, by table, where only some were wanted or the format has columns.
    """
    entity = find_entity(name)
    nested = [child for child in include_names(entity, include) if entity.includes[child].entity not in flattened]
    whole = columns_of(entity, nested)
    names = kept.get(name, whole.names)
    return Columns(name, tuple(column for column in whole.columns if column.name in names))


def check_table(name: str, tables: Mapping[str, int]) -> None:
    """Raise unless there is a table of that name.

    :raises DotyposInputError: if there isn't; the message names those that there are.
    """
    if name not in tables:
        raise DotyposInputError(
            f"the set has no table {name!r}{nearest(str(name), tables)}. It has: {', '.join(tables)}. Child lists have "
            "tables of their own if they are extracted with include and flatten"
        )
