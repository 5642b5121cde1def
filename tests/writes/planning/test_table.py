from __future__ import annotations

import msgspec

from airflow_provider_dotypos.api.entities import find_entity
from airflow_provider_dotypos.writes.personal import hashed
from airflow_provider_dotypos.writes.plan import PlannedRow
from airflow_provider_dotypos.writes.planning.table import describe, headline, log_table, summary
from tests.writes.test_plan_file import HEADER

PRODUCTS, CUSTOMERS = find_entity("products"), find_entity("customers")

ROWS = [
    PlannedRow(
        "update", ("P-1",), 1, "5",
        {"priceWithVat": "285", "display": True}, {"priceWithVat": "299.9", "display": False},
    ),
    PlannedRow("create", ("P-2",), 2, "7", after={"name": "Beer | *dark*", "ean": ["1", "2"], "subtitle": None}),
    PlannedRow("delete", ("P-3",), 3, "8", {"name": "Old"}),
    PlannedRow("conflict", ("P-4",), 4, why="2 rows have this key"),
    PlannedRow("anonymize", ("P-5",), 5, "9", {"versionDate": "2026-03-01T12:00:00.000Z"}),
]  # fmt: skip


def test_the_log_has_a_line_for_each_field() -> None:
    assert log_table(PRODUCTS, HEADER, ROWS, 10).splitlines() == [
        "           key  field         before  after",
        "update     P-1  priceWithVat  285     299.9",
        "                display       true    false",
        "create     P-2  name                  Beer | *dark*",
        "                ean                   1, 2",
        "                subtitle              null",
        "delete     P-3",
        "conflict   P-4                        2 rows have this key",
        "anonymize  P-5",
    ]


def test_only_the_first_rows_are_shown_and_the_others_counted() -> None:
    header = msgspec.structs.replace(HEADER, counts={"rows": 900, "update": 300, "conflict": 2, "unchanged": 598})
    table = log_table(PRODUCTS, header, ROWS, 1)
    assert table.splitlines()[-1] == "… and 301 more rows, in the plan's file"
    assert "P-2" not in table


def test_long_values_and_line_breaks_do_not_break_the_table() -> None:
    row = PlannedRow("update", ("a\nb",), 1, "5", {"name": "x" * 200}, {"name": "\x1b[31mred\r\n" + "y" * 200})
    table = log_table(PRODUCTS, HEADER, [row], 10)
    assert len(table.splitlines()) == 2
    assert "\x1b" not in table
    assert max(map(len, table.splitlines())) < 140


def test_personal_data_is_marked_also_in_keys() -> None:
    header = msgspec.structs.replace(HEADER, entity="customers", match=("email",))
    row = PlannedRow(
        "update", ("jan@example.com",), 1, "5", {"phone": "+420 1", "points": "3"}, {"phone": "+420 603", "points": "5"}
    )
    for text in (log_table(CUSTOMERS, header, [row], 10), summary(CUSTOMERS, header, [row], "x", 10)):
        assert hashed("jan@example.com", HEADER.salt) in text
        assert hashed("+420 603", HEADER.salt) in text
        assert "jan@" not in text
        assert "603" not in text
        assert "points" in text


def test_the_summary_is_markdown_in_which_names_are_text() -> None:
    header = msgspec.structs.replace(HEADER, counts={"rows": 5, "update": 1, "create": 1, "delete": 1, "conflict": 1})
    assert summary(PRODUCTS, header, ROWS[1:2], headline(PRODUCTS, header, "Bar <3> (5)", None), 10).splitlines() == [
        "Bar \\<3\\> (5): 1 update, 1 create, 1 delete and 1 conflict of products. Applying takes 4 requests.",
        "",
        "|   | key | field | before | after |",
        "|---|---|---|---|---|",
        "| create | P-2 | name |  | Beer \\| \\*dark\\* |",
        "|  |  | ean |  | 1, 2 |",
        "|  |  | subtitle |  | null |",
    ]


def test_a_plan_in_words() -> None:
    assert describe(PRODUCTS, {"rows": 2, "unchanged": 2}) == "nothing to do for products; 2 are as they should be"
    assert describe(find_entity("product-ingredients"), {"update": 1200, "unchanged": 1}) == (
        "1,200 updates of product ingredients; 1 is as it should be"
    )


def test_a_plan_without_writes_has_no_price() -> None:
    header = msgspec.structs.replace(HEADER, counts={"rows": 2, "unchanged": 2}, requests={"patch": 0, "put": 0})
    assert headline(PRODUCTS, header, "Bar (5)", None) == (
        "Bar (5): nothing to do for products; 2 are as they should be."
    )
