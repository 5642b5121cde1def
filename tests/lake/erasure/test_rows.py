from __future__ import annotations

import json
from collections import Counter
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_dotypos.api.entities import find_entity
from airflow_provider_dotypos.lake.erasure.person import Person, reach_of
from airflow_provider_dotypos.lake.erasure.rows import RowEraser
from tests.lake.persons import HER, MARK, OTHER, marked_row

REACHED = reach_of().entities


def edited(entity: str, row: Any, *, person: Person | None = None) -> tuple[Any, Counter[str]]:
    eraser = RowEraser(person or Person(HER))
    given_row = row if isinstance(row, msgspec.Raw) else msgspec.Raw(json.dumps(row, ensure_ascii=False).encode())
    return msgspec.json.decode(eraser.edit(entity, given_row)), eraser.fields


@pytest.mark.parametrize("entity", REACHED)
def test_every_marked_field_of_a_row_of_theirs_is_blank_and_nothing_else(entity: str) -> None:
    row = marked_row(entity)
    whose = Person(HER)
    whose.theirs[entity].add(row["id"])
    new, fields = edited(entity, row, person=whose)
    known = find_entity(entity).fields
    assert MARK not in json.dumps(new)
    assert new == {
        name: value
        if not known[name].personal
        else []
        if known[name].type.endswith("[]")
        else None
        if known[name].nullable
        else ""
        for name, value in row.items()
    }
    assert set(fields) == {name for name, field in known.items() if field.personal}


def test_what_is_blank_already_stays_as_it_is() -> None:
    row = msgspec.Raw(
        b'{ "id":"4000000000000007", "firstName": "",  "lastName":"anonymized","tags":[],"birthday":null }'
    )
    assert RowEraser(Person(HER)).edit("customers", row) is row
    once = RowEraser(Person(HER)).edit("customers", msgspec.Raw(json.dumps(marked_row("customers")).encode()))
    assert RowEraser(Person(HER)).edit("customers", once) is once


def test_rows_of_others_keep_their_bytes() -> None:
    row = msgspec.Raw(b'{ "id":"4000000000000008", "firstName": "Jana",\r\n "new":1}')
    assert RowEraser(Person(HER)).edit("customers", row) is row


def test_fields_that_nobody_knows_are_removed_from_rows_of_theirs() -> None:
    new, fields = edited("customers", {"id": HER, "loyalty": {"name": MARK}, "points": "7", "x": None})
    assert new == {"id": HER, "points": "7"}
    assert fields == {"_unknown": 2}


def test_values_that_do_not_fit_do_not_stay_unless_they_are_numbers_or_references() -> None:
    odd = {"points": MARK, "hexColor": {"a": MARK}, "deleted": MARK, "versionDate": MARK}
    stays = {"id": HER, "points": 12.5, "hexColor": "blue", "deleted": "true", "versionDate": "2026-03-01T10:00:00Z"}
    new, fields = edited("customers", {"id": HER, **odd})
    assert new == {"id": HER, **dict.fromkeys(odd)}
    assert fields == dict.fromkeys(odd, 1)
    assert edited("customers", new) == (new, {})
    assert edited("customers", stays) == (stays, {})
    order = {"id": "5", "_customerId": [HER], "_branchId": [MARK], "documentNumber": [MARK]}
    assert edited("orders", order)[0] == {**order, "_branchId": None, "documentNumber": None}


def test_of_a_field_that_a_line_has_twice_no_value_stays() -> None:
    items = f'[{{"id":"51","note":"{MARK}","note":null}}]'
    row = f'{{"id":"5","_customerId":{HER},"note":"{MARK}","note":null,"orderItems":{items}}}'
    new, fields = edited("orders", msgspec.Raw(row.encode()))
    assert new == {"id": "5", "_customerId": int(HER), "note": None, "orderItems": [{"id": "51", "note": None}]}
    assert fields == {"note": 1, "orderItems.note": 1}
    other = msgspec.Raw(row.replace(HER, OTHER).encode())
    assert RowEraser(Person(HER)).edit("orders", other) is other


def test_nested_rows_of_theirs_lose_their_data_and_others_keep_their_bytes() -> None:
    items = [{"id": "51", "_customerId": HER, "note": MARK}, {"id": "52", "note": "stays"}, "odd"]
    order = {"id": "5", "_customerId": OTHER, "note": "stays", "new": 1, "orderItems": items, "moneyLogs": None}
    new, fields = edited("orders", order)
    assert new == {**order, "orderItems": [{"id": "51", "_customerId": HER, "note": ""}, items[1], "odd"]}
    assert fields == {"orderItems.note": 1}
    new, fields = edited("orders", {**order, "_customerId": HER})
    assert new["orderItems"] == [{"id": "51", "_customerId": HER, "note": ""}, {"id": "52", "note": ""}]
    assert (new["note"], new["moneyLogs"], "new" in new) == (None, None, False)
    assert fields == {"note": 1, "_unknown": 1, "orderItems.note": 2, "orderItems": 1}


@pytest.mark.parametrize("odd", ["Jana", {"note": "Jana"}, 7, [["Jana"]], ["Jana", None]], ids=str)
def test_what_is_no_list_of_rows_does_not_stay_in_a_row_of_theirs(odd: Any) -> None:
    new, _ = edited("orders", {"id": "5", "_customerId": HER, "orderItems": odd})
    assert new["orderItems"] == []
    other = {"id": "5", "_customerId": OTHER, "orderItems": odd}
    assert edited("orders", other)[0] == other


def test_bytes_that_are_not_utf_8_are_taken_out_too() -> None:
    row = msgspec.Raw(b'{"id":"4000000000000007","firstName":"Jan\xff","\xff":1,"points":"7"}')
    new = RowEraser(Person(HER)).edit("customers", row)
    assert bytes(new) == b'{"id":"4000000000000007","firstName":"","points":"7"}'


@given(value=st.text(min_size=1).filter(lambda text: text not in ("anonymized",)))
def test_no_text_survives(value: str) -> None:
    new, fields = edited("customers", {"id": HER, "firstName": value, "hexColor": value})
    assert new == {"id": HER, "firstName": "", "hexColor": value}
    assert fields == {"firstName": 1}
