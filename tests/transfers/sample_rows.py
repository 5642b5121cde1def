"""Rows to write: as the API sends them, and as nobody would."""

from __future__ import annotations

import json
from typing import Any

import msgspec
from hypothesis import strategies as st

from airflow_provider_dotypos.api.entities import find_entity
from airflow_provider_dotypos.api.names import split_names
from airflow_provider_dotypos.transfers.rows import columns as columns_module
from airflow_provider_dotypos.transfers.rows.columns import Column, Columns

ORDER: dict[str, Any] = {
    "id": "5000000000000001",
    "_branchId": "111222333",
    "_cloudId": "123456789",
    "_courseId": None,
    "_customerId": "4000000000000001",
    "_employeeId": "-1",
    "documentNumber": "20260115000001",
    "documentType": "RECEIPT",
    "status": "closed",
    "paid": True,
    "parked": False,
    "flags": "256",
    "currency": "CZK",
    "itemCount": "1",
    "points": "0",
    "totalValueRounded": "41.3223140495868",
    "locationLatitude": None,
    "note": 'stůl u okna, "tichý"\r\nprosím',
    "tags": ["terrace"],
    "printData": "",
    "created": "2026-01-15T11:58:00.000Z",
    "versionDate": "2026-01-15T12:00:03.007Z",
}
ITEM: dict[str, Any] = {
    "id": "5100000000000001",
    "_orderId": "5000000000000001",
    "_productId": "-401",
    "name": "Espresso",
    "note": "pro Janu",
    "quantity": "2",
    "unitPriceWithoutVat": "41.3223140495868",
    "ean": ["8590000000017"],
    "orderItemCustomizations": [{"id": "5110000000000001", "unitPriceWithVat": "15"}],
    "created": "2026-01-15T11:58:10.000Z",
}
PAYMENT: dict[str, Any] = {"id": "5200000000000001", "_orderId": "5000000000000001", "amount": "100", "tags": []}


def columns_of(name: str, *, include: str | list[str] | None = None, **selection: Any) -> Columns:
    """Return the columns of the entity called `name`."""
    return columns_module.columns_of(find_entity(name), split_names(include, "include"), **selection)


def raw(row: Any) -> msgspec.Raw:
    """Return a row as the API sends it."""
    return msgspec.Raw(json.dumps(row, ensure_ascii=False, separators=(",", ":")).encode())


def order(**changes: Any) -> msgspec.Raw:
    return raw({**ORDER, **changes})


# Below, a JSON value is its text: what a number looks like must not be changed on its way into a test.

_numbers = st.from_regex(r"-?(0|[1-9][0-9]{0,40})(\.[0-9]{1,25})?([eE][+-]?[0-9]{1,3})?", fullmatch=True)
_texts = st.text(max_size=8).map(lambda text: json.dumps(text, ensure_ascii=False))
_leaves = st.sampled_from(["null", "true", "false", '""', '"null"']) | _numbers | _texts


def _object(members: dict[str, str]) -> str:
    return "{" + ",".join(f"{json.dumps(name)}:{value}" for name, value in members.items()) + "}"


def _array(items: list[str]) -> str:
    return "[" + ",".join(items) + "]"


_names = st.text(max_size=5)
anything = st.recursive(
    _leaves,
    lambda inner: st.lists(inner, max_size=3).map(_array) | st.dictionaries(_names, inner, max_size=3).map(_object),
    max_leaves=6,
)


def _quoted(texts: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    return texts.map(json.dumps)


_integers = st.integers(-(2**65), 2**65).map(str)
_times = st.from_regex(
    r"(00|19|20|99)[0-9]{2}-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])[T ]([01][0-9]|2[0-4]):[0-5][0-9](:[0-6][0-9])?"
    r"([.,][0-9]{1,9})?(Z|z|[+-]([01][0-9])(:?[0-5][0-9])?)?",
    fullmatch=True,
)

#: By kind: values in their usual form, and in many that are near it.
_NEAR: dict[str, st.SearchStrategy[str]] = {
    "long": _quoted(_integers | st.sampled_from(["9223372036854775807", "0x10", "1.0", "1e3", "+1", " 1", "1_0", "٣"])),
    "int": _quoted(_integers | st.integers(-(2**31), 2**31).map(str)) | st.integers(-(2**33), 2**33).map(str),
    "decimal": _quoted(
        _numbers | st.sampled_from(["1E-7", "-0", "NaN", "Infinity", "", ".5", "5.", "1e99999", "0e99"])
    ),
    "timestamp": _quoted(_times)
    | st.integers(-(10**15), 10**15).flatmap(lambda n: st.sampled_from([str(n), f'"{n}"'])),
    "boolean": st.sampled_from(["true", "false", "0", "1", '"true"', '"0"', '"yes"']),
    "text": _texts,
    "texts": st.lists(_texts, max_size=3).map(_array) | _texts,
    "ints": st.lists(_integers | _quoted(_integers) | st.just("3"), max_size=3).map(_array),
    "json": anything,
}


def _values(column: Column) -> st.SearchStrategy[str]:
    if column.rows is not None:
        return anything | st.lists(members(column.rows).map(_object), max_size=3).map(_array)
    return _NEAR[column.kind] | anything


def members(columns: Columns) -> st.SearchStrategy[dict[str, str]]:
    """Return rows as their members: any of the columns, others besides, and values near what they should be or not."""
    known = [st.tuples(st.just(column.name), _values(column)) for column in columns.columns]
    unknown = st.tuples(_names.filter(lambda name: name not in columns.names), anything)
    return st.lists(st.one_of(*known) | unknown, max_size=12).map(dict)


def rows(columns: Columns, most: int = 4) -> st.SearchStrategy[list[dict[str, str]]]:
    return st.lists(members(columns), max_size=most)


def encoded(row: dict[str, str]) -> msgspec.Raw:
    return msgspec.Raw(_object(row).encode())
