"""Warehouse operations and POS actions."""

from __future__ import annotations

from typing import Any

import pytest
import requests

from airflow_provider_dotypos.sandbox import Sandbox
from tests.sandbox.conftest import Api, complaints


class TestStock:
    @pytest.fixture
    def warehouse(self, sandbox: Sandbox, cloud: int) -> int:
        id: int = sandbox.shop.rows(cloud, "warehouses")[0]["id"]
        return id

    @pytest.fixture
    def tea(self, sandbox: Sandbox, cloud: int) -> int:
        id: int = sandbox.shop.insert(cloud, "products", {"name": "Tea", "externalId": "TEA"})["id"]
        return id

    def level(self, api: Api, warehouse: int) -> str:
        return str(api("GET", f"warehouses/{warehouse}/products").json()["data"][0]["stockQuantityStatus"])

    def outcome(self, counted: dict[str, Any]) -> list[str]:
        states = [requests.get(counted["statusWebhookUrl"], timeout=5).json() for _ in range(3)]
        return [state["reason"] or state["status"] for state in states]

    def test_stock_up_sell_and_count(self, api: Api, warehouse: int, tea: int) -> None:
        base = f"warehouses/{warehouse}"
        assert api("GET", f"{base}/products/{tea}").status_code == 404
        items = [
            {"_productId": tea, "quantity": 10, "purchasePrice": 2.5},
            {"externalId": "TEA", "quantity": "-1"},
        ]
        up = api(
            "POST",
            f"{base}/stockups",
            json={"invoiceNumber": "1", "updatePurchasePrice": True, "items": items},
        )
        assert up.status_code == 201
        assert self.level(api, warehouse) == "9"
        assert api("GET", f"{base}/products/{tea}").json()["purchasePriceWithoutVat"] == "2.5"
        api("POST", f"{base}/sales", json={"items": [{"_productId": tea, "quantity": 4}]})
        assert self.level(api, warehouse) == "5"
        counted = api(
            "POST",
            f"{base}/stock-takings",
            json={"stockTakingDate": 1772366400000, "items": [{"_productId": tea, "quantity": 7.5}]},
        ).json()
        assert self.level(api, warehouse) == "7.5"
        assert self.outcome(counted) == ["PROCESSING", "FINISHED", "FINISHED"]
        dates = api("POST", f"{base}/stock-taking-dates", json={"_productIds": [tea]}).json()
        assert dates == [{"_productId": str(tea), "lastStockTakingDate": "2026-03-01T12:00:00.000Z"}]

    def test_one_bad_item_stops_them_all(self, api: Api, warehouse: int, tea: int) -> None:
        items = [{"_productId": tea, "quantity": 1}, {"_productId": 5, "quantity": 1}]
        body = {"invoiceNumber": "1", "updatePurchasePrice": False, "items": items}
        assert "items[1]" in complaints(api("POST", f"warehouses/{warehouse}/stockups", json=body))
        assert api("GET", f"warehouses/{warehouse}/products").status_code == 404

    def test_transfer(self, api: Api, sandbox: Sandbox, cloud: int, warehouse: int, tea: int) -> None:
        other = sandbox.shop.insert(cloud, "warehouses", {"name": "Cellar"})["id"]
        body = {
            "invoiceNumber": "1",
            "_originWarehouseId": warehouse,
            "updatePurchasePrice": False,
            "items": [{"_productId": tea, "quantity": 3}],
        }
        assert api("POST", f"warehouses/{other}/transfers", json=body).status_code == 201
        assert (self.level(api, warehouse), self.level(api, other)) == ("-3", "3")

    @pytest.mark.parametrize(
        ("product", "date", "reason"),
        [
            (5, "2026-03-01T12:00:00Z", "PRODUCT_DOES_NOT_EXIST"),
            (None, "2999-01-01T00:00:00Z", "STOCK_TAKING_DATE_IN_FUTURE"),
            (None, "2026-02-01T12:00:00Z", "PRODUCT_STOCK_TAKING_AFTER_DATE"),
        ],
    )
    def test_a_stock_taking_is_accepted_before_it_fails(
        self, api: Api, warehouse: int, tea: int, product: int | None, date: str, reason: str
    ) -> None:
        def count(product: int, date: str, quantity: int) -> dict[str, Any]:
            body = {"stockTakingDate": date, "items": [{"_productId": product, "quantity": quantity}]}
            answer = api("POST", f"warehouses/{warehouse}/stock-takings", json=body)
            assert answer.status_code == 201
            result: dict[str, Any] = answer.json()
            return result

        count(tea, "2026-02-01T12:00:00Z", 3)
        assert self.outcome(count(product or tea, date, 8)) == ["PROCESSING", reason, reason]
        assert self.level(api, warehouse) == "3"

    @pytest.mark.parametrize(
        ("operation", "change", "complaint"),
        [
            ("stockups", {"updatePurchasePrice": None}, "updatePurchasePrice: must be true or false"),
            ("transfers", {"updatePurchasePrice": "yes"}, "updatePurchasePrice: must be true or false"),
            ("stockups", {"invoiceNumber": ""}, "invoiceNumber: must not be empty"),
            (
                "stockups",
                {"items": [{"externalId": "TEA", "quantity": 1, "purchasePrice": "dear"}]},
                "must be a number",
            ),
            ("stockups", {"items": ["TEA"]}, "items: must be an array of 1 to 100 objects"),
            ("stock-takings", {"items": [{"externalId": "TEA", "quantity": 1}]}, "must have _productId"),
        ],
    )
    def test_what_an_operation_needs(
        self, api: Api, warehouse: int, tea: int, operation: str, change: dict[str, Any], complaint: str
    ) -> None:
        body = {
            "invoiceNumber": "1",
            "updatePurchasePrice": False,
            "_originWarehouseId": warehouse,
            "stockTakingDate": 1772366400000,
            "items": [{"_productId": tea, "quantity": 1}],
        }
        answer = api("POST", f"warehouses/{warehouse}/{operation}", json=body | change)
        assert complaint in complaints(answer)

    def test_operations_cannot_be_read_back(self, api: Api, warehouse: int) -> None:
        for path in ("stockups", "transfers", "sales", "stock-takings", "stock-taking-dates", "stockups/1"):
            assert api("GET", f"warehouses/{warehouse}/{path}").status_code == 405


