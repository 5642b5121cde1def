"""Reading the ids of a written part again, in little memory: how a later attempt counts what an earlier one wrote."""

from __future__ import annotations

import gzip
import itertools
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import BinaryIO, cast

import msgspec

from airflow_provider_dotypos.transfers.files.formats.parquet import require_pyarrow

ROWS_AT_ONCE = 2000


def part_ids(part: str | Path | BinaryIO, file_format: str, compression: str | None) -> Iterator[Sequence[int]]:
    """Yield the ids of a part, some thousand at a time.

    :param part: its path, or a file that can be read (for Parquet: and seeked).
    :param file_format: ``jsonl``, ``parquet`` or ``csv``.
    :param compression: ``gzip`` or ``None``; of no account for Parquet, which knows by itself.
    :raises ValueError: if a row has no id, or the file is not of that format.
    """
    with ExitStack() as stack:
        file = stack.enter_context(open(part, "rb")) if isinstance(part, (str, Path)) else part
        if file_format == "parquet":
            yield from _parquet_ids(file)
            return
        lines: Iterable[bytes] = file
        if compression == "gzip":
            lines = stack.enter_context(gzip.GzipFile(fileobj=file))
        read = {"jsonl": _line_ids, "csv": _csv_ids}[file_format]
        yield from read(iter(lines))


def _parquet_ids(file: BinaryIO) -> Iterator[Sequence[int]]:
    _, parquet = require_pyarrow()
    for batch in parquet.ParquetFile(file).iter_batches(ROWS_AT_ONCE, columns=["id"]):
        ids = batch.column(0)
        if ids.null_count:
            raise ValueError("a row of the part has no id")
        yield cast("list[int]", ids.to_pylist())


def _line_ids(lines: Iterator[bytes]) -> Iterator[Sequence[int]]:
    while chunk := list(itertools.islice(lines, ROWS_AT_ONCE)):
        try:
            yield [row.id for row in _KEYS.decode(b"[" + b",".join(chunk) + b"]")]
        except msgspec.MsgspecError as error:
            raise ValueError(f"a row of the part has no id: {error}") from None


def _csv_ids(lines: Iterator[bytes]) -> Iterator[Sequence[int]]:
    """The id is the first field of each record, and never quoted; so a record is only split as far as needed."""
    if next(lines, b"").split(b",")[0] != b"id":
        raise ValueError("the part does not begin with the header that it should have")
    starts = _record_starts(lines)
    while chunk := [int(line.split(b",", 1)[0]) for line in itertools.islice(starts, ROWS_AT_ONCE)]:
        yield chunk


def _record_starts(lines: Iterator[bytes]) -> Iterator[bytes]:
    """Yield the first line of each record: one within quotes has seen an odd number of them."""
    quotes = 0
    for line in lines:
        if quotes % 2 == 0:
            yield line
        quotes += line.count(b'"')


class _Key(msgspec.Struct):
    id: int


_KEYS = msgspec.json.Decoder(list[_Key], strict=False)
