"""Rows as Arrow columns of declared types. Needs pyarrow: only ``parquet`` imports this, once a writer is made.

Rows in their usual form (see ``lenient``) are decoded a few hundred at a time, straight into lists of texts, and
Arrow casts whole columns: nothing is done value by value in Python. Where that fails, because of a field that the
entity table doesn't know or a value in another form, those rows are taken apart into their members' bytes, and each
column is tried as a whole again. Only a column that fails again is converted value by value. Casts are Arrow's own
from text, so no number is ever a float on its way.
"""

from __future__ import annotations

import functools
import io
import itertools
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, TypeVar

import msgspec
import pyarrow as pa
import pyarrow.compute as pc

from airflow_provider_dotypos.api.errors import DotyposInputError
from airflow_provider_dotypos.transfers.rows import lenient
from airflow_provider_dotypos.transfers.rows.columns import NULL, UNKNOWN, Column, Columns, Kind, members, objects
from airflow_provider_dotypos.transfers.rows.new_fields import NewFields
from airflow_provider_dotypos.transfers.rows.readable import readable

MILLISECONDS = pa.timestamp("ms", "UTC")
DECIMAL = pa.decimal128(lenient.DECIMAL_DIGITS, lenient.DECIMAL_PLACES)

_T = TypeVar("_T")
_Raws = Sequence[msgspec.Raw]
#: An array, and the positions of values that aren't in it, or not in full.
_Fitted = tuple[pa.Array, Sequence[int]]