class TestPosActions:
    def act(self, api: Api, cloud: int, **body: Any) -> dict[str, Any]:
        answer = api("POST", f"branches/{cloud + 100_000_000}/pos-actions", json=body)
        assert answer.status_code == 200
        result: dict[str, Any] = answer.json()
        return result

    def test_create_and_pay_an_order(self, api: Api, sandbox: Sandbox, cloud: int) -> None:
        tea = sandbox.shop.insert(cloud, "products", {"name": "Tea", "priceWithVat": 40.0})["id"]
        hello = self.act(api, cloud, action="order/hello")
        assert (hello["code"], hello["timezone"]) == (0, "Europe/Prague")
        items = [{"id": tea, "qty": 2}]
        created = self.act(api, cloud, **{"action": "order/create", "external-id": "web-1", "items": items})
        order = created["order"]
        assert (created["code"], order["total"], order["paid"]) == (0, 80, False)
        assert [o["id"] for o in self.act(api, cloud, action="order/list")["orders"]] == [order["id"]]
        more = self.act(api, cloud, **{"action": "order/add-item", "order-id": order["id"], "items": items})
        assert more["order"]["total"] == 160
        pay = {"action": "order/pay", "order-id": order["id"], "payment-method-id": 900000001}
        assert self.act(api, cloud, **pay)["code"] == 2006
        issue = {"action": "order/issue", "order-id": order["id"]}
        assert [self.act(api, cloud, **issue)["code"] for _ in range(2)] == [0, 2005]
        assert self.act(api, cloud, **pay)["order"]["paid"] is True
        assert self.act(api, cloud, **pay)["code"] == 2004
        row = api("GET", f"orders/{order['id']}", params={"include": "orderItems,moneyLogs"}).json()
        assert (row["externalId"], row["paid"], row["itemCount"]) == ("web-1", True, "2")
        assert sum(float(log["amount"]) for log in row["moneyLogs"]) == 160
        assert len(row["orderItems"]) == 2

    @pytest.mark.parametrize(
        ("body", "code"),
        [
            ({}, 1003),
            ({"action": "order/dance"}, 1004),
            ({"action": "order/hello", "validity": 1}, 1007),
            ({"action": "order/hello", "user-id": 5}, 1008),
            ({"action": "order/create", "table-id": 5}, 1011),
            ({"action": "order/create", "items": [{"id": 5}]}, 4001),
            ({"action": "order/create", "guest-count": "two"}, 2012),
            ({"action": "order/create-issue"}, 2003),
            ({"action": "order/pay", "order-id": 5}, 2002),
            ({"action": "order/pay", "order-id": "x"}, 1005),
        ],
    )
    def test_a_refusal_is_a_code_not_a_status(self, api: Api, cloud: int, body: dict[str, Any], code: int) -> None:
        assert self.act(api, cloud, **body)["code"] == code

    def test_an_order_outlives_a_payment_that_fails(self, api: Api, sandbox: Sandbox, cloud: int) -> None:
        tea = sandbox.shop.insert(cloud, "products", {"name": "Tea", "priceWithVat": 40.0})["id"]
        body = {"action": "order/create-issue-pay", "payment-method-id": 1, "items": [{"id": tea}]}
        assert self.act(api, cloud, **body)["code"] == 2003
        (order,) = self.act(api, cloud, action="order/list")["orders"]
        pay = {"action": "order/issue-and-pay", "order-id": order["id"], "payment-method-id": 900000001}
        assert self.act(api, cloud, **pay)["order"]["paid"] is True

    def test_with_a_webhook_the_answer_is_empty(self, api: Api, cloud: int) -> None:
        body = {"action": "order/hello", "webhook": "https://example.invalid/x"}
        answer = api("POST", f"branches/{cloud + 100_000_000}/pos-actions", json=body)
        assert (answer.status_code, answer.content) == (200, b"")
