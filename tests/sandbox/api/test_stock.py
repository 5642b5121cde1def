"""Warehouse operations: api/stock."""

from __future__ import annotations

from typing import Any

import pytest
import requests

from airflow_provider_dotypos.sandbox import Behaviour, Fault, Sandbox
from tests.patience import PATIENCE
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
        states = [requests.get(counted["statusWebhookUrl"], timeout=PATIENCE).json() for _ in range(3)]
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
            ("stockups", {"currency": "crowns"}, "currency: must be three letters"),
            ("stockups", {"_supplierId": 5}, "_supplierId: does not exist"),
            ("transfers", {"_closeDeliveryNoteIds": [5]}, "_closeDeliveryNoteIds: does not exist"),
            ("stockups", {"_closeDeliveryNoteIds": 5}, "_closeDeliveryNoteIds: must be an array"),
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

    def test_a_stock_taking_fails_as_it_is_told(self, api: Api, sandbox: Sandbox, warehouse: int, tea: int) -> None:
        url = f"{sandbox.url}/_sandbox/stock-takings"
        requests.post(url, json={"reason": "UNEXPECTED", "polls": 2}, timeout=PATIENCE)
        body = {"stockTakingDate": "2026-02-01T12:00:00Z", "items": [{"_productId": tea, "quantity": 3}]}
        counted = api("POST", f"warehouses/{warehouse}/stock-takings", json=body).json()
        assert self.outcome(counted) == ["PROCESSING", "PROCESSING", "UNEXPECTED"]
        assert sandbox.writes == []
        assert requests.post(url, json={"polls": "many"}, timeout=PATIENCE).status_code == 400
        requests.post(url, json={"polls": 0}, timeout=PATIENCE)
        counted = api("POST", f"warehouses/{warehouse}/stock-takings", json=body).json()
        assert self.outcome(counted) == ["FINISHED"] * 3

    def test_a_stock_taking_in_the_future_stops_others(
        self, api: Api, sandbox: Sandbox, cloud: int, warehouse: int, tea: int
    ) -> None:
        sandbox.shop.stock_takings[cloud, warehouse, tea] = sandbox.shop.now() + 10**9
        body = {"stockTakingDate": "2026-02-01T12:00:00Z", "items": [{"_productId": tea, "quantity": 3}]}
        counted = api("POST", f"warehouses/{warehouse}/stock-takings", json=body).json()
        assert self.outcome(counted)[1] == "PRODUCT_STOCK_TAKING_IN_FUTURE"

    @pytest.mark.parametrize(("position", "level"), [("absolute", "20"), ("dated", "16")])
    def test_a_stock_taking_of_an_earlier_date(
        self, api: Api, sandbox: Sandbox, warehouse: int, tea: int, position: str, level: str
    ) -> None:
        sandbox.behaviour = Behaviour(stock_taking=position)
        sandbox.shop.ticking = False
        base = f"warehouses/{warehouse}"
        item = {"_productId": tea, "quantity": 10}
        api("POST", f"{base}/stockups", json={"invoiceNumber": "1", "updatePurchasePrice": False, "items": [item]})
        date = sandbox.shop.now()
        sandbox.shop.advance(60)
        api("POST", f"{base}/sales", json={"items": [item | {"quantity": 4}]})
        body = {"stockTakingDate": date, "items": [item | {"quantity": 20}]}
        api("POST", f"{base}/stock-takings", json=body)
        assert self.level(api, warehouse) == level

    def test_the_status_may_be_on_another_host(self, api: Api, sandbox: Sandbox, warehouse: int, tea: int) -> None:
        sandbox.behaviour = Behaviour(status_host="foreign")
        body = {"stockTakingDate": "2026-02-01T12:00:00Z", "items": [{"_productId": tea, "quantity": 3}]}
        counted = api("POST", f"warehouses/{warehouse}/stock-takings", json=body).json()
        assert counted["statusWebhookUrl"].startswith(f"http://localhost:{sandbox.port}/")
        assert self.outcome(counted)[1] == "FINISHED"

    def test_the_log_of_writes_has_a_line_for_each_operation(
        self, api: Api, sandbox: Sandbox, warehouse: int, tea: int
    ) -> None:
        sandbox.faults.append(Fault("reset", when="after", path="/stockups"))
        body = {"invoiceNumber": "7", "updatePurchasePrice": False, "items": [{"_productId": tea, "quantity": 1}]}
        with pytest.raises(requests.ConnectionError):
            api("POST", f"warehouses/{warehouse}/stockups", json=body)
        api("POST", f"warehouses/{warehouse}/sales", json={"currency": "PLN", "items": body["items"]})
        up, sold = sandbox.writes
        assert (up.op, up.entity, up.lost, up.fields) == ("action", "stockups", True, {"currency": "CZK"} | body)
        assert (sold.entity, sold.lost, sold.fields["currency"]) == ("sales", False, "PLN")
        assert self.level(api, warehouse) == "0"

    def test_a_stock_up_closes_delivery_notes(
        self, api: Api, sandbox: Sandbox, cloud: int, warehouse: int, tea: int
    ) -> None:
        note = sandbox.shop.insert(cloud, "delivery-notes", {"status": 0})["id"]
        body = {"invoiceNumber": "7", "updatePurchasePrice": False, "items": [{"_productId": tea, "quantity": 1}]}
        api("POST", f"warehouses/{warehouse}/stockups", json=body | {"_closeDeliveryNoteIds": [note]})
        assert api("GET", f"delivery-notes/{note}").json()["status"] == "1"

    def test_operations_cannot_be_read_back(self, api: Api, warehouse: int) -> None:
        for path in ("stockups", "transfers", "sales", "stock-takings", "stock-taking-dates", "stockups/1"):
            assert api("GET", f"warehouses/{warehouse}/{path}").status_code == 405