class Table:
    """Makes Arrow record batches of rows.

    :param columns: the columns of the rows.
    :ivar schema: the batches' schema: the columns and, last, `UNKNOWN`.
    :ivar misfits: how many values of each field didn't fit their column (children's fields as ``orderItems.name``).
    :ivar new_fields: fields that the entity table doesn't know, where they are wanted.
    """

    def __init__(self, columns: Columns) -> None:
        self.misfits: Counter[str] = Counter()
        self._columns = columns
        self.new_fields = NewFields()
        self._level = _Level(columns, "", self.misfits, self.new_fields)
        self._records = msgspec.json.Decoder(list[self._level.record])  # type: ignore[name-defined]
        self.schema = pa.schema(self._level.fields)

    def batch(self, rows: _Raws) -> pa.RecordBatch:
        """Return rows as a record batch."""
        data = b"[" + b",".join(rows) + b"]"
        try:
            arrays = self._level.quick(self._records.decode(data))
        except _UNUSUAL:
            mended = readable(rows, self._columns, self.misfits, typed=True)
            arrays = self._level.careful([members(row, self.misfits) for row in mended])
        return pa.RecordBatch.from_arrays(arrays, schema=self.schema)

    def fit(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        """Return a batch of rows with this schema. What an earlier version of this package had no column for is null.

        :raises DotyposInputError: if it has a column that the schema doesn't have.
        """
        if batch.schema == self.schema:
            return batch
        if unknown := sorted({*batch.schema.names} - {*self.schema.names}):
            raise DotyposInputError(
                f"columns: {', '.join(unknown)} of {self._columns.entity} are none that this version of the package "
                "knows. Its files can't be read as Arrow together with others; rows() reads them"
            )
        known, rows = dict(zip(batch.schema.names, batch.columns, strict=True)), batch.num_rows
        columns = [known.get(field.name, pa.nulls(rows, field.type)).cast(field.type) for field in self.schema]
        return pa.RecordBatch.from_arrays(columns, schema=self.schema)

    def reader(self, batches: Iterable[pa.RecordBatch]) -> pa.RecordBatchReader:
        """Return what reads batches of this schema once, as other tools take it."""
        return pa.RecordBatchReader.from_batches(self.schema, batches)

    def together(self, batches: Sequence[pa.RecordBatch]) -> pa.Table:
        """Return batches as one table, without copying them."""
        return pa.Table.from_batches(batches, self.schema)

    @staticmethod
    def release_memory() -> None:
        """Give back what Arrow's allocator keeps for later; it keeps some for each thread."""
        pa.default_memory_pool().release_unused()


def whole_table(batches: Iterable[pa.RecordBatch], columns: Columns) -> pa.Table:
    """Return batches as one table; without any, one without rows."""
    gathered = list(batches)
    return pa.Table.from_batches(gathered, gathered[0].schema if gathered else Table(columns).schema)


def leaves(fields: Iterable[pa.Field], prefix: str = "") -> Iterator[str]:
    """Yield the paths by which Parquet knows columns that hold values, such as ``orderItems.list.element.id``."""
    for field in fields:
        path, arrow = prefix + field.name, field.type
        if pa.types.is_list(arrow):
            path, arrow = f"{path}.list.element", arrow.value_type
        if pa.types.is_struct(arrow):
            yield from leaves(arrow, f"{path}.")
        else:
            yield path


def file(staging: io.RawIOBase) -> pa.NativeFile:
    """Return a file as Arrow writes to it."""
    return pa.PythonFile(staging, mode="w")


class _Shape(ABC):
    """How one column's values become an array."""

    arrow: pa.DataType
    record: Any  # what a value decodes to in its usual form
    default: Any = None

    @abstractmethod
    def quick(self, values: Sequence[Any]) -> pa.Array:
        """Return decoded values as an array.

        :raises ValueError: if one doesn't fit.
        """

    @abstractmethod
    def each(self, values: _Raws) -> _Fitted:
        """Return values as an array, however odd they are."""

    def careful(self, values: _Raws) -> _Fitted:
        """Return values as an array, all at once if they can be."""
        try:
            return self.quick(self._values.decode(b"[" + b",".join(values) + b"]")), ()
        except _UNUSUAL:
            return self.each(values)

    @functools.cached_property
    def _values(self) -> msgspec.json.Decoder[Any]:
        return msgspec.json.Decoder(list[self.record])  # type: ignore[name-defined]


class _Cast(_Shape):
    """Numbers and times: Arrow makes them of text."""

    record = str | None

    def __init__(self, arrow: pa.DataType, cast: Callable[[pa.Array], pa.Array], odd: Callable[[str], Any]) -> None:
        self.arrow, self._cast, self._odd = arrow, cast, odd

    def quick(self, values: Sequence[Any]) -> pa.Array:
        if values.count(None) == len(values):  # many columns are empty, and a cast takes its time
            return pa.nulls(len(values), self.arrow)
        return self._cast(pa.array(values, pa.string()))

    def each(self, values: _Raws) -> _Fitted:
        texts, misfits = _read(lenient.text, values)
        try:
            return self.quick(texts), misfits  # bare numbers, all of them usual but for that
        except _UNUSUAL:
            return self._one_by_one(texts, misfits)

    def _one_by_one(self, texts: list[str | None], misfits: list[int]) -> _Fitted:
        numbers = []
        for i, text in enumerate(texts):
            value, complete = (None, True) if text is None else self._single(text)
            numbers.append(value)
            if not complete:
                misfits.append(i)
        return pa.array(numbers, self.arrow), misfits

    def _single(self, text: str) -> tuple[Any, bool]:
        """Return one value, and whether that is all of it."""
        try:
            value = self._odd(text)
        except lenient.MisfitError:
            return None, False
        return value if isinstance(value, tuple) else (value, True)


class _Simple(_Shape):
    """What Arrow takes as it is decoded."""

    def __init__(self, arrow: pa.DataType, record: Any, odd: Callable[[msgspec.Raw], Any]) -> None:
        self.arrow, self.record, self._odd = arrow, record, odd

    def quick(self, values: Sequence[Any]) -> pa.Array:
        return pa.array(values, self.arrow)

    def each(self, values: _Raws) -> _Fitted:
        fitting, misfits = _read(self._odd, values)
        return pa.array(fitting, self.arrow), misfits


class _Json(_Shape):
    """What has no columns of its own: its JSON, as it came."""

    arrow = pa.string()
    record = msgspec.Raw
    default = NULL

    def quick(self, values: Sequence[Any]) -> pa.Array:
        texts = (str(value, "utf-8") for value in values)
        return pa.array([None if text == "null" else text for text in texts], self.arrow)

    def each(self, values: _Raws) -> _Fitted:
        return self.quick(values), ()


class _Nested(_Shape):
    """A child list: rows within a row."""

    def __init__(self, level: _Level) -> None:
        self._level = level
        self.arrow = pa.list_(pa.struct(level.fields))
        self.record = list[level.record] | None  # type: ignore[name-defined]

    def quick(self, values: Sequence[Any]) -> pa.Array:
        return self._lists(values, self._level.quick)

    def each(self, values: _Raws) -> _Fitted:
        lists, misfits = _read(self._level.rows, values)
        return self._lists(lists, self._level.careful), misfits

    def _lists(self, lists: Sequence[list[_T] | None], arrays: Callable[[list[_T]], list[pa.Array]]) -> pa.Array:
        rows: list[_T] = []
        ends: list[int | None] = []
        for items in lists:
            ends.append(None if items is None else len(rows))  # Arrow's mark of a list that is null
            rows += items or ()
        structs = pa.StructArray.from_arrays(arrays(rows), fields=self._level.fields)
        return pa.ListArray.from_arrays(pa.array([*ends, len(rows)], pa.int32()), structs, type=self.arrow)


class _Level:
    """The columns of one level of rows: of the entity, or of a child list within it."""

    def __init__(self, columns: Columns, prefix: str, misfits: Counter[str], new_fields: NewFields) -> None:
        self._columns = columns
        self._known = columns.names | columns.left_out
        self._prefix, self._misfits, self._new_fields = prefix, misfits, new_fields
        self._shapes = [_shape(column, prefix, misfits, new_fields) for column in columns.columns]
        self.fields = [pa.field(c.name, s.arrow) for c, s in zip(columns.columns, self._shapes, strict=True)]
        self.fields.append(pa.field(UNKNOWN, pa.string()))
        self.record = self._record()

    def quick(self, records: Sequence[msgspec.Struct]) -> list[pa.Array]:
        """Return the columns of rows in their usual form.

        :raises ValueError: if a value isn't.
        """
        values = zip(*map(msgspec.structs.astuple, records), strict=True) if records else itertools.repeat(())
        arrays = [shape.quick(column) for shape, column in zip(self._shapes, values, strict=False)]
        return [*arrays, pa.nulls(len(records), pa.string())]

    def rows(self, value: msgspec.Raw) -> list[dict[str, msgspec.Raw]] | None:
        """Return the fields of a child list's rows."""
        return objects(value, self._misfits, self._prefix)

    def careful(self, rows: Sequence[dict[str, msgspec.Raw]]) -> list[pa.Array]:
        """Return the columns of any rows; what isn't in its column, or has none, is in the last one."""
        unknown = [self._others(row) for row in rows]
        arrays = []
        for column, shape in zip(self._columns.columns, self._shapes, strict=True):
            name = column.name
            array, misfits = shape.careful([row.get(name, NULL) for row in rows])
            arrays.append(array)
            self._misfits[self._prefix + name] += len(misfits)
            if column.rows is None or column.rows.whole:  # nothing tells what in it isn't wanted
                for i in misfits:
                    unknown[i][name] = rows[i][name]
        texts = [msgspec.json.encode(others).decode() if others else None for others in unknown]
        return [*arrays, pa.array(texts, pa.string())]

    def _others(self, row: dict[str, msgspec.Raw]) -> dict[str, msgspec.Raw]:
        if not self._columns.others or row.keys() <= self._known:
            return {}
        others = {name: value for name, value in row.items() if name not in self._known}
        for name in others.keys() - self._columns.known:
            self._new_fields.note(self._prefix + name, others[name])
        return others

    def _record(self) -> type[msgspec.Struct]:
        """Return a type of the columns in their usual form. Rows with unknown fields don't match if they're wanted."""
        names = [column.name for column in self._columns.columns]
        fields = [(f"c{i}", shape.record, shape.default) for i, shape in enumerate(self._shapes)]
        if self._columns.others:
            names += sorted(self._columns.left_out)
            fields += [(f"c{i}", msgspec.Raw, NULL) for i in range(len(fields), len(names))]
        return msgspec.defstruct(
            "Row",
            fields,
            rename={f"c{i}": name for i, name in enumerate(names)},
            forbid_unknown_fields=self._columns.others,
            gc=False,
        )


def _shape(column: Column, prefix: str, misfits: Counter[str], new_fields: NewFields) -> _Shape:
    if column.rows is not None:
        return _Nested(_Level(column.rows, f"{prefix}{column.name}.", misfits, new_fields))
    return _SHAPES[column.kind]


def _whole(arrow: pa.DataType, bits: int) -> _Cast:
    def cast(texts: pa.Array) -> pa.Array:
        return _integers(texts, arrow)

    return _Cast(arrow, cast, lambda text: lenient.whole(text, bits))


def _contains(texts: pa.Array, letter: bytes) -> bool:
    """Return whether a letter is in one of the texts, as a small letter or a capital."""
    data = texts.buffers()[2]
    characters = b"" if data is None else data.to_pybytes()
    return letter in characters or letter.upper() in characters


def _integers(texts: pa.Array, arrow: pa.DataType) -> pa.Array:
    if _contains(texts, b"x"):
        raise pa.ArrowInvalid("the API has no numbers like 0x10, which Arrow would read as 16")
    return texts.cast(arrow)


def _decimals(texts: pa.Array) -> pa.Array:
    # Arrow overlooks some overflows and some lost digits: it makes 597… of 4e20, and 0 of 1e-57. So little text without
    # an exponent can't hold such a number.
    if _contains(texts, b"e") or (pc.max(pc.binary_length(texts)).as_py() or 0) > _SURELY_EXACT:
        raise pa.ArrowInvalid("not surely exact")
    return texts.cast(DECIMAL)


def _moments(texts: pa.Array) -> pa.Array:
    try:
        return texts.cast(MILLISECONDS)
    except pa.ArrowInvalid:
        whole = _integers(texts, pa.int64())
        bounds = pc.min_max(whole).as_py()
        if bounds["min"] < lenient.FIRST_MOMENT or bounds["max"] > lenient.LAST_MOMENT:
            raise
        return whole.cast(MILLISECONDS)


def _moment(text: str) -> tuple[int, bool]:
    try:
        return lenient.moment(text)
    except lenient.MisfitError:
        # What Arrow reads in a column it shall read here, too (times without seconds): a value never hangs on the rows
        # next to it.
        try:
            return pa.array([text]).cast(MILLISECONDS).cast(pa.int64())[0].as_py(), True
        except pa.ArrowInvalid:
            raise lenient.MisfitError from None


def _ints(value: msgspec.Raw) -> list[int | None] | None:
    texts = lenient.texts(value)
    return None if texts is None else [None if text is None else lenient.whole(text, 32) for text in texts]


def _read(read: Callable[[msgspec.Raw], _T | None], values: _Raws) -> tuple[list[_T | None], list[int]]:
    """Read values one by one; return them, None for each that can't be read, and the positions of those."""
    values_read: list[_T | None] = []
    misfits = []
    for i, value in enumerate(values):
        try:
            values_read.append(read(value))
        except _UNUSUAL:
            values_read.append(None)
            misfits.append(i)
    return values_read, misfits


#: What decoding and Arrow raise for values in another form than expected.
_UNUSUAL = (ValueError, OverflowError, msgspec.MsgspecError)

#: Characters of a number that has no more digits before the point than a decimal column.
_SURELY_EXACT = lenient.DECIMAL_DIGITS - lenient.DECIMAL_PLACES

_SHAPES: dict[Kind, _Shape] = {
    "long": _whole(pa.int64(), 64),
    "int": _whole(pa.int32(), 32),
    "decimal": _Cast(DECIMAL, _decimals, lenient.decimal),
    "timestamp": _Cast(MILLISECONDS, _moments, _moment),
    "boolean": _Simple(pa.bool_(), bool | None, lenient.truth),
    "text": _Simple(pa.string(), str | None, lenient.text),
    "texts": _Simple(pa.list_(pa.string()), list[str | None] | None, lenient.texts),
    "ints": _Simple(pa.list_(pa.int32()), list[int] | None, _ints),
    "json": _Json(),
}
