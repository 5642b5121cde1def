"""The sales report and the manifest: api/reports."""

from __future__ import annotations

from datetime import datetime, timezone

import pytest

from airflow_provider_dotypos.api.entities import entities
from airflow_provider_dotypos.sandbox import Sandbox, Shop
from tests.sandbox.conftest import Api

NOW = datetime(2026, 3, 1, 12, tzinfo=timezone.utc)


@pytest.fixture(scope="module")
def shop() -> Shop:
    return Shop.generate(seed=3, days=14, now=NOW, orders_per_day=60)


def test_the_sales_report_agrees_with_the_orders(api: Api, sandbox: Sandbox, cloud: int, shop: Shop) -> None:
    sandbox.shop = shop
    start, end = (round(datetime(2026, 2, day, tzinfo=timezone.utc).timestamp() * 1000) for day in (20, 21))
    path = f"branches/{cloud + 100_000_000}/sales-report"
    report = api("GET", path, params={"dateFrom": "2026-02-20T00:00:00Z", "dateTo": end}).json()
    orders = [o for o in shop.rows(cloud, "orders") if o["completed"] and start <= o["completed"] < end]
    assert set(report) == set(entities()["sales-report"].fields)
    assert report["receiptInfo"][0]["count"] == len(orders) > 20
    assert report["receiptInfo"][0]["value"] == pytest.approx(sum(o["totalValueRounded"] for o in orders))
    by_product = sum(line["value"] for line in report["productSales"])
    assert report["revenue"]["totalWithVat"] == pytest.approx(by_product, abs=0.5)
    refused = api("GET", path, params={"dateFrom": "yesterday", "since": 1})
    assert {v["fieldName"] for v in refused.json()["violations"]} == {"since", "dateFrom", "dateTo"}


def test_the_report_counts_documents_that_sell_and_sums_them_exactly(api: Api, sandbox: Sandbox, cloud: int) -> None:
    branch, noon = cloud + 100_000_000, datetime(2026, 3, 29, 12, tzinfo=timezone.utc)
    orders: list[dict[str, object]] = [
        *[{"totalValueRounded": 0.1}] * 3,
        {"totalValueRounded": 1.005, "paid": False, "documentType": "INVOICE"},
        {"totalValueRounded": 5.0, "flags": 1 << 1},
        {"totalValueRounded": -5.0, "flags": 1 << 2},
        {"totalValueRounded": 100.0, "documentType": "CASH_IN"},
        {"totalValueRounded": 7.0, "documentType": "INVOICE_FROM_RECEIPTS"},
        {"totalValueRounded": 9.0, "completed": None},
        {"totalValueRounded": 11.0, "_branchId": branch + 1},
    ]
    for order in orders:
        sandbox.shop.insert(cloud, "orders", {"_branchId": branch, "completed": noon, "paid": True, **order})
    span = {"dateFrom": "2026-03-29T12:00:00Z", "dateTo": "2026-03-29T12:00:00.001Z"}
    report = api("GET", f"branches/{branch}/sales-report", params=span).json()
    assert {line["type"]: (line["value"], line["count"]) for line in report["receiptInfo"]} == {
        "total": (1.31, 6),  # 1.305, rounded once
        "cancellation": (-5.0, 1),
        "cancelled": (5.0, 1),
        "unpaid": (1.01, 1),
    }
    assert report["moneyTransactionInfo"]["saleCount"] == 5


def test_the_manifest_names_the_branches(api: Api, cloud: int) -> None:
    manifest = api("GET", "manifest").json()
    assert (manifest["cloud"]["currency"], manifest["branches"][0]["branchId"]) == (
        "CZK",
        str(cloud + 100_000_000),
    )
