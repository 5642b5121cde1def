"""POS actions, and the register that they go through to.

Tests `sandbox/api/pos`, `sandbox/api/device`.
"""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import requests

from airflow_provider_dotypos.sandbox import Behaviour, Fault, Sandbox
from tests.patience import PATIENCE
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
            ({"action": ["order/create"]}, 1005),
            ({"action": "order/create", "items": 1}, 1005),
            ({"action": "order/create", "items": [1]}, 1005),
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
        sandbox.device.codes += [3001, 0]
        assert self.act(api, cloud, action="order/hello")["code"] == 0
        assert [self.act(api, cloud, action="order/create")["code"] for _ in range(3)] == [3001, 0, 0]

    def test_with_a_webhook_the_answer_is_empty(self, api: Api, cloud: int) -> None:
        body = {"action": "order/hello", "webhook": "https://example.invalid/x"}
        answer = api("POST", f"branches/{cloud + 100_000_000}/pos-actions", json=body)
        assert (answer.status_code, answer.content) == (200, b"")

    def test_with_a_webhook_the_result_goes_there(self, api: Api, sandbox: Sandbox, cloud: int) -> None:
        body = {"action": "order/hello", "webhook": f"{sandbox.url}/nobody", "idempotency-key": "k-1"}
        api("POST", f"branches/{cloud + 100_000_000}/pos-actions", json=body)
        assert sandbox.deliveries.settle(PATIENCE)
        (delivery,) = sandbox.deliveries.log
        assert isinstance(delivery.records, dict)
        assert (delivery.payload_entity, delivery.records["code"], delivery.status) == ("order/hello", 0, 404)
        (call,) = [request for request in sandbox.requests if request.path == "/nobody"]
        assert (call.method, call.headers["idempotency-key"]) == ("POST", "k-1")

    def test_slovakia_forbids_some_actions(self, api: Api, sandbox: Sandbox, cloud: int) -> None:
        sandbox.shop.update(cloud, "clouds", cloud, {"country": "SK"})
        assert self.act(api, cloud, **{"action": "order/issue", "order-id": 5})["code"] == 1009
        assert self.act(api, cloud, **{"action": "order/cancel", "order-id": 5})["code"] == 2002


class TestDevice:
    @pytest.fixture
    def path(self, cloud: int) -> str:
        return f"branches/{cloud + 100_000_000}/pos-actions"

    @pytest.fixture
    def create(self, sandbox: Sandbox) -> dict[str, Any]:
        sandbox.device.patience = 0.02
        return {"action": "order/create", "external-id": "web-1"}

    def orders(self, sandbox: Sandbox) -> int:
        return len(sandbox.shop.rows(sandbox.cloud_ids[0], "orders"))

    def test_a_silent_one_acts_when_it_wakes(
        self, api: Api, sandbox: Sandbox, path: str, create: dict[str, Any]
    ) -> None:
        sandbox.device.silent = True
        answer = api("POST", path, json=create)
        assert (answer.status_code, answer.json()["reason"], self.orders(sandbox)) == (404, "DEVICE_NOT_RESPONDING", 0)
        assert api("GET", "orders").status_code == 404  # other calls go on
        sandbox.device.wake()
        (write,) = sandbox.writes
        assert self.orders(sandbox) == 1
        assert (write.op, write.entity, write.lost, write.late) == ("action", "order/create", True, True)
        assert write.fields == create
        assert api("POST", path, json=create).json()["code"] == 0
        assert (sandbox.writes[1].lost, sandbox.writes[1].late) == (False, False)

    def test_validity_keeps_it_from_acting_late(
        self, api: Api, sandbox: Sandbox, path: str, create: dict[str, Any]
    ) -> None:
        sandbox.device.clock_offset = 600
        hello = api("POST", path, json={"action": "order/hello"}).json()
        assert 590 < hello["deviceTimestamp"] / 1000 - sandbox.shop.now() / 1000 < 601
        sandbox.device.silent = True
        until = hello["deviceTimestamp"] // 1000 + 25
        assert api("POST", path, json=create | {"validity": until}).status_code == 404
        sandbox.shop.advance(30)
        sandbox.device.wake()
        assert (self.orders(sandbox), sandbox.writes) == (0, [])

    def test_one_at_a_time(self, api: Api, sandbox: Sandbox, path: str, create: dict[str, Any]) -> None:
        sandbox.device.silent, sandbox.device.patience = True, PATIENCE
        with ThreadPoolExecutor(1) as pool:
            first = pool.submit(api, "POST", path, json=create)
            while not sandbox.device.settings()["waiting"]:
                time.sleep(0.002)
            second = api("POST", path, json=create)
            with_webhook = api("POST", path, json=create | {"webhook": f"{sandbox.url}/nobody"})
            sandbox.device.wake()
            assert first.result().json()["code"] == 0
        assert (second.status_code, with_webhook.status_code, self.orders(sandbox)) == (429, 200, 2)

    def test_an_action_waits_for_a_device_that_wakes_in_time(
        self, api: Api, sandbox: Sandbox, path: str, create: dict[str, Any]
    ) -> None:
        sandbox.device.seconds = 0.001
        assert api("POST", path, json=create).json()["code"] == 0

    def test_a_fault_after_an_action_leaves_the_order(
        self, api: Api, sandbox: Sandbox, path: str, create: dict[str, Any]
    ) -> None:
        sandbox.faults.append(Fault("503", when="after", path="/pos-actions"))
        assert api("POST", path, json=create).status_code == 503
        assert (self.orders(sandbox), sandbox.writes[0].lost) == (1, True)

    def test_a_key_is_echoed_or_honoured(self, api: Api, sandbox: Sandbox, path: str, create: dict[str, Any]) -> None:
        body = create | {"idempotency-key": "k-1"}
        first, second = (api("POST", path, json=body) for _ in range(2))
        assert (first.headers["Idempotency-Key"], self.orders(sandbox)) == ("k-1", 2)
        sandbox.behaviour = Behaviour(idempotency_key="honoured")
        third, fourth = (api("POST", path, json=body) for _ in range(2))
        assert first.json() != second.json()
        assert (third.json(), self.orders(sandbox)) == (fourth.json(), 3)

    def test_codes_come_one_by_one(self, api: Api, sandbox: Sandbox, path: str, create: dict[str, Any]) -> None:
        url = f"{sandbox.url}/_sandbox/device"
        assert requests.post(url, json={"codes": [3001, 2001]}, timeout=PATIENCE).json()["codes"] == [3001, 2001]
        assert api("POST", path, json={"action": "order/hello"}).json()["code"] == 0
        assert [api("POST", path, json=create).json()["code"] for _ in range(3)] == [3001, 2001, 0]

    def test_its_controls(self, sandbox: Sandbox, api: Api, path: str, create: dict[str, Any]) -> None:
        url = f"{sandbox.url}/_sandbox"
        requests.post(f"{url}/device", json={"silent": True, "patience": 0.01}, timeout=PATIENCE)
        assert api("POST", path, json=create).status_code == 404
        assert requests.get(url, timeout=PATIENCE).json()["device"]["waiting"] == 1
        for wrong in ({"silent": 1}, {"patience": -1}, {"codes": 5}, {"volume": 3}):
            assert requests.post(f"{url}/device", json=wrong, timeout=PATIENCE).status_code == 400
        assert requests.post(f"{url}/device", json={"silent": False}, timeout=PATIENCE).json()["waiting"] == 0
        assert self.orders(sandbox) == 1
