"""The decoder reads the bodies that the reference gives (`tests/samples`), not only those of our own sandbox.

Tests `api/page.py`, `api/refusals.py`, `api/errors.py` and `transfers/rows/arrow.py`.
"""

from __future__ import annotations

import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec
import pytest

from airflow_provider_dotypos import exceptions as errors
from airflow_provider_dotypos.api.entities import find_entity
from airflow_provider_dotypos.api.errors import error_for
from airflow_provider_dotypos.api.page import check_page, decode_row, read_page, timestamp
from airflow_provider_dotypos.api.refusals import is_foreign
from airflow_provider_dotypos.transfers.rows.arrow import Table
from airflow_provider_dotypos.transfers.rows.columns import columns_of

SAMPLES = Path(__file__).parents[1] / "samples"
#: Entities with a sample row; the manifest is one object.
OTHERS = {"manifest", "error", "paging"}
ENTITIES = sorted(path.stem for path in SAMPLES.glob("*.json") if path.stem.split("-")[0] not in OTHERS)


def sample(name: str) -> bytes:
    return (SAMPLES / f"{name}.json").read_bytes()


def test_the_index_lists_every_sample() -> None:
    listed = {line.split(" ")[1] for line in (SAMPLES / "README.md").read_text().splitlines() if ".json |" in line}
    assert listed == {path.name for path in SAMPLES.glob("*.json")}


@pytest.mark.parametrize(
    ("name", "number", "rows", "total", "next_page"),
    [("paging", 2, 1, 250, 3), ("paging-last", 3, 1, 250, None), ("paging-empty", 1, 0, 0, None)],
)
def test_a_list_is_read_in_its_envelope(name: str, number: int, rows: int, total: int, next_page: int | None) -> None:
    page = read_page(sample(name), "versionDate")
    assert (len(page.rows), page.number, page.per_page, page.total) == (rows, number, 100, total)
    assert page.next_page == next_page


def test_a_list_of_orders_has_no_totals() -> None:
    page = read_page(sample("paging-without-totals"), "versionDate")
    assert (page.total, page.last_page, page.next_page) == (None, None, 2)


def test_an_empty_list_does_not_contradict_itself() -> None:
    assert not check_page(read_page(sample("paging-empty"), "versionDate"), 100, 1).is_full(100)


@pytest.mark.parametrize("name", ENTITIES)
def test_a_row_is_read_and_has_the_fields_of_the_entity_table(name: str) -> None:
    entity = find_entity(name)
    for cursor in entity.cursors or (None,):
        page = read_page(b"[" + sample(name) + b"]", cursor)
        row = decode_row(page.rows[0])
        assert (page.ids, page.deleted) == ([row["id"]], [False if "deleted" in row else None])
        assert page.cursors == [None if cursor is None else timestamp(row[cursor])]
    assert set(row) <= {*entity.fields, *entity.includes}


@pytest.mark.parametrize("name", ENTITIES)
def test_a_row_fits_the_columns_of_its_entity(name: str) -> None:
    entity = find_entity(name)
    included = [child for child in entity.includes if child in json.loads(sample(name))]
    table = Table(columns_of(entity, included))
    batch = table.batch([msgspec.Raw(sample(name))])
    assert +table.misfits == {}
    assert batch.num_rows == 1


def test_numbers_that_come_as_text_become_numbers() -> None:
    table = Table(columns_of(find_entity("orders"), ("orderItems", "moneyLogs")))
    order: dict[str, Any] = table.batch([msgspec.Raw(sample("orders"))]).to_pylist()[0]
    assert (order["id"], order["flags"], order["totalValueRounded"]) == (5000000000000001, 256, Decimal(100))
    assert order["orderItems"][0]["unitPriceWithoutVat"] == Decimal("41.3223140495868")
    assert order["moneyLogs"][0]["paymentTypeId"] == 900000002


@pytest.mark.parametrize(
    ("name", "kind", "reason"),
    [
        ("error-403-expired", errors.DotyposPermissionError, "ACCESS_TOKEN_EXPIRED"),
        ("error-401", errors.DotyposAuthenticationError, "INVALID_REFRESH_TOKEN"),
        ("error-403-cloud", errors.DotyposPermissionError, "CLOUD_FORBIDDEN"),
        ("error-400-violations", errors.DotyposValidationError, None),
        ("error-409", errors.DotyposConflictError, "PORTION_ALREADY_EXISTS"),
    ],
)
def test_a_refusal_is_dotypos_own_and_read(name: str, kind: type[errors.DotyposError], reason: str | None) -> None:
    body, status = sample(name), int(name.split("-")[1])
    assert not is_foreign(status, body)
    error = error_for("GET", "/v2/x", status, {}, body)
    assert type(error) is kind
    assert error.reason == reason


def test_violations_are_read_field_by_field() -> None:
    error = error_for("POST", "/v2/customers", 400, {}, sample("error-400-violations"))
    assert isinstance(error, errors.DotyposValidationError)
    assert error.violations == (
        ("flags", "must not be null"),
        (None, "vat does not match any configured tax rate"),
    )
