"""The base sales report and the cloud manifest: computed, not stored."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable
from typing import Any

from fastapi import APIRouter, Request, Response

from airflow_provider_dotypos.sandbox.api.calls import answer, path_id, sandbox_of, within
from airflow_provider_dotypos.sandbox.bistro.bistro import CANCELED_FULL, CANCELLATION
from airflow_provider_dotypos.sandbox.errors import RefusedError, not_found
from airflow_provider_dotypos.sandbox.shop import wire
from airflow_provider_dotypos.sandbox.shop.query import Row
from airflow_provider_dotypos.sandbox.shop.shop import Shop

router = APIRouter()

_PARAMETERS = ("dateFrom", "dateTo", "vatPayer", "_sellerId", "lang")


@router.get("/v2/clouds/{cloud_id}/manifest", response_model=None)
async def manifest(request: Request, cloud_id: str) -> Response:
    """Return the configuration of a cloud [D2; number kind A]."""
    number = within(request, cloud_id)
    shop = sandbox_of(request).shop
    cloud = shop.cloud(number)
    assert cloud is not None
    branches = [
        {
            "branchId": str(branch["id"]),
            "name": branch["name"],
            "isLicensed": True,
            "features": ["posAction"],
            "stockDeductionMode": "documentIssue",
        }
        for branch in shop.rows(number, "branches")
        if not branch["deleted"]
    ]
    return answer(
        {
            "cloud": {
                "name": cloud["name"],
                "countryCode": cloud["country"],
                "currency": shop.currency(number),
                "stockConfiguration": {"mode": "avg_purchase_price"},
                "customerConfiguration": {"useAccounts": True, "usePoints": True},
            },
            "multicloud": {
                "parentCloudId": None,
                "config": {"fullTableSync": [], "customerAccountSource": "local"},
                "connectedCloudIds": [],
            },
            "branches": branches,
        }
    )


@router.get("/v2/clouds/{cloud_id}/branches/{branch_id}/sales-report", response_model=None)
async def sales_report(request: Request, cloud_id: str, branch_id: str) -> Response:
    """Return what a branch sold between two times, from its orders [D2]."""
    number, branch = within(request, cloud_id), path_id(branch_id, "branch")
    sandbox, params = sandbox_of(request), request.query_params
    faults: list[tuple[str | None, str]] = [
        (name, "unknown query parameter") for name in params if name not in _PARAMETERS
    ]
    edges = {}
    for name in ("dateFrom", "dateTo"):
        try:
            edges[name] = wire.read_time(params.get(name, ""))
        except ValueError as error:
            faults.append((name, str(error)))
    if faults:
        raise RefusedError(400, violations=faults)
    row = sandbox.shop.get(number, "branches", branch)
    if row is None:
        raise not_found(f"branch {branch}")
    with sandbox.shop.lock:
        figures = _figures(sandbox.shop, number, row, edges["dateFrom"], edges["dateTo"])
    times = {"created": sandbox.shop.now(), "from": edges["dateFrom"], "to": edges["dateTo"]}
    return answer({k: wire.write_time(v, sandbox.behaviour) for k, v in times.items()} | figures)


def _figures(shop: Shop, cloud_id: int, branch: Row, start: int, end: int) -> dict[str, Any]:
    """Compute the report. Its numbers are real numbers, and a rate is a multiplier [U, both]."""
    orders = [
        o
        for o in shop.rows(cloud_id, "orders")
        if o["_branchId"] == branch["id"] and o["completed"] is not None and start <= o["completed"] < end
    ]
    items = [i for o in orders for i in shop.table(cloud_id, "order-items").children(o["id"])]
    logs = [log for o in orders for log in shop.table(cloud_id, "money-logs").children(o["id"])]
    cancelling = [o for o in orders if o["flags"] & CANCELLATION]
    sales = [o for o in orders if not o["flags"] & CANCELLATION]
    currency = shop.currency(cloud_id)
    names: dict[str, dict[int, str]] = {
        entity: {row["id"]: row["name"] for row in shop.rows(cloud_id, entity)}
        for entity in ("categories", "employees")
    }
    total, net = _sum(items, "totalPriceWithVat"), _sum(items, "totalPriceWithoutVat")
    sold, back = _sum(sales, "totalValueRounded"), _sum(cancelling, "totalValueRounded")
    transactions: dict[str, Any] = {"currency": currency}
    values = {
        "sale": (len(sales), sold),
        "cancel": (len(cancelling), back),
        "cashAdvance": (0, 0),
        "cashIn": (0, 0),
        "cashOut": (0, 0),
    }
    for name, (count, value) in values.items():
        transactions |= {
            f"{name}Count": count,
            f"{name}Value": value,
            f"raw{name[0].upper()}{name[1:]}Value": value,
        }
    return {
        "registerName": branch["name"],
        "moneyTransactionInfo": transactions,
        "revenue": {
            "totalWithVat": total,
            "totalVat": round(total - net, 2),
            "totalWithoutVat": net,
            "vatInfo": [
                {
                    "rate": rate,
                    "base": _sum(part, "totalPriceWithoutVat"),
                    "special": False,
                    "value": round(_sum(part, "totalPriceWithVat") - _sum(part, "totalPriceWithoutVat"), 2),
                }
                for rate, part in _grouped(items, lambda i: i["vat"])
            ],
            "paymentTypeInfo": [
                {
                    "typeId": kind,
                    "count": len(part),
                    "total": _sum(part, "amount"),
                    "rawTotal": _sum(part, "amount"),
                    "currency": currency,
                }
                for kind, part in _grouped(logs, lambda log: log["paymentTypeId"])
            ],
        },
        "discounts": [],
        "cashInOutTransactions": [],
        "categorySales": [
            {"id": id, "name": names["categories"].get(id, "")} | _sales(part)
            for id, part in _grouped(items, lambda i: i["_categoryId"])
        ],
        "productSales": [
            {
                "id": id,
                "name": part[0]["name"],
                "categoryId": part[0]["_categoryId"],
                "count": _sum(part, "quantity"),
                "unit": part[0]["unit"],
            }
            | _sales(part)
            for id, part in _grouped(items, lambda i: i["_productId"])
        ],
        "tagSales": [],
        "employeeSales": [
            {"id": id, "name": names["employees"].get(id, "")} | _sales(part)
            for id, part in _grouped(items, lambda i: i["_employeeId"])
        ],
        "customerSales": [],
        "proxySales": [],
        "takeawaySales": [],
        "fiscalizationSales": [],
        "receiptInfo": [
            {"type": "total", "value": round(sold + back, 2), "count": len(orders)},
            {"type": "cancellation", "value": back, "count": len(cancelling)},
            {
                "type": "cancelled",
                "value": _sum([o for o in sales if o["flags"] & CANCELED_FULL], "totalValueRounded"),
                "count": sum(1 for o in sales if o["flags"] & CANCELED_FULL),
            },
        ],
        "employeePayments": [],
        "employeeTips": [],
        "paymentMethodTips": [],
        "writeoffs": [],
    }


def _sales(items: list[Row]) -> dict[str, float]:
    with_vat, without = _sum(items, "totalPriceWithVat"), _sum(items, "totalPriceWithoutVat")
    bought = round(sum(i["unitPurchasePrice"] * i["quantity"] for i in items), 2)
    return {
        "value": with_vat,
        "valueWithoutNonPurchase": with_vat,
        "purchaseValue": bought,
        "valueWithoutVAT": without,
        "valueWithoutNonPurchaseWithoutVAT": without,
        "purchaseValueWithoutVAT": bought,
    }


def _sum(rows: Iterable[Row], field: str) -> float:
    return float(round(sum(row[field] for row in rows), 2))


def _grouped(rows: Iterable[Row], key: Callable[[Row], Any]) -> list[tuple[Any, list[Row]]]:
    groups: dict[Any, list[Row]] = defaultdict(list)
    for row in rows:
        groups[key(row)].append(row)
    return sorted(groups.items())
