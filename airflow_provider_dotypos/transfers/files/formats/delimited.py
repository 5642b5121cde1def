"""Writing one part as CSV, for people and for tools that take nothing else; ``jsonl`` and ``parquet`` keep more.

RFC 4180 in UTF-8 without a byte order mark: a header, commas, CRLF, quotes where needed. Values are the API's text,
times ISO 8601 in UTC, lists and nested values compact JSON, nulls and missing fields empty (so null and an empty text
look alike). What the entity table doesn't know is in the last column, ``_unknown``, as one JSON object.

Values that begin with ``=``, ``+``, ``-`` or ``@`` are left as they are. A spreadsheet that opens such a file may run
them as formulas, and the usual cure, a quote or a tab in front, would falsify every negative amount and phone number
for all who load the file as the data that it is. To look at a file whose texts strangers can write (customers' notes),
import it with its columns as text, or open it in anything but a spreadsheet.
"""

from __future__ import annotations

import csv
import gzip
import io
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import BinaryIO

import msgspec

from airflow_provider_dotypos.api.page import one_line
from airflow_provider_dotypos.api.window import iso
from airflow_provider_dotypos.transfers.files.formats.writer import Edit, TextWriter
from airflow_provider_dotypos.transfers.rows import lenient
from airflow_provider_dotypos.transfers.rows.api_form import row_of_cells
from airflow_provider_dotypos.transfers.rows.columns import NULL, UNKNOWN, Columns, members
from airflow_provider_dotypos.transfers.rows.readable import readable


class CsvWriter(TextWriter):
    """A staging file of CSV.

    :param path: where to write.
    :param columns: which columns, see ``columns_of``.
    :param gzip_level: 1 to 9, or ``None`` to leave it uncompressed.
    """

    def __init__(self, path: Path, columns: Columns, gzip_level: int | None = None) -> None:
        super().__init__(path, gzip_level)
        self._columns = columns
        self._known = columns.known
        self._times = frozenset(column.name for column in columns.columns if column.kind == "timestamp")
        self._put([[*columns.names_in_order, UNKNOWN]])

    def write(self, rows: Iterable[msgspec.Raw]) -> None:
        """Append rows, a record each."""
        wanted = readable(self._columns.cut(rows, self.misfits), self._columns, self.misfits)
        records = [self._record(members(row, self.misfits)) for row in wanted]
        self._put(records)
        self.rows += len(records)

    def _copy(self, text: BinaryIO | gzip.GzipFile) -> None:
        text.readline()  # the header, which stands in this file already
        super()._copy(text)

    def _records(self, text: BinaryIO | gzip.GzipFile) -> Iterator[bytes]:
        text.readline()
        return _whole_records(iter(text))

    def _edited(self, record: bytes, edit: Edit) -> bytes:
        kinds = {column.name: column.kind for column in self._columns.columns}
        csv.field_size_limit(LONGEST_CELL)
        [cells] = csv.reader(io.StringIO(record.decode().replace("\0", NO_CHARACTER), newline=""))
        names = [*self._columns.names_in_order, UNKNOWN]
        row = edit(row_of_cells(names, [cell.replace(NO_CHARACTER, "\0") for cell in cells], kinds))
        return _text([self._record(members(row, self.misfits))])

    def _put(self, records: list[list[str]]) -> None:
        self._text.write(_text(records))

    def _record(self, row: dict[str, msgspec.Raw]) -> list[str]:
        record = []
        for column in self._columns.columns:
            cell = _cell(row.pop(column.name, NULL))
            record.append(_utc(cell) if column.name in self._times else cell)
        for name in row.keys() - self._known:
            self.new_fields.note(name, row[name])
        record.append(_json(msgspec.Raw(msgspec.json.encode(row))) if row else "")
        return record


def _whole_records(lines: Iterator[bytes]) -> Iterator[bytes]:
    """Yield each record of a file's lines: one that goes on has seen an odd number of quotes."""
    for line in lines:
        record, quotes = line, line.count(b'"')
        while quotes % 2 and (more := next(lines, b"")):
            record += more
            quotes += more.count(b'"')
        yield record


def _text(records: list[list[str]]) -> bytes:
    try:
        text = _csv(records)
    except csv.Error:  # Python 3.10 writes no NUL; later versions write it as it is
        marked = [[cell.replace("\0", NO_CHARACTER) for cell in record] for record in records]
        text = _csv(marked).replace(NO_CHARACTER, "\0")
    return text.encode()


def _csv(records: list[list[str]]) -> str:
    text = io.StringIO(newline="")
    csv.writer(text).writerows(records)
    return text.getvalue()


#: The longest cell that is read again, in characters: Python refuses more than 131,072 by default. A limit of the
#: process; nothing else sets it lower again.
LONGEST_CELL = 2**31 - 1

#: Half of a character, which no text that was read as UTF-8 holds: it stands for NUL, which Python 3.10 can't handle.
NO_CHARACTER = "\ud800"


def _cell(value: msgspec.Raw) -> str:
    try:
        return lenient.text(value) or ""
    except lenient.MisfitError:
        return _json(value)


def _json(value: msgspec.Raw) -> str:
    return bytes(one_line(value)).decode()


def _utc(cell: str) -> str:
    """Return a time in UTC. A text that isn't a time, or would lose something, stays as it came."""
    if len(cell) == 24 and cell.endswith("Z"):
        return cell
    try:
        milliseconds, complete = lenient.moment(cell)
    except lenient.MisfitError:
        return cell
    return iso(milliseconds) if complete else cell
