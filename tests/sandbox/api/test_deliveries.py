"""Deliveries of webhooks over real sockets: api/deliveries."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
import requests

from airflow_provider_dotypos.sandbox import Behaviour, DeliveryFault, Sandbox
from airflow_provider_dotypos.sandbox.api import deliveries
from tests.patience import PATIENCE
from tests.sandbox.api.test_writes import product as product_of
from tests.sandbox.conftest import Api


class Receiver(ThreadingHTTPServer):
    """What deliveries arrive at. Answers by the statuses of `answers` in turn, then by 202; holds answers if `shut`."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.bodies: list[Any] = []
        self.methods: list[str] = []
        self.answers: list[int] = []
        self.gate = threading.Event()
        self.gate.set()
        self.came = threading.Event()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/hook"


class _Handler(BaseHTTPRequestHandler):
    server: Receiver

    def do_POST(self) -> None:
        self._take()

    def do_GET(self) -> None:
        self._take()

    def _take(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.server.methods.append(self.command)
        self.server.bodies.append(json.loads(body) if body else None)
        self.server.came.set()
        self.server.gate.wait(PATIENCE)
        self.send_response(self.server.answers.pop(0) if self.server.answers else 202)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *args: object) -> None:
        """Log nothing."""


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with Receiver() as server:
        thread = threading.Thread(target=server.serve_forever, args=[0.01])
        thread.start()
        yield server
        server.gate.set()
        server.shutdown()
        thread.join()


@pytest.fixture
def product(sandbox: Sandbox, cloud: int, receiver: Receiver) -> int:
    """A product whose changes are delivered to the receiver."""
    id: int = sandbox.shop.insert(cloud, "products", {"name": "Espresso"})["id"]
    sandbox.shop.insert(cloud, "webhooks", {"payloadEntity": "PRODUCT", "url": receiver.url})
    return id


def change(sandbox: Sandbox, product: int, price: float) -> None:
    """Change a price, and wait until that is delivered as far as it will be."""
    sandbox.shop.update(sandbox.cloud_ids[0], "products", product, {"priceWithVat": price})
    assert sandbox.deliveries.settle(PATIENCE)


def delivering() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == "dotypos-deliveries"]


def prices(receiver: Receiver) -> list[list[float]]:
    return [[record["pricewithvat"] for record in body] for body in receiver.bodies]


def test_what_a_client_registers_is_delivered_until_it_is_removed(
    sandbox: Sandbox, api: Api, cloud: int, receiver: Receiver
) -> None:
    category = sandbox.shop.insert(cloud, "categories", {"name": "Coffee", "vat": 1.21})["id"]
    wanted = {"_cloudId": cloud, "method": "POST", "url": receiver.url, "payloadEntity": "PRODUCT"}
    webhook = api("POST", "webhooks", json={**wanted, "payloadVersion": "V1"}).json()["id"]
    assert api("POST", "products", json=[product_of(category, name="Espresso")]).status_code == 201
    assert sandbox.deliveries.settle(PATIENCE)
    assert [record["name"] for record in receiver.bodies[0]] == ["Espresso"]
    assert [(d.payload_entity, d.status, d.fault) for d in sandbox.deliveries.log] == [("PRODUCT", 202, None)]
    assert api("DELETE", f"webhooks/{webhook}").ok
    assert api("POST", "products", json=[product_of(category, name="Lungo")]).status_code == 201
    assert sandbox.deliveries.settle(PATIENCE)
    assert len(receiver.bodies) == 1


def test_changes_of_one_moment_come_in_one_array(sandbox: Sandbox, product: int, receiver: Receiver) -> None:
    for price in (1.0, 2.0):
        sandbox.shop.update(sandbox.cloud_ids[0], "products", product, {"priceWithVat": price})
    change(sandbox, product, 3.0)
    assert prices(receiver) == [[1.0, 2.0, 3.0]]


