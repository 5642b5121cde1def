"""Rows of a file on a disk or in an object store: JSON lines, CSV or Parquet, text also compressed by gzip.

CSV knows no null and no types. An empty cell is a null, and every other cell is read as its field's type. The first
line names the fields. Cells are divided by what the first line has most of: commas, semicolons, tabs or bars.
"""

from __future__ import annotations

import csv
import gzip
import io
import zlib
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, Any, BinaryIO, cast

import msgspec

from airflow_provider_dotypos.api.errors import DotyposEnvironmentError, DotyposInputError
from airflow_provider_dotypos.api.redaction import without_user
from airflow_provider_dotypos.storage.address import check_address
from airflow_provider_dotypos.storage.store import Store, object_path
from airflow_provider_dotypos.writes.errors import DotyposPlanError, Problem
from airflow_provider_dotypos.writes.sources.problems import Problems
from airflow_provider_dotypos.writes.sources.source import Row, Source, of_four_bytes

if TYPE_CHECKING:
    from airflow.sdk import ObjectStoragePath

_GZIP = ".gz"
_DIVIDERS = ",;\t|"
_ROWS_AT_ONCE = 2000
_BUFFER = 2**20

#: What reading raises if a file's bytes aren't what its name says; Arrow raises OSError for some of them, too.
_DAMAGE = (EOFError, gzip.BadGzipFile, zlib.error, csv.Error, ValueError, NotImplementedError)


@dataclass(frozen=True)
class FileSource(Source):
    """Rows of a file.

    :param place: its address.
    :param suffix: how its name ends, which says its format.
    """

    place: str | ObjectStoragePath
    suffix: str

    @classmethod
    def of(cls, place: str | ObjectStoragePath, argument: str = "source") -> FileSource:
        """Return a file's rows. The file isn't opened yet.

        :param argument: what the address is called.
        :raises DotyposInputError: if it isn't the address of a file of a known format.
        """
        check_address(place, argument)
        name = str(place).strip().lower()
        suffix = "." + name.removesuffix(_GZIP).rsplit("/", 1)[-1].rpartition(".")[2]
        if suffix not in _READERS or (name.endswith(_GZIP) and suffix == ".parquet"):
            raise DotyposInputError(
                f"{argument}: the name of {without_user(str(place))} must end in {', '.join(_READERS)}, or in one of "
                "these and .gz but for Parquet. JSON has one object a line; read_manifest(path) gives a committed set"
            )
        return cls(place, suffix)

    @property
    def name(self) -> str:
        """The file's address."""
        return without_user(str(self.place))

    def numbered(self, problems: Problems) -> Iterator[tuple[int, Row]]:
        """Yield the rows with their numbers, from 1 on. The first line of CSV isn't counted.

        :raises DotyposInputError: if there is no such file.
        :raises DotyposPlanError: if it can't be read to its end.
        """
        place = object_path(self.place, argument="source")
        try:
            with Store(place.parent).open(place.name) as file:
                plain = gzip.GzipFile(fileobj=file) if place.name.lower().endswith(_GZIP) else file
                yield from _READERS[self.suffix](cast("BinaryIO", plain), problems)
        except FileNotFoundError:
            raise DotyposInputError(f"there is no file {self.name}") from None
        except (IsADirectoryError, NotADirectoryError):
            raise DotyposInputError(f"{self.name} is a folder, or below a file: give the path of a file") from None
        except (*_DAMAGE, OSError) as error:
            if isinstance(error, DotyposInputError) or (isinstance(error, OSError) and error.errno is not None):
                raise
            raise DotyposPlanError(
                f"{self.name} can't be read to its end ({type(error).__name__}): it is cut off, or its name ends in "
                "another format than it has"
            ) from None


def _json_rows(file: BinaryIO, problems: Problems) -> Iterator[tuple[int, Row]]:
    for number, line in enumerate(io.BufferedReader(cast("io.RawIOBase", file), _BUFFER), 1):
        if not line.strip():
            continue
        try:
            row = _OBJECTS.decode(line.removeprefix(b"\xef\xbb\xbf") if number == 1 else line)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            problems.add(Problem(number, None, "isn't a line with one JSON object in UTF-8"))
            continue
        yield number, row


def _csv_rows(file: BinaryIO, problems: Problems) -> Iterator[tuple[int, Row]]:
    # Bytes of another encoding become half characters, which no value may have: so each row says its problem.
    lines = io.TextIOWrapper(file, "utf-8-sig", "surrogateescape", newline="")
    first = lines.readline()
    if not _is_utf8(first):
        raise DotyposPlanError(
            "the first line of the source isn't text in UTF-8: it is compressed, or of another encoding"
        )
    divider = max(_DIVIDERS, key=first.count)
    names = next(csv.reader([first], delimiter=divider, strict=True), [])
    _check_names(names)
    number = 0
    for cells in csv.reader(lines, delimiter=divider, strict=True):
        if not cells:
            continue
        number += 1
        if len(cells) != len(names):
            problems.add(Problem(number, None, f"doesn't have the {len(names)} cells of the first line"))
            continue
        yield number, {name: cell if cell != "" else None for name, cell in zip(names, cells, strict=True)}


def _is_utf8(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _parquet_rows(file: BinaryIO, problems: Problems) -> Iterator[tuple[int, Row]]:
    try:
        from pyarrow import parquet
    except ImportError as error:
        raise DotyposEnvironmentError(
            f"reading Parquet needs pyarrow ({error}): pip install 'airflow-provider-dotypos[parquet]'"
        ) from None
    table = parquet.ParquetFile(file)
    _check_names(table.schema_arrow.names)
    of_four = [column.name for column in table.schema_arrow if str(column.type) == "float"]
    number = 0
    for batch in table.iter_batches(_ROWS_AT_ONCE):
        for row in batch.to_pylist():
            number += 1
            row |= {name: of_four_bytes(row[name]) for name in of_four if row[name] is not None}
            yield number, row


def _check_names(names: Sequence[str]) -> None:
    """Raise unless each column has a name of its own.

    :raises DotyposPlanError: if not.
    """
    counts = Counter(names)
    if doubled := [str(place) for place, name in enumerate(names, 1) if counts[name] > 1]:
        # Their names aren't shown: without a first line of names they are values.
        raise DotyposPlanError(f"columns {', '.join(doubled)} of the source have names that aren't their own")


_OBJECTS = msgspec.json.Decoder(dict[str, Any], float_hook=Decimal)

_READERS: Mapping[str, Callable[[BinaryIO, Problems], Iterator[tuple[int, Row]]]] = {
    ".jsonl": _json_rows,
    ".ndjson": _json_rows,
    ".csv": _csv_rows,
    ".tsv": _csv_rows,
    ".parquet": _parquet_rows,
}
