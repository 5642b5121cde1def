"""Deliveries to a real API server below a path prefix, with two workers that share no memory: `webhooks.receiver`.

It is the server of the page's tests, which log in full.
"""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, suppress
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import pytest
import requests
from airflow.sdk import Asset

from airflow_provider_dotypos.api.client import DotyposClient
from airflow_provider_dotypos.api.list_uri import list_uri
from airflow_provider_dotypos.api.page import SECOND
from airflow_provider_dotypos.api.reading import Reader
from airflow_provider_dotypos.api.settings import Settings
from airflow_provider_dotypos.api.watch import State, Watch, step
from airflow_provider_dotypos.api.webhooks import delivery_path, delivery_token
from airflow_provider_dotypos.provider_info import WEBHOOKS_PATH
from tests.connect.conftest import PREFIX, PageWorld, Person
from tests.patience import PATIENCE
from tests.ui.airflow_server import database_in_use
from tests.webhooks.dags import write_dag

CONN_ID = "delivers"
SECRET = "what-addresses-are-made-of"
DAG_ID = "started_by_deliveries"


@dataclass
class Door:
    """The address of a list's webhook, and what has come in by it."""

    world: PageWorld
    settings: Settings
    uri: str
    path: str

    @property
    def url(self) -> str:
        return f"{self.world.server.url}{WEBHOOKS_PATH}{self.path}"

    @property
    def token(self) -> str:
        return self.path.rpartition("/")[2]

    def deliver(self, *ids: int, browser: requests.Session | None = None, changed: int | None = None) -> Any:
        now = int(time.time()) * 1000 + 123 if changed is None else changed
        records = [{"productid": row, "orderid": row, "versiondate": now} for row in ids]
        return (browser or requests).post(self.url, json=records, timeout=PATIENCE)

    def events(self) -> list[dict[str, Any]]:
        """Return what the asset's events hold."""
        with closing(self.world.database()) as database:
            rows = database.execute(
                "SELECT e.extra FROM asset_event e JOIN asset ON asset.id = asset_id WHERE uri = ? ORDER BY e.id",
                [self.uri],
            ).fetchall()
        return [json.loads(extra) for (extra,) in rows]

    def queued(self) -> int:
        with closing(self.world.database()) as database:
            (count,) = database.execute(
                "SELECT count(*) FROM asset_dag_run_queue JOIN asset ON asset.id = asset_id WHERE uri = ?", [self.uri]
            ).fetchone()
            return int(count)


@pytest.fixture(scope="session")
def door_of(page_world: PageWorld) -> Callable[[str], Door]:
    """A connection with webhooks; a DAG is started by the asset of its products."""
    cloud_id = page_world.sandbox.cloud_ids[0]
    extra = {"refresh_token": page_world.sandbox.refresh_token, "cloud_id": cloud_id, "webhook_secret": SECRET}
    page_world.add(CONN_ID, extra=json.dumps(extra))
    settings = Settings.from_fields(host=page_world.sandbox.url, extra=extra)

    def door(entity: str) -> Door:
        path = delivery_path(CONN_ID, cloud_id, entity, delivery_token(settings, cloud_id, entity))
        return Door(page_world, settings, list_uri(settings.base_url, cloud_id, entity), path)

    with database_in_use(page_world.home.path / "airflow.db"):
        write_dag(DAG_ID, Asset(door("products").uri))
        write_dag(f"{DAG_ID}_too", Asset(door("orders").uri))
    return door


@pytest.fixture
def products(door_of: Callable[[str], Door]) -> Door:
    return door_of("products")


@pytest.fixture
def workers(page_world: PageWorld, ada: Person) -> list[requests.Session]:
    return page_world.two_workers(ada)


class TestDeliveries:
    def test_start_dags(self, products: Door):
        began = time.monotonic()
        answer = products.deliver(5, 7)

        assert (answer.status_code, answer.text) == (202, "Stored.\n")
        assert time.monotonic() - began < PATIENCE
        payload = products.events()[-1]["payload"]
        assert (payload["entity"], payload["ids"], payload["source"]) == ("products", ["5", "7"], "webhook")
        assert products.queued() == 1

    def test_that_both_workers_get_make_one_event(self, products: Door, workers: list[requests.Session]):
        before, now = len(products.events()), int(time.time()) * 1000 + 321
        with ThreadPoolExecutor(2) as threads:
            answers = list(threads.map(lambda worker: products.deliver(11, browser=worker, changed=now), workers))
        assert [answer.status_code for answer in answers] == [202, 202]
        assert sorted(answer.text for answer in answers) == ["Stored before.\n", "Stored.\n"]
        assert len(products.events()) == before + 1

    def test_of_the_same_time_share_events(self, door_of: Callable[[str], Door]):
        """Each worker makes an event for half a second."""
        orders = door_of("orders")
        began = time.monotonic()
        with ThreadPoolExecutor(50) as threads:
            answers = list(threads.map(orders.deliver, range(1, 101)))
        seconds = time.monotonic() - began

        assert {answer.status_code for answer in answers} == {202}
        events = orders.events()
        assert len(events) <= 2 * (seconds / 0.5 + 1)
        assert sorted(int(row) for event in events for row in event["payload"]["ids"]) == [*range(1, 101)]

    def test_of_dotypos_name_the_rows_that_a_poll_shows(self, page_world: PageWorld, products: Door):
        """So a late delivery of what a watcher has reported is a repeat."""
        sandbox, cloud = page_world.sandbox, page_world.sandbox.cloud_ids[0]
        product = sandbox.shop.insert(cloud, "products", {"name": "Espresso"})["id"]
        webhook = sandbox.shop.insert(cloud, "webhooks", {"payloadEntity": "PRODUCT", "url": products.url})
        changed = SECOND
        while changed % SECOND == 0:  # whole seconds aren't trusted to tell two changes apart
            changed = sandbox.shop.update(cloud, "products", product, {"priceWithVat": 77})["versionDate"]
        assert sandbox.deliveries.settle(PATIENCE)
        sandbox.shop.remove(cloud, "webhooks", webhook["id"])
        event = products.events()[-1]

        with closing(DotyposClient(products.settings)) as client:
            watch, state = Watch.of("products"), State.begin(changed)
            snapshot = Reader(client).poll(watch.entity, [state])
        _, change = step(state, snapshot, watch)
        assert event["payload"]["ids"] == [str(product)]
        assert change
        assert change.key == event["payload"]["key"]

    def test_of_a_list_without_an_asset_are_answered_so(self, door_of: Callable[[str], Door]):
        answer = door_of("customers").deliver(1)
        assert (answer.status_code, answer.text) == (200, "Not stored: no DAG names the asset of this list yet.\n")