def test_by_get_nothing_but_the_ping_comes(sandbox: Sandbox, cloud: int, receiver: Receiver) -> None:
    hook = {"payloadEntity": "RESERVATION", "url": receiver.url, "method": "GET"}
    sandbox.shop.insert(cloud, "webhooks", hook)
    sandbox.shop.insert(cloud, "reservations")
    assert sandbox.deliveries.settle(PATIENCE)
    assert (receiver.methods, receiver.bodies) == (["GET"], [None])


@pytest.mark.parametrize(
    ("fault", "arrived"),
    [
        (DeliveryFault("twice"), [[1.0], [1.0], [2.0]]),
        (DeliveryFault("never"), [[2.0]]),
        (DeliveryFault("swapped"), [[2.0], [1.0]]),
        (DeliveryFault("late", seconds=0.01), [[1.0], [2.0]]),
        (DeliveryFault("slow", seconds=0.05), [[1.0], [2.0]]),
        (DeliveryFault("never", skip=1), [[1.0]]),
        (DeliveryFault("never", payload_entity="ORDERBEAN"), [[1.0], [2.0]]),
    ],
    ids=str,
)
def test_faults(
    sandbox: Sandbox, product: int, receiver: Receiver, fault: DeliveryFault, arrived: list[list[float]]
) -> None:
    sandbox.deliveries.faults.append(fault)
    change(sandbox, product, 1.0)
    change(sandbox, product, 2.0)
    assert prices(receiver) == arrived
    met = fault.payload_entity is None
    assert [d.fault for d in sandbox.deliveries.log if d.fault] == [fault.kind] * (1 + (fault.kind == "twice")) * met


def test_a_late_delivery_holds_no_other_up(sandbox: Sandbox, product: int, receiver: Receiver) -> None:
    sandbox.deliveries.faults.append(DeliveryFault("late", seconds=PATIENCE))
    cloud = sandbox.cloud_ids[0]
    for price in (1.0, 2.0):
        receiver.came.clear()
        sandbox.shop.update(cloud, "products", product, {"priceWithVat": price})
        while price == 1.0 and sandbox.deliveries.faults[0].times:
            continue
    assert receiver.came.wait(PATIENCE)
    assert prices(receiver) == [[2.0]]
    assert sandbox.deliveries.pending


