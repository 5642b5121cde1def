"""What bodies of deliveries say: the reference's keys, and everything else that can be sent."""

from __future__ import annotations

import json
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_dotypos.api.watch import digest
from airflow_provider_dotypos.api.webhooks import PAYLOADS
from airflow_provider_dotypos.webhooks.bodies import BadBodyError, DeliveredRow, read_body

CHANGED = 1_790_000_000_123
RECEIVED = CHANGED + 2_000

#: Records as the reference and clients' tests show them [D, C1].
RECORDS: dict[str, dict[str, Any]] = {
    "orders": {
        "orderid": 9007199254740993,
        "branchid": 111,
        "cloudid": 310101001,
        "created": CHANGED - 5_000,
        "itemcount": 3,
        "totalvaluerounded": 149.0,
        "paid": 1,
        "parked": 0,
        "note": None,
        "versiondate": CHANGED,
    },
    "products": {
        "productid": 2410,
        "categoryid": 3,
        "name": "Káva",
        "ean": None,
        "pricewithvat": 49.5,
        "deleted": 0,
        "versiondate": CHANGED,
    },
    "reservations": {
        "reservationid": "77",
        "branchid": 111,
        "cloudid": "310101001",
        "taglist": None,
        "status": 2,
        "deleted": 0,
        "versiondate": CHANGED,
    },
    "customers": {"customerid": 5, "versiondate": CHANGED},
    "warehouse-products": {
        "stocklogid": "2.41E+15",
        "product_id": 2410,
        "warehouseid": 8,
        "quantity": "-1.0",
        "quantitystatus": "41.0",
        "transactiontype": "SALE",
        "versiondate": CHANGED,
    },
}


def read(*records: dict[str, Any], entity: str = "products") -> list[DeliveredRow]:
    return read_body(json.dumps(records).encode(), entity, RECEIVED)


def one(**changes: Any) -> DeliveredRow:
    (row,) = read({**RECORDS["products"], **changes})
    return row


@pytest.mark.parametrize("entity", PAYLOADS)
def test_each_payload_names_its_row(entity: str) -> None:
    (row,) = read(RECORDS[entity], entity=entity)
    field = PAYLOADS[entity].id
    assert row.changed == CHANGED
    assert row.id == (None if field is None else str(RECORDS[entity][field]))
    assert row.digest is not None


@pytest.mark.parametrize("value", [2410, "2410"])
def test_an_id_is_a_number_or_a_text(value: object) -> None:
    assert one(productid=value) == DeliveredRow("2410", CHANGED, digest("2410", CHANGED))


def test_a_time_is_a_number_or_a_text() -> None:
    assert one(versiondate=str(CHANGED)) == one()


def test_an_id_keeps_all_its_digits() -> None:
    assert one(productid=9223372036854775807).id == "9223372036854775807"


@pytest.mark.parametrize(
    "value", [2.41e15, "2.41e+15", "2.41E15", 24.0, "24.0", -5, "-5", "", " 24", "0", 0, "0x24", "٢٤", "24\n", "9" * 20]
)
def test_an_id_that_may_have_lost_digits_is_none(value: object) -> None:
    assert one(productid=value).id is None


@pytest.mark.parametrize("value", [None, True, [], {}, [2410]])
def test_an_id_of_another_kind_is_none(value: object) -> None:
    assert one(productid=value).id is None


def test_a_row_without_an_id_is_known_again_by_all_of_it() -> None:
    lost = {"productid": "2.41e+15"}
    assert one(**lost).digest == one(**lost).digest
    assert one(**lost).digest != one(**lost, name="Čaj").digest


def test_a_row_of_a_whole_second_is_known_again_by_all_of_it() -> None:
    """Its time may have been cut, so that two changes of the row have it."""
    second = {"versiondate": CHANGED - 123}
    assert one(**second).digest == one(**second).digest
    assert one(**second).digest != one(**second, pricewithvat=51.0).digest
    assert one().digest == one(pricewithvat=51.0).digest


@pytest.mark.parametrize(
    "value",
    [None, "", "soon", True, 1.79e12, CHANGED / 1000, CHANGED // 1000, -CHANGED, RECEIVED + 90_000_000, "9" * 5000],
)
def test_a_row_without_its_time_is_never_known_again(value: object) -> None:
    """An equal row may be another change: a price that was changed there and back."""
    assert one(versiondate=value) == DeliveredRow(None, None, None)


def test_names_are_in_lower_case() -> None:
    assert read({"productId": 5, "versionDate": CHANGED}) == [DeliveredRow(None, None, None)]


def test_an_empty_array_names_no_row() -> None:
    assert read() == []


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{}",
        b"null",
        b"5",
        b'"x"',
        b"[5]",
        b"[{}, null]",
        b"[[]]",
        b"[{}",
        b"[{}] x",
        b"\xff\xfe\x00",
        b"[{'a': 1}]",
        b'{"code": 0, "idempotency-key": "x"}',
        b"\x1f\x8b\x08\x00",
        b"[" * 100_000,
        b'[{"a":' * 100_000,
        b"[" * 50_000 + b"]" * 50_000,
    ],
    ids=lambda body: repr(body[:12]),
)
def test_anything_else_is_refused(body: bytes) -> None:
    with pytest.raises(BadBodyError):
        read_body(body, "products", RECEIVED)


@pytest.mark.parametrize("depth", range(100, 1500, 50))
def test_any_depth_is_read_or_refused(depth: int) -> None:
    body = f'[{{"versiondate": {CHANGED}, "a": {"[" * depth + "]" * depth}}}]'.encode()
    with suppress(BadBodyError):  # from some depth on
        assert read_body(body, "products", RECEIVED)[0].changed == CHANGED


def test_a_number_of_a_million_digits_costs_nothing() -> None:
    body = b'[{"productid": ' + b"9" * 1_000_000 + b', "versiondate": ' + str(CHANGED).encode() + b"}]"
    (row,) = read_body(body, "products", RECEIVED)
    assert (row.id, row.changed) == (None, CHANGED)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
)


@given(rows=st.lists(st.dictionaries(st.sampled_from(["productid", "versiondate", "x"]), JSON), max_size=3))
def test_any_record_gives_a_row(rows: list[dict[str, Any]]) -> None:
    assert len(read(*rows)) == len(rows)


@given(body=st.binary(max_size=40))
def test_any_bytes_are_read_or_refused(body: bytes) -> None:
    with suppress(BadBodyError):  # mostly
        assert isinstance(read_body(body, "products", RECEIVED), list)
