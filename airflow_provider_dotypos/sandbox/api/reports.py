"""The base sales report and the cloud manifest: computed, not stored."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from decimal import ROUND_HALF_UP, Context, Decimal, localcontext
from typing import Any

from fastapi import APIRouter, Request, Response

from airflow_provider_dotypos.sandbox.api import wire
from airflow_provider_dotypos.sandbox.api.calls import answer, path_id, state_of, within
from airflow_provider_dotypos.sandbox.bistro.bistro import CANCELED_FULL, CANCELLATION
from airflow_provider_dotypos.sandbox.errors import RefusedError, Violation, not_found
from airflow_provider_dotypos.sandbox.shop.rows import Rows
from airflow_provider_dotypos.sandbox.shop.table import Row

router = APIRouter()

_PARAMETERS = ("dateFrom", "dateTo", "vatPayer", "_sellerId", "lang")
#: Parts of the report for what the bistros don't do.
_EMPTY = (
    *("discounts", "cashInOutTransactions", "tagSales", "customerSales", "proxySales", "takeawaySales"),
    *("fiscalizationSales", "employeePayments", "employeeTips", "paymentMethodTips", "writeoffs"),
)
#: Documents that sell something [A]: the others move cash, or repeat what receipts have sold.
_SALES = frozenset({"RECEIPT", "INVOICE", "CORRECTIVE_INVOICE"})
#: Sums are exact, and rounded once.
_EXACT, _CENT = Context(prec=60, rounding=ROUND_HALF_UP), Decimal("0.01")


@router.get("/v2/clouds/{cloud_id}/manifest", response_model=None)
async def manifest(request: Request, cloud_id: str) -> Response:
    """Return the configuration of a cloud [D2; number kind A]."""
    number = within(request, cloud_id)
    shop = state_of(request).shop
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
    state, params = state_of(request), request.query_params
    violations: list[Violation] = [(name, "unknown query parameter") for name in params if name not in _PARAMETERS]
    edges = {}
    for name in ("dateFrom", "dateTo"):
        try:
            edges[name] = wire.read_time(params.get(name, ""))
        except ValueError as error:
            violations.append((name, str(error)))
    if violations:
        raise RefusedError(400, violations=violations)
    row = state.shop.get(number, "branches", branch)
    if row is None:
        raise not_found(f"branch {branch}")
    with state.shop.lock:
        figures = _figures(state.shop, number, row, edges["dateFrom"], edges["dateTo"])
    times = {"created": state.shop.now(), "from": edges["dateFrom"], "to": edges["dateTo"]}
    return answer({k: wire.write_time(v, state.behaviour) for k, v in times.items()} | figures)


def _figures(shop: Rows, cloud_id: int, branch: Row, start: int, end: int) -> dict[str, Any]:
    """Compute the report. Its numbers are real numbers, and a rate is a multiplier [U, both]."""
    orders = [
        order
        for order in shop.rows(cloud_id, "orders")
        if order["_branchId"] == branch["id"] and order["documentType"] in _SALES
        if order["completed"] is not None and start <= order["completed"] < end
    ]
    items, logs = (
        [child for order in orders for child in shop.table(cloud_id, entity).children(order["id"])]
        for entity in ("order-items", "money-logs")
    )
    cancellations = [order for order in orders if order["flags"] & CANCELLATION]
    sales = [order for order in orders if not order["flags"] & CANCELLATION]
    cancelled = [order for order in sales if order["flags"] & CANCELED_FULL]
    unpaid = [order for order in sales if not order["paid"]]
    currency = shop.currency(cloud_id)
    transactions: dict[str, Any] = {"currency": currency}
    for name, part in (
        ("sale", sales),
        ("cancel", cancellations),
        ("cashAdvance", []),
        ("cashIn", []),
        ("cashOut", []),
    ):
        value = _sum(part, "totalValueRounded")
        raw = f"raw{name[0].upper()}{name[1:]}Value"
        transactions |= {f"{name}Count": len(part), f"{name}Value": value, raw: value}
    total, net = _sum(items, "totalPriceWithVat"), _sum(items, "totalPriceWithoutVat")
    return {name: [] for name in _EMPTY} | {
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
                for rate, part in _grouped(items, "vat")
            ],
            "paymentTypeInfo": [
                {"typeId": kind, "count": len(part), "total": amount, "rawTotal": amount, "currency": currency}
                for kind, part in _grouped(logs, "paymentTypeId")
                for amount in [_sum(part, "amount")]
            ],
        },
        "categorySales": _named_sales(shop, cloud_id, "categories", items, "_categoryId"),
        "productSales": [
            {
                "id": id,
                "name": part[0]["name"],
                "categoryId": part[0]["_categoryId"],
                "count": _sum(part, "quantity"),
                "unit": part[0]["unit"],
            }
            | _sales(part)
            for id, part in _grouped(items, "_productId")
        ],
        "employeeSales": _named_sales(shop, cloud_id, "employees", items, "_employeeId"),
        "receiptInfo": [
            {"type": kind, "value": _sum(part, "totalValueRounded"), "count": len(part)}
            for kind, part in (
                ("total", orders),
                ("cancellation", cancellations),
                ("cancelled", cancelled),
                ("unpaid", unpaid),
            )
        ],
    }


def _named_sales(shop: Rows, cloud_id: int, entity: str, items: list[Row], field: str) -> list[dict[str, Any]]:
    """Return the sales of each row of `entity` that the `field` of items refers to."""
    names = {row["id"]: row["name"] for row in shop.rows(cloud_id, entity)}
    return [{"id": id, "name": names.get(id, "")} | _sales(part) for id, part in _grouped(items, field)]


def _sales(items: list[Row]) -> dict[str, float]:
    with_vat, without = _sum(items, "totalPriceWithVat"), _sum(items, "totalPriceWithoutVat")
    bought = round(sum(item["unitPurchasePrice"] * item["quantity"] for item in items), 2)
    return {
        "value": with_vat,
        "valueWithoutNonPurchase": with_vat,
        "purchaseValue": bought,
        "valueWithoutVAT": without,
        "valueWithoutNonPurchaseWithoutVAT": without,
        "purchaseValueWithoutVAT": bought,
    }


def _sum(rows: Iterable[Row], field: str) -> float:
    """Return the sum of a field as rows show it, in hundredths."""
    with localcontext(_EXACT):
        whole = sum((Decimal(wire.write_number(row[field])) for row in rows), Decimal(0))
        return float(whole.quantize(_CENT))


def _grouped(rows: Iterable[Row], field: str) -> list[tuple[Any, list[Row]]]:
    groups: dict[Any, list[Row]] = defaultdict(list)
    for row in rows:
        groups[row[field]].append(row)
    return sorted(groups.items())