def test_what_is_refused_is_tried_again_by_a_switch_only(
    sandbox: Sandbox, product: int, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(deliveries, "_FIRST_PAUSE", 0.01)
    receiver.answers = [503]
    change(sandbox, product, 1.0)
    sandbox.behaviour = Behaviour(delivery_tries=3)
    receiver.answers = [503, 500]
    change(sandbox, product, 2.0)
    assert [d.status for d in sandbox.deliveries.log] == [503, 503, 500, 202]


def test_a_receiver_that_hangs_is_given_up_and_others_go_ahead(
    sandbox: Sandbox, cloud: int, product: int, receiver: Receiver
) -> None:
    sandbox.shop.insert(cloud, "webhooks", {"payloadEntity": "CUSTOMER", "url": "http://127.0.0.1:1/closed"})
    sandbox.deliveries.timeout = 0.2
    receiver.gate.clear()
    sandbox.shop.update(cloud, "products", product, {"priceWithVat": 1.0})
    sandbox.shop.insert(cloud, "customers", {"firstName": "Eva"})
    assert sandbox.deliveries.settle(PATIENCE)
    errors = {d.payload_entity: (d.status, d.error) for d in sandbox.deliveries.log}
    assert errors["CUSTOMER"] == (0, "ConnectError")
    assert errors["PRODUCT"] in [(0, "ReadTimeout"), (0, "TimeoutError")]


def test_too_many_records_drop_the_oldest(
    sandbox: Sandbox, product: int, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(deliveries, "MOST_WAITING", 3)
    monkeypatch.setattr(deliveries, "MOST_RECORDS", 2)
    for price in range(1, 5):
        sandbox.shop.update(sandbox.cloud_ids[0], "products", product, {"priceWithVat": float(price)})
    change(sandbox, product, 5.0)
    assert prices(receiver) == [[3.0, 4.0], [5.0]]
    assert sandbox.deliveries.dropped == 2


def test_nothing_leaves_the_machine_unless_allowed(sandbox: Sandbox, cloud: int) -> None:
    for number, host in enumerate(("192.0.2.1", "example.invalid", "127.0.0.1.example.invalid", "[2001:db8::1]")):
        hook = {"payloadEntity": "CUSTOMER", "url": f"http://{host}:9/{number}"}
        sandbox.shop.insert(cloud, "webhooks", hook)
    sandbox.shop.insert(cloud, "customers", {"firstName": "Eva"})
    assert sandbox.deliveries.settle(PATIENCE)
    assert [d.error for d in sandbox.deliveries.log] == ["the address isn't on this machine"] * 4
    sandbox.deliveries.log.clear()
    sandbox.deliveries.anywhere = True
    sandbox.deliveries.timeout = 0.1
    sandbox.shop.insert(cloud, "customers", {"firstName": "Jan"})
    assert sandbox.deliveries.settle(PATIENCE)
    assert {d.error for d in sandbox.deliveries.log} <= {"ConnectError", "ConnectTimeout", "TimeoutError"}


def test_an_address_that_is_none_is_noted_each_time(sandbox: Sandbox, cloud: int) -> None:
    sandbox.shop.insert(cloud, "webhooks", {"payloadEntity": "CUSTOMER", "url": "http://[::1/x"})
    sandbox.shop.insert(cloud, "webhooks", {"payloadEntity": "CUSTOMER", "url": "http://127.0.0.1:99999/x"})
    for name in ("Eva", "Jan"):
        sandbox.shop.insert(cloud, "customers", {"firstName": name})
        assert sandbox.deliveries.settle(PATIENCE)
    log = list(sandbox.deliveries.log)
    assert len(log) == 4
    assert all(d.error for d in log)


def test_closing_the_sandbox_ends_all(receiver: Receiver) -> None:
    receiver.gate.clear()
    before = delivering()
    with Sandbox() as own:
        cloud = own.cloud_ids[0]
        for kind, row in (("CUSTOMER", "customers"), ("RESERVATION", "reservations")):
            own.shop.insert(cloud, "webhooks", {"payloadEntity": kind, "url": receiver.url})
            own.deliveries.faults = [DeliveryFault("late", seconds=PATIENCE, payload_entity="RESERVATION")]
            own.shop.insert(cloud, row)
        assert receiver.came.wait(PATIENCE)
        assert len(delivering()) == len(before) + 1
    assert delivering() == before
    assert own.deliveries.pending == 0
    own.shop.insert(cloud, "customers")
    assert own.deliveries.pending == 0
    assert len(receiver.bodies) == 1


def test_an_odd_fault_is_refused() -> None:
    with pytest.raises(ValueError, match="kinds: twice, late, swapped, never, slow"):
        DeliveryFault("early")
    with pytest.raises(ValueError, match="seconds must be 0 or more"):
        DeliveryFault("late", seconds=-1)


def test_the_controls_show_and_break_them(sandbox: Sandbox, product: int, receiver: Receiver) -> None:
    url = f"{sandbox.url}/_sandbox/deliveries"
    answer = requests.post(f"{url}/faults", json={"kind": "twice"}, timeout=PATIENCE)
    assert (answer.status_code, answer.json()[0]["kind"]) == (201, "twice")
    assert requests.post(f"{url}/faults", json={"kind": "early"}, timeout=PATIENCE).status_code == 400
    change(sandbox, product, 1.0)
    shown = requests.get(url, timeout=PATIENCE)
    assert [entry["status"] for entry in shown.json()["log"]] == [202, 202]
    assert receiver.url not in shown.text
    assert requests.delete(f"{url}/faults", timeout=PATIENCE).json() == []
    assert sandbox.deliveries.faults == []
