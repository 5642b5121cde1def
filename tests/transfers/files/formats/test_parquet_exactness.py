"""Parquet parts lose nothing: any value in any field is in its column exactly, or in ``_unknown`` as it came.

This tests `arrow`, and `lenient` through it.
"""

from __future__ import annotations

import json
import re
from datetime import datetime, timedelta, timezone
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import Any

import msgspec
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from airflow_provider_dotypos.transfers.rows import arrow
from airflow_provider_dotypos.transfers.rows.columns import Column, Columns
from tests.examples import examples
from tests.transfers.files.formats.test_parquet import ORDERS, written
from tests.transfers.sample_rows import ITEM, PAYMENT, columns_of, encoded, members, order, rows

PRODUCTS = columns_of("products", include="ingredients")
EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)


def number(text: str) -> Decimal | None:
    return Decimal(text) if re.fullmatch(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?", text, re.ASCII) else None


def moment(text: str) -> Fraction | None:
    """Return epoch milliseconds of a time, exactly; read by other means than the package reads it."""
    if (found := number(text)) is not None:
        return Fraction(found)
    match = re.fullmatch(
        r"(\d{4})-(\d\d)-(\d\d)[T ](\d\d):(\d\d)(?::(\d\d))?(?:[.,](\d+))?(?:[Zz]|([+-])(\d\d):?(\d\d)?)", text
    )
    assert match is not None
    year, month, day, hour, minute, second = (int(part or 0) for part in match.groups()[:6])
    shift = (int(match[9] or 0) * 60 + int(match[10] or 0)) * (-1 if match[8] == "-" else 1)
    years = 400 if year < 400 else 0  # the calendar repeats; Python has no year 0
    date = datetime(year + years, month, day, hour, minute, second, tzinfo=timezone.utc) - timedelta(minutes=shift)
    seconds = (date - EPOCH) // timedelta(seconds=1) - (146_097 * 86_400 if years else 0)
    return 1000 * (seconds + Fraction(f"0.{match[7] or 0}"))


def plain(value: str) -> Any:
    """Return the text of a JSON string or number."""
    return json.loads(value) if value.startswith('"') else value


def same(column: Column, value: str, found: Any) -> bool:
    """Whether what is in a column is exactly what the API sent."""
    if column.rows is not None:
        sent = msgspec.json.decode(value, type=list[dict[str, msgspec.Raw]])
        for row, struct in zip(sent, found, strict=True):
            check(column.rows, {name: bytes(member).decode() for name, member in row.items()}, struct)
        return True
    if column.kind == "json":
        return bool(found == value)
    if column.kind == "boolean":
        return found is (plain(value) in ("true", "1"))
    if column.kind in ("texts", "ints"):
        sent_items = (
            [bytes(item).decode() for item in msgspec.json.decode(value, type=list[msgspec.Raw])]
            if value.startswith("[")
            else [value]
        )
        items = [None if item == "null" else plain(item) for item in sent_items]
        return bool(found == (items if column.kind == "texts" else [item and int(Decimal(item)) for item in items]))
    if column.kind == "text":
        return bool(found == plain(value))
    if column.kind == "timestamp":
        return bool(found == moment(plain(value)))
    return bool(found == number(plain(value)))


def check(columns: Columns, sent: dict[str, str], found: dict[str, Any]) -> int:
    """Check that a row in a file holds all that was sent, and return how many values were misfits."""
    unknown = msgspec.json.decode(found["_unknown"] or "{}", type=dict[str, msgspec.Raw])
    assert not {name for name in unknown if bytes(unknown[name]).decode() != sent.get(name)}
    assert {name for name in sent if name not in columns.names} <= set(unknown)
    for column in columns.columns:
        value = sent.get(column.name, "null")
        if value == "null" or (column.name in unknown and column.kind not in ("timestamp", "decimal")):
            assert found[column.name] is None
        elif column.name not in unknown:
            assert same(column, value, found[column.name]), (column, value, found[column.name])
        elif found[column.name] is not None:  # cut: finer than the column, and by less than what it can hold
            exact = moment(plain(value)) if column.kind == "timestamp" else Fraction(number(plain(value)) or 0)
            assert exact is not None
            assert (
                0
                < abs(exact - Fraction(found[column.name]))
                < (1 if column.kind == "timestamp" else Fraction(1, 10**18))
            )
    return len(set(unknown) & columns.names)


def as_numbers(table: pa.Table) -> list[dict[str, Any]]:
    """Return a table's rows, its times as epoch milliseconds."""

    def type_of(t: pa.DataType) -> pa.DataType:
        if pa.types.is_timestamp(t):
            return pa.int64()
        if pa.types.is_list(t):
            return pa.list_(type_of(t.value_type))
        if pa.types.is_struct(t):
            return pa.struct([pa.field(f.name, type_of(f.type)) for f in t])
        return t

    found: list[dict[str, Any]] = table.cast(
        pa.schema([pa.field(f.name, type_of(f.type)) for f in table.schema])
    ).to_pylist()
    return found


@pytest.mark.parametrize("columns", [ORDERS, PRODUCTS], ids=["orders", "products"])
@given(data=st.data())
@settings(
    max_examples=examples(35),
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
    deadline=None,
)
def test_any_value_in_any_field_is_in_its_column_exactly_or_in_unknown(
    columns: Columns, tmp_path: Path, data: st.DataObject
) -> None:
    sent = data.draw(rows(columns))
    table, writer = written(tmp_path, [encoded(row) for row in sent], columns)
    found = as_numbers(table)
    assert len(found) == len(sent) == writer.rows
    top = sum(check(columns, row, there) for row, there in zip(sent, found, strict=True))
    assert top == sum(count for name, count in writer.misfits.items() if "." not in name)
    assert table.schema.equals(arrow.Table(columns).schema)


@given(data=st.data())
@settings(max_examples=examples(25), deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_a_row_is_read_the_same_whatever_rows_come_with_it(data: st.DataObject) -> None:
    some = [encoded(row) for row in data.draw(st.lists(members(ORDERS), min_size=1, max_size=4))]
    table = arrow.Table(ORDERS)
    alone = table.together([table.batch([row]) for row in some])
    together = table.together([table.batch(some)])
    assert as_numbers(alone) == as_numbers(together)


def test_rows_in_their_usual_form_never_go_value_by_value(monkeypatch: pytest.MonkeyPatch) -> None:
    """So the properties above are of the fast way, too; and an unknown field or bare numbers don't make it slow."""
    monkeypatch.delattr(arrow._Level, "careful")
    arrow.Table(ORDERS).batch(
        [order(orderItems=[ITEM], moneyLogs=[PAYMENT]), order(orderItems=None), order(moneyLogs=[])]
    )
    monkeypatch.undo()
    monkeypatch.setattr(arrow, "_read", None)
    arrow.Table(ORDERS).batch([order(newField=1, orderItems=[ITEM]), order(newField=2)])
