"""POS actions: api/pos."""

from __future__ import annotations

from typing import Any

import pytest

from airflow_provider_dotypos.sandbox import Sandbox
from tests.sandbox.conftest import Api


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
