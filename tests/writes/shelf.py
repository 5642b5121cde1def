"""Two products in two warehouses of a sandbox, and what is posted there."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_dotypos.api import channel
from airflow_provider_dotypos.api.http import Request
from airflow_provider_dotypos.api.retry import Patience
from airflow_provider_dotypos.api.transport import Transport
from airflow_provider_dotypos.hooks.dotypos import DotyposHook
from airflow_provider_dotypos.sandbox import Sandbox, Shop
from airflow_provider_dotypos.sandbox.behaviour import BEST_KNOWN
from tests.sleeping import sleep_at_once


@pytest.fixture(scope="module")
def server() -> Iterator[Sandbox]:
    with Sandbox(Shop.empty()) as running:
        yield running


@pytest.fixture
def sandbox(server: Sandbox) -> Sandbox:
    server.shop, server.behaviour = Shop.empty(), BEST_KNOWN
    server.stock_taking_reason, server.stock_taking_polls = None, 1
    server.date_offset = 0.0
    server.requests.clear()
    server.faults.clear()
    server.writes.clear()
    return server


@pytest.fixture
def slept(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    return sleep_at_once(monkeypatch)


@pytest.fixture(autouse=True)
def connection(sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    channel.forget_tokens()
    monkeypatch.setenv("AIRFLOW_CONN_DOTYPOS_DEFAULT", json.dumps(sandbox.connection(sandbox.cloud_ids[0])))
    yield
    channel.forget_tokens()


#: When was counted; the sandbox's clock stands at noon.
COUNTED_AT = "2026-03-01T11:00:00+00:00"


class Shelf:
    """Two products in two warehouses.

    :ivar warehouse: where is booked.
    """

    def __init__(self, sandbox: Sandbox, journal: Path) -> None:
        self._sandbox, self._shop, self.cloud = sandbox, sandbox.shop, sandbox.cloud_ids[0]
        self.warehouse: int = self._shop.rows(self.cloud, "warehouses")[0]["id"]
        self.cellar: int = self._shop.insert(self.cloud, "warehouses", {"name": "Cellar"})["id"]
        self.products = [new_product(sandbox, self.cloud, name) for name in ("TEA", "MILK")]
        self._journal = f"file://{journal}"

    def book(self, operation: str, items: Any = None, document: str = "DN-1", **arguments: Any) -> dict[str, Any]:
        items = items or [{"externalId": "TEA", "quantity": "2.5"}, {"externalId": "MILK", "quantity": 4}]
        if operation == "transfer":
            arguments["from_warehouse_id"] = self.cellar
        arguments = {"journal": self._journal, "document": document, **arguments}
        with closing(DotyposHook(patience=Patience(faults=0, throttling=0))) as hook:
            result: dict[str, Any] = getattr(hook, operation)(self.warehouse, items, **arguments)
        return result

    def take_stock(self, quantities: Any = (7.5, 3), **arguments: Any) -> dict[str, Any]:
        """Count both products; nothing is waited for unless `wait` says so."""
        items = [
            {"_productId": product, "quantity": quantity}
            for product, quantity in zip(self.products, quantities, strict=True)
        ]
        arguments = {"journal": self._journal, "counted_at": COUNTED_AT, **arguments}
        with closing(DotyposHook(patience=Patience(faults=0, throttling=0))) as hook:
            return hook.take_stock(self.warehouse, items, **arguments)

    def fill(self, quantity: float) -> None:
        """Have both warehouses hold so much of each product."""
        for warehouse in (self.warehouse, self.cellar):
            for product in self.products:
                whole = self._shop.get(self.cloud, "products", product) or {}
                fields = self._shop.table(self.cloud, "warehouse-products").entity.fields
                row = {name: value for name, value in whole.items() if name in fields}
                self._shop.insert(
                    self.cloud, "warehouse-products", row | {"_warehouseId": warehouse, "stockQuantityStatus": quantity}
                )

    def level(self, warehouse: int, product: int) -> float:
        row = self._shop.get(self.cloud, "warehouse-products", product, warehouse_id=warehouse)
        return 0.0 if row is None else row["stockQuantityStatus"]

    def levels(self) -> list[float]:
        """Return the levels of both products here, and then in the cellar."""
        return [
            self.level(warehouse, product) for warehouse in (self.warehouse, self.cellar) for product in self.products
        ]

    def booked(self, operation: str) -> list[float]:
        """Return the levels that are right after an operation."""
        here, there = {"stock_up": (1, 0), "sell": (-1, 0), "transfer": (1, -1)}[operation]
        return [10 + sign * quantity for sign in (here, there) for quantity in (2.5, 4.0)]

    def pass_time(self, seconds: float) -> None:
        """Let time pass in the cloud, for rows and for the server's clock."""
        self._shop.advance(seconds)
        self._sandbox.date_offset += seconds

    def sell_meanwhile(self, seconds: float) -> None:
        """Sell one of the first product in each warehouse while a client sleeps."""
        if seconds <= 0:
            return
        for warehouse in (self.warehouse, self.cellar):
            level = self.level(warehouse, self.products[0]) - 1
            changes = {"stockQuantityStatus": level}
            self._shop.update(self.cloud, "warehouse-products", self.products[0], changes, warehouse_id=warehouse)


@pytest.fixture
def shelf(sandbox: Sandbox, tmp_path: Path) -> Shelf:
    return Shelf(sandbox, tmp_path)


def new_product(sandbox: Sandbox, cloud: int, external_id: str) -> int:
    id: int = sandbox.shop.insert(cloud, "products", {"name": external_id, "externalId": external_id})["id"]
    return id


@pytest.fixture
def bodies(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """Collect what is posted."""
    bodies: list[Any] = []
    send = Transport.send

    def collect(transport: Transport, request: Request) -> Any:
        if request.method == "POST" and "/warehouses/" in request.path:
            bodies.append(json.loads(request.body or b""))
        return send(transport, request)

    monkeypatch.setattr(Transport, "send", collect)
    return bodies