class TestRefusals:
    def test_of_ten_megabytes_come_before_their_end(self, products: Door):
        lines = [b"Content-Length: 10000000", b"", b"x" * 65536]
        assert raw(products, *lines).startswith(b"HTTP/1.1 413 ")

    def test_of_endless_chunks_come_and_the_connection_ends(self, products: Door):
        begin = [b"Transfer-Encoding: chunked", b"", b""]
        assert raw(products, *begin, endless=b"10000\r\n" + b"x" * 65536 + b"\r\n").startswith(b"HTTP/1.1 413 ")

    def test_of_wrong_tokens_are_those_of_core(self, products: Door):
        wrong = products.url.replace(products.token, "0" * 64)
        answers = [requests.post(url, json=[], timeout=PATIENCE) for url in (wrong, wrong.replace(CONN_ID, "nothing"))]
        assert [(answer.status_code, answer.text) for answer in answers] == [(404, "Not Found\n")] * 2


class TestTokens:
    def test_are_in_no_log_whatever_is_asked(
        self, page_world: PageWorld, products: Door, workers: list[requests.Session]
    ):
        tokens = [products.token, "f" * 64]
        begin = page_world.server.log.stat().st_size
        for worker in workers:
            for url in (products.url, products.url.replace(products.token, tokens[1])):
                worker.post(url, json=[{"productid": 1}], timeout=PATIENCE)
                worker.post(url, data=b"{}", timeout=PATIENCE)
                worker.post(f"{url}/?secret={tokens[0]}", timeout=PATIENCE)
                worker.put(url, timeout=PATIENCE)
                worker.head(url, timeout=PATIENCE)
                worker.options(url, timeout=PATIENCE)
        handshake = [
            b"Upgrade: websocket",
            b"Sec-WebSocket-Key: eHh4eHh4eHh4eHh4eHh4eA==",
            b"Sec-WebSocket-Version: 13",
        ]
        assert b" 403 " in raw(products, b"Connection: Upgrade", *handshake, b"", b"", method=b"GET")
        log = written_since(page_world, begin, workers)

        assert log.count(f"{PREFIX}{WEBHOOKS_PATH}") >= 20
        assert not [line for line in log.splitlines() if any(token in line for token in tokens)]

    def test_are_in_nothing_that_airflow_shows(self, page_world: PageWorld, products: Door):
        products.deliver(21)
        for page in ("assets/events", "assets", "plugins", "eventLogs", "connections"):
            answer = page_world.server.session.get(f"{page_world.server.url}/api/v2/{page}?limit=100", timeout=PATIENCE)
            assert answer.ok
            assert products.token not in answer.text
            assert SECRET not in answer.text


def written_since(world: PageWorld, begin: int, workers: list[requests.Session]) -> str:
    """Return what the workers have written, once what was asked of them before is in it."""
    marker = f"marker-{time.monotonic_ns()}"
    for number, worker in enumerate(workers):
        worker.get(f"{world.server.url}/dotypos/{marker}-{number}", timeout=PATIENCE)
    deadline = time.monotonic() + PATIENCE
    while not all(f"{marker}-{number}" in (log := world.server.log.read_bytes()[begin:].decode()) for number in (0, 1)):
        assert time.monotonic() < deadline
    return log


def raw(door: Door, *lines: bytes, endless: bytes = b"", method: bytes = b"POST") -> bytes:
    """Send a request as it stands, then some bytes for ever; return what is answered."""
    parts = urlsplit(door.url)
    with socket.create_connection((parts.hostname, parts.port), timeout=PATIENCE) as connection:
        head = b"%s %s HTTP/1.1\r\nHost: %s\r\n" % (method, parts.path.encode(), parts.netloc.encode())
        connection.sendall(head + b"\r\n".join(lines))
        if endless:
            with suppress(ConnectionError):  # once the server has enough
                while True:
                    connection.sendall(endless)
        answer = b""
        with suppress(ConnectionError):  # it may reset what is still being sent
            while chunk := connection.recv(65536):
                answer += chunk
    return answer
