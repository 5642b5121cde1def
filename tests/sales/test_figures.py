"""Which rows count, and which figures of a report they are compared with."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

import pytest

from airflow_provider_dotypos.exceptions import DotyposInputError, DotyposResponseError
from airflow_provider_dotypos.sales.figures import NO_SALES, RowChoice, difference, find_figures, shown, total

ORDERS, ITEMS = find_figures("orders"), find_figures("order-items")

REPORT = (
    b'{"created": "2026-01-16T05:00:00.000Z", "registerName": "Jana", "receiptInfo": ['
    b'{"type": "cancelled", "value": 7, "count": 1}, {"type": "total", "value": %s, "count": %s}], '
    b'"revenue": {"totalWithVat": %s, "totalVat": 17.36, "totalWithoutVat": 82.64, "vatInfo": []}}'
)


@pytest.mark.parametrize("number", [b"12345678901234567.89", b'"12345678901234567.89"'])
def test_a_reports_numbers_are_read_exactly_as_text_or_as_numbers(number: bytes) -> None:
    report = REPORT % (number, b'"3"' if number.startswith(b'"') else b"3", number)
    assert ORDERS.read(report) == (Decimal("12345678901234567.89"), 3)
    assert ITEMS.read(report) == (Decimal("12345678901234567.89"), Decimal("82.64"))


def test_without_sales_there_may_be_no_line() -> None:
    assert ORDERS.read(b'{"receiptInfo": []}') == (0, 0)


@pytest.mark.parametrize(
    "report", [b"", b"[]", b"{}", b'{"receiptInfo": null}', b'{"receiptInfo": [{"type": "total"}]}']
)
def test_a_report_without_figures_is_an_error_that_shows_none_of_its_text(report: bytes) -> None:
    for figures in (ORDERS, ITEMS):
        with pytest.raises(DotyposResponseError, match="without figures") as caught:
            figures.read(report)
        assert caught.value.__context__ is None
    with pytest.raises(DotyposResponseError) as caught:
        ORDERS.read(json.dumps({"receiptInfo": "Jana"}).encode())
    assert "Jana" not in str(caught.value)


def test_sums_are_exact() -> None:
    huge, tiny = Decimal("9" * 38), Decimal("1e-18")
    summed = total([(huge, tiny), (tiny, huge)], 2)
    assert shown(summed[0]) == "9" * 38 + "." + "0" * 17 + "1"
    assert shown(difference(summed, (huge, huge))[0]) == "0." + "0" * 17 + "1"
    assert total([], 2) == (0, 0)


def test_amounts_are_shown_without_needless_zeros() -> None:
    texts = {"485.000000000000000000": "485", "0.10": "0.1", "1E+3": "1000", "-0.5": "-0.5", "100": "100"}
    assert {amount: shown(Decimal(amount)) for amount in texts} == texts


def test_only_sums_of_what_is_not_rounded_are_rounded() -> None:
    amounts = (Decimal("41.325"), Decimal("1.00499999"))
    assert ORDERS.as_report(amounts, (Decimal(41), Decimal(1))) == amounts
    assert ITEMS.as_report(amounts, (Decimal(41), Decimal(1))) == (Decimal("41.33"), Decimal("1.00"))
    assert ITEMS.as_report(amounts, (Decimal("41.3250"), Decimal(1)))[0] == Decimal("41.325")


def choice(**arguments: Any) -> RowChoice:
    return RowChoice.of(ORDERS, **{"document_types": None, "count_canceled": True, "count_unpaid": True, **arguments})


def test_all_documents_that_sell_count_by_default() -> None:
    assert all(choice().counts(kind, 256, True) for kind in ("RECEIPT", "INVOICE", "CORRECTIVE_INVOICE", "NEW", None))
    assert not any(choice().counts(kind, 256, True) for kind in NO_SALES)
    assert all(choice().counts("RECEIPT", flags, paid) for flags in (None, 0, 2, 4, "260") for paid in (True, False))


def test_what_counts_can_be_chosen() -> None:
    receipts = choice(document_types="RECEIPT, INVOICE")
    assert [receipts.counts(kind, 0, True) for kind in ("RECEIPT", "INVOICE", "OTHER")] == [True, True, False]
    assert choice(document_types=["CASH_IN"]).counts("CASH_IN", 0, True)
    living = choice(count_canceled=False)
    assert [living.counts("RECEIPT", flags, True) for flags in (256, 257, 258, 260, "260")] == [
        *(True, True),  # cancelled in part
        *(False, False, False),
    ]
    assert [choice(count_unpaid=False).counts("RECEIPT", 0, paid) for paid in (True, 1, False, 0, None)] == [
        *(True, True),
        *(False, False, False),
    ]


def test_items_do_not_show_their_document() -> None:
    assert RowChoice.of(ITEMS, None, count_canceled=True, count_unpaid=True).counts()
    for changed in ({"document_types": ["RECEIPT"]}, {"count_canceled": False}, {"count_unpaid": False}):
        given: Any = {"document_types": None, "count_canceled": True, "count_unpaid": True, **changed}
        with pytest.raises(DotyposInputError, match="are for orders"):
            RowChoice.of(ITEMS, **given)


def test_other_entities_are_in_no_report() -> None:
    with pytest.raises(DotyposInputError, match="did you mean 'order-items'"):
        find_figures("order-item")
