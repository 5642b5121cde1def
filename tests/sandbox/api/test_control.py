"""The sandbox's own controls: api/control."""

from __future__ import annotations

import requests

from airflow_provider_dotypos.sandbox import Sandbox, Shop
from tests.patience import PATIENCE
from tests.sandbox.conftest import Api


class TestControls:
    def test_state_and_advance(self, sandbox: Sandbox) -> None:
        url = f"{sandbox.url}/_sandbox"
        before = sandbox.shop.now()
        state = requests.post(f"{url}/advance", json={"seconds": 3600}, timeout=PATIENCE).json()
        assert sandbox.shop.now() - before >= 3_600_000
        assert state["rows"][str(sandbox.cloud_ids[0])]["branches"] == 1
        assert requests.get(f"{url}/state", timeout=PATIENCE).json()["behaviour"]["ties"] == "stable"
        assert requests.post(f"{url}/advance", json={"seconds": -1}, timeout=PATIENCE).status_code == 400

    def test_behaviour_and_faults(self, sandbox: Sandbox, api: Api) -> None:
        url = f"{sandbox.url}/_sandbox"
        requests.post(f"{url}/behaviour", json={"ties": "shuffled"}, timeout=PATIENCE)
        assert sandbox.behaviour.ties == "shuffled"
        assert requests.post(f"{url}/behaviour", json={"ties": "x"}, timeout=PATIENCE).status_code == 400
        assert requests.post(f"{url}/behaviour", json={"knots": "x"}, timeout=PATIENCE).status_code == 400
        requests.post(f"{url}/faults", json={"kind": "503", "times": 2}, timeout=PATIENCE)
        assert api("GET", "branches").status_code == 503
        requests.delete(f"{url}/faults", timeout=PATIENCE)
        assert api("GET", "branches").status_code == 200
        log = requests.get(f"{url}/requests", timeout=PATIENCE).json()
        assert [entry["status"] for entry in log] == [201, 503, 200]

    def test_what_is_wrong_is_named_and_what_there_is(self, sandbox: Sandbox) -> None:
        for path, wrong, field, says in (
            ("faults", {"kind": "503", "time": 2}, "time", "there are: kind, retry_after, times"),
            ("faults", {"times": 2}, "kind", "is missing"),
            ("faults", {"kind": "503", "times": -1}, None, "times 1 or more"),
            ("faults", {"kind": "503", "times": "2"}, None, "whole numbers"),
            ("faults", {"kind": "429", "retry_after": 2}, None, "must be texts"),
            ("faults", {"kind": "503", "probability": "half"}, None, "where a number belongs"),
            ("deliveries/faults", {"kind": "late", "second": 2}, "second", "seconds"),
            ("behaviour", {"tie": "shuffled"}, "tie", "ties"),
            ("limit", {"request": 2}, "request", "requests"),
        ):
            answer = requests.post(f"{sandbox.url}/_sandbox/{path}", json=wrong, timeout=PATIENCE)
            assert answer.status_code == 400
            (violation,) = answer.json()["violations"]
            assert violation["fieldName"] == field
            assert says in violation["message"]
        assert not sandbox.faults

    def test_a_sale_and_a_new_price(self, sandbox: Sandbox) -> None:
        url, cloud = f"{sandbox.url}/_sandbox", sandbox.cloud_ids[1]
        for path in ("sell", "price"):
            assert requests.post(f"{url}/{path}", json={}, timeout=PATIENCE).status_code == 400
        sandbox.shop = Shop.generate(days=1, orders_per_day=5)
        order = requests.post(f"{url}/sell", json={"cloud_id": cloud}, timeout=PATIENCE).json()
        stored = sandbox.shop.get(cloud, "orders", int(order["id"]))
        assert stored is not None
        assert stored["paid"]
        product = sandbox.shop.rows(cloud, "products")[0]["id"]
        wanted = {"cloud_id": str(cloud), "product_id": str(product), "price": 49}
        assert requests.post(f"{url}/price", json=wanted, timeout=PATIENCE).json()["priceWithVat"] == "49"
        for wrong in ({"cloud_id": 1}, {"product_id": 1}, {"price": "49"}, {"price": True}, {"price": -1}):
            assert requests.post(f"{url}/price", json=wrong, timeout=PATIENCE).status_code == 400

    def test_other_web_pages_cannot_call_them(self, sandbox: Sandbox) -> None:
        url = f"{sandbox.url}/_sandbox/faults"
        assert (
            requests.post(
                url, data='{"kind":"503"}', headers={"Content-Type": "text/plain"}, timeout=PATIENCE
            ).status_code
            == 415
        )
