"""POS actions: api/pos."""

from __future__ import annotations

from typing import Any

import pytest

from airflow_provider_dotypos.sandbox import Behaviour, Sandbox
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
        assert (created["code"], order["price-total"], order["paid"]) == (0, 80, False)
        assert [o["order"]["id"] for o in self.act(api, cloud, action="order/list")["orders"]] == [order["id"]]
        more = self.act(api, cloud, **{"action": "order/add-item", "order-id": order["id"], "items": items})
        assert more["order"]["price-total"] == 160
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
        (order,) = (shown["order"] for shown in self.act(api, cloud, action="order/list")["orders"])
        pay = {"action": "order/issue-and-pay", "order-id": order["id"], "payment-method-id": 900000001}
        assert self.act(api, cloud, **pay)["order"]["paid"] is True

    def test_split_and_move_on(self, api: Api, sandbox: Sandbox, cloud: int) -> None:
        tea = sandbox.shop.insert(cloud, "products", {"name": "Tea", "priceWithVat": 40.0})["id"]
        whole = self.act(api, cloud, action="order/create", items=[{"id": tea, "qty": 3}])
        split = {"action": "order/split", "order-id": whole["order"]["id"], "external-id": "half"}
        assert self.act(api, cloud, **split)["code"] == 2013
        parts = [{"id": whole["items"][0]["id"], "qty": 2}]
        half = self.act(api, cloud, **split, **{"split-items": parts})
        assert (half["order"]["external-id"], half["items"][0]["qty"]) == ("half", 2)
        assert self.act(api, cloud, **split, **{"split-items": parts})["code"] == 5002
        assert self.act(api, cloud, **split, **{"split-items": [{"id": 5, "qty": 1}]})["code"] == 5001
        move = {"action": "order/perform-status-transition", "order-id": half["order"]["id"]}
        moved = self.act(api, cloud, **move, **{"status-transition": "prepare_to_pickup"})
        assert moved["order"]["status"] == "ready_to_pickup"
        assert self.act(api, cloud, **move, **{"status-transition": "complete_delivery"})["code"] == 6002
        assert self.act(api, cloud, **move, **{"status-transition": "fly"})["code"] == 6001
        printed = self.act(api, cloud, action="order/sk/print-last-document")
        assert (printed["resultCode"], "code" in printed) == (1, False)

    @pytest.mark.parametrize(("unit", "seconds"), [("s", 1), ("ms", 1000)])
    def test_the_unit_of_a_validity_is_a_switch(
        self, api: Api, sandbox: Sandbox, cloud: int, unit: str, seconds: int
    ) -> None:
        sandbox.behaviour = Behaviour(pos_validity=unit)
        now = sandbox.shop.now() // 1000
        answers = [self.act(api, cloud, action="order/hello", validity=(now + late) * seconds) for late in (9, -9)]
        assert [answer["code"] for answer in answers] == [0, 1007]
        assert answers[1]["deviceTimestamp"] >= now * 1000

    @pytest.mark.parametrize(("position", "orders"), [("echoed", 2), ("honoured", 1)])
    def test_a_key_may_keep_an_action_from_coming_twice(
        self, api: Api, sandbox: Sandbox, cloud: int, position: str, orders: int
    ) -> None:
        sandbox.behaviour = Behaviour(idempotency_key=position)
        body = {"action": "order/create", "idempotency-key": position}
        answers = [self.act(api, cloud, **body) for _ in range(2)]
        assert len({answer["order"]["id"] for answer in answers}) == orders
        assert [write.entity for write in sandbox.writes] == ["order/create"] * orders

    def test_a_till_answers_what_it_is_told_to(self, api: Api, sandbox: Sandbox, cloud: int) -> None:
        sandbox.till_codes += [3001, 0]
        assert self.act(api, cloud, action="order/hello")["code"] == 0
        assert [self.act(api, cloud, action="order/create")["code"] for _ in range(3)] == [3001, 0, 0]

    def test_with_a_webhook_the_answer_is_empty(self, api: Api, cloud: int) -> None:
        body = {"action": "order/hello", "webhook": "https://example.invalid/x"}
        answer = api("POST", f"branches/{cloud + 100_000_000}/pos-actions", json=body)
        assert (answer.status_code, answer.content) == (200, b"")
