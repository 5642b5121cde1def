"""The webhooks of a connection on the page *Connect Dotypos*.

Tests `webhooks/connection_webhooks`, `webhooks/history`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from contextlib import closing
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import pytest
import requests
from airflow.models.asset import AssetEvent, AssetModel
from airflow.utils.session import create_session

from airflow_provider_dotypos.api.list_uri import list_uri
from airflow_provider_dotypos.connect import pages
from airflow_provider_dotypos.connections.stored import StoredConnection
from airflow_provider_dotypos.sandbox import Fault, Sandbox
from airflow_provider_dotypos.webhooks.history import LATEST, last_deliveries
from tests.connect.conftest import ADMIN, OPERATOR, VIEWER, PageWorld, Person, forms, shown_text
from tests.patience import PATIENCE

ORDERS = "dotypos://api.dotykacka.cz/5/orders"


@pytest.fixture
def sandbox(page_world: PageWorld) -> Sandbox:
    for cloud in page_world.sandbox.cloud_ids:
        for row in [*page_world.sandbox.shop.rows(cloud, "webhooks")]:
            page_world.sandbox.shop.delete(cloud, "webhooks", row["id"])
    return page_world.sandbox


def look(person: Person, conn_id: str, **action: str) -> requests.Response:
    return person.post("webhooks", form=person.form_token(), conn_id=conn_id, **action)


def rows(sandbox: Sandbox, cloud: int = 0) -> list[dict[str, Any]]:
    return sandbox.shop.rows(sandbox.cloud_ids[cloud], "webhooks")


def line(page: requests.Response, entity: str) -> str:
    """Return what the page says of a list."""
    (row,) = (row for row in re.findall(r"<tr>.*?</tr>", page.text, re.S) if f"<code>{entity}</code>" in row)
    return " ".join(re.sub(r"<[^>]*>", " ", row.replace("<wbr>", "")).split())


def press(person: Person, page: requests.Response, label: str) -> requests.Response:
    """Press the button that is named so."""
    labels = re.findall(r'<button aria-label="([^"]*)"', page.text)
    return person.submit([form for form in forms(page) if form.action.endswith("/webhooks")][labels.index(label)])


def add_events(uri: str, extras: Sequence[object], at: datetime) -> None:
    with create_session() as session:
        asset = session.query(AssetModel).filter_by(uri=uri).first() or AssetModel(name=uri, uri=uri, group="asset")
        session.add(asset)
        session.flush()
        session.add_all(AssetEvent(asset_id=asset.id, extra=extra, timestamp=at) for extra in extras)


def test_a_list_is_registered_and_removed_at_a_click(page_world: PageWorld, ada: Person, sandbox: Sandbox):
    page_world.add("hooks_hooked", cloud=sandbox.cloud_ids[0])
    page = look(ada, "hooks_hooked")
    assert "not registered none Register" in line(page, "orders")

    page = press(ada, page, "Register orders")
    (row,) = rows(sandbox)
    base = f"{page_world.server.url}/dotypos-webhooks/hooks_hooked/{sandbox.cloud_ids[0]}/orders"
    assert row["url"].rpartition("/")[0] == base
    assert "Dotypos delivers the changes of orders to this Airflow." in shown_text(page)
    assert f"registered {base}/***" in line(page, "orders")
    assert row["url"][-64:] not in page.text

    page = press(ada, page, "Remove orders")
    assert "no longer delivers the changes of orders" in shown_text(page)
    assert rows(sandbox) == []
    with closing(page_world.database()) as database:
        noted = database.execute(
            "SELECT owner, event, extra FROM log WHERE event LIKE 'dotypos_webhooks_%' AND extra LIKE '%hooks_hooked%'"
        ).fetchall()
    assert [(owner, event) for owner, event, _ in noted] == [
        (ADMIN, "dotypos_webhooks_registered"),
        (ADMIN, "dotypos_webhooks_removed"),
    ]
    assert {json.loads(extra)["ids"][0] for *_, extra in noted} == {str(row["id"])}


def test_what_is_registered_by_a_click_is_delivered_and_shown(page_world: PageWorld, ada: Person, sandbox: Sandbox):
    """Dotypos (the sandbox) reports a change, Airflow's API server makes an event of it, and the page shows when."""
    cloud = sandbox.cloud_ids[0]
    page_world.add("hooks_reported", cloud=cloud)
    product = sandbox.shop.insert(cloud, "products", {"name": "espresso"})
    page = look(ada, "hooks_reported", action="register", entity="products")
    assert "none yet and it would start nothing" in line(page, "products")
    uri = list_uri(sandbox.url, cloud, "products")
    with closing(page_world.database()) as database, database:
        database.execute(
            'INSERT INTO asset (name, uri, "group", extra, created_at, updated_at) VALUES (?, ?, ?, ?, ?, ?)',
            [uri, uri, "asset", "{}", *["2026-01-01 00:00:00+00:00"] * 2],
        )
    assert "none yet Remove" in line(look(ada, "hooks_reported"), "products")

    before = datetime.now(timezone.utc).replace(microsecond=0)
    sandbox.shop.update(cloud, "products", product["id"], {"name": "ristretto"})
    assert sandbox.deliveries.settle(PATIENCE)
    assert [delivery.status for delivery in sandbox.deliveries.log] == [202]
    (moment,) = re.findall(r'<time datetime="([^"]+)">', look(ada, "hooks_reported").text)
    assert before <= datetime.fromisoformat(moment) <= datetime.now(timezone.utc)
    assert rows(sandbox)[0]["url"][-64:] not in page_world.server.log.read_text()


def test_stock_has_a_webhook_for_each_warehouse(page_world: PageWorld, ada: Person, sandbox: Sandbox):
    page_world.add("hooks_stocked", cloud=sandbox.cloud_ids[0])
    page = look(ada, "hooks_stocked", action="register", entity="warehouse-products")
    assert "for 1 warehouse; register again" in line(page, "warehouse-products")
    added = sandbox.shop.insert(sandbox.cloud_ids[0], "warehouses", {"name": "cellar"})["id"]
    page = press(ada, page, "Register warehouse-products")
    assert "for 2 warehouses" in line(page, "warehouse-products")
    sandbox.shop.delete(sandbox.cloud_ids[0], "warehouses", added)


def test_once_the_secret_is_new_it_is_outdated_until_it_is_registered_again(
    page_world: PageWorld, ada: Person, sandbox: Sandbox
):
    page_world.add("hooks_renewed", cloud=sandbox.cloud_ids[0])
    look(ada, "hooks_renewed", action="register", entity="orders")
    result = ada.connect("hooks_renewed", sandbox.cloud_ids[0])
    assert "their addresses may have changed with the new refresh token" in shown_text(result)
    page = ada.submit(next(form for form in forms(result) if form.action.endswith("/webhooks")))
    assert "outdated" in line(page, "orders")
    before = rows(sandbox)
    page = press(ada, page, "Register orders")
    assert "registered" in line(page, "orders")
    assert "outdated" not in line(page, "orders")
    assert len(rows(sandbox)) == 1
    assert rows(sandbox) != before


def test_what_lies_elsewhere_is_removed_by_a_click_of_its_own_and_other_programs_are_left_alone(
    page_world: PageWorld, ada: Person, sandbox: Sandbox
):
    page_world.add("hooks_moved", cloud=sandbox.cloud_ids[0])
    look(ada, "hooks_moved", action="register", entity="orders")
    (row,) = rows(sandbox)
    url = row["url"].replace(page_world.server.url, "https://old.example.com")
    sandbox.shop.update(sandbox.cloud_ids[0], "webhooks", row["id"], {"url": url})
    others = {
        "method": "POST",
        "payloadEntity": "POINTSLOG",
        "payloadVersion": "V1",
        "url": "https://shop.example.com/s3cret",
    }
    other = sandbox.shop.insert(sandbox.cloud_ids[0], "webhooks", others)
    page = look(ada, "hooks_moved")
    assert "not registered" in line(page, "orders")
    assert (
        f"https://old.example.com/dotypos-webhooks/hooks_moved/{sandbox.cloud_ids[0]}/orders/***"
        in page.text.replace("<wbr>", "")
    )
    assert "POINTSLOG at https://shop.example.com/…" in shown_text(page).replace("example.com/ …", "example.com/…")
    assert "s3cret" not in page.text

    page = press(ada, page, f"Remove webhook {row['id']}")
    assert f"Webhook {row['id']} is removed." in shown_text(page)
    look(ada, "hooks_moved", action="remove_elsewhere", webhook_id=str(other["id"]))
    assert [left["id"] for left in rows(sandbox)] == [other["id"]], "a form of the page removes nothing of others"


def test_who_may_not_edit_the_connection_may_neither_look_nor_click(page_world: PageWorld, sandbox: Sandbox):
    page_world.add("hooks_forbidden", cloud=sandbox.cloud_ids[0])
    sandbox.requests.clear()
    ada, olga = page_world.person(ADMIN), page_world.person(OPERATOR)
    token = ada.form_token()
    for person, form in (
        (page_world.person(VIEWER), token),
        (ada, ""),
        (olga, token),
        (page_world.person(None), token),
    ):
        page = person.post("webhooks", form=form, conn_id="hooks_forbidden", action="register", entity="orders")
        assert "Webhooks of" not in page.text
    assert not sandbox.requests
    assert rows(sandbox) == []


def test_an_operator_of_airflow_may(page_world: PageWorld, sandbox: Sandbox):
    page_world.add("hooks_operated", cloud=sandbox.cloud_ids[0])
    look(page_world.person(OPERATOR), "hooks_operated", action="register", entity="products")
    assert [row["payloadEntity"] for row in rows(sandbox)] == ["PRODUCT"]


def test_what_can_not_be_done_is_said_and_cured(page_world: PageWorld, ada: Person, sandbox: Sandbox):
    page_world.add("hooks_at_fault", cloud=sandbox.cloud_ids[0])
    page_world.add("hooks_no_cloud_id", extra=json.dumps({"refresh_token": sandbox.refresh_token}))
    assert "Cloud ID is missing" in shown_text(look(ada, "hooks_no_cloud_id"))
    page_world.add("žižkov", cloud=sandbox.cloud_ids[0])
    page = look(ada, "žižkov")
    assert "Copy the connection under such an id" in shown_text(page)
    assert "Register orders" not in page.text
    assert "no changes of 'nonsense'" in shown_text(look(ada, "hooks_at_fault", action="register", entity="nonsense"))
    sandbox.faults.append(Fault("reset", method="POST", path="/webhooks"))
    page = look(ada, "hooks_at_fault", action="register", entity="orders")
    assert "Run this again" in shown_text(page)
    assert "not registered" in line(page, "orders")
    page_world.add("hooks_refused", cloud=sandbox.cloud_ids[0], token="wrong-refresh-token")
    page = look(ada, "hooks_refused")
    assert "check the cloud's id" in shown_text(page)
    assert "Connect hooks_refused again" in shown_text(page)


def test_the_last_delivery_is_the_newest_event_of_a_webhook(database: Path):
    then, now = datetime(2026, 1, 1, 12, tzinfo=timezone.utc), datetime(2026, 1, 2, tzinfo=timezone.utc)
    others = [{}, {"payload": {"source": "poll"}}, {"payload": "webhook"}, ["webhook"], "webhook"]
    products = ORDERS.replace("orders", "products")
    add_events(ORDERS, [*others, {"payload": {"source": "webhook"}}], then)
    add_events(ORDERS, others, now)
    add_events(products, others, now)
    asked = [ORDERS, products, ORDERS.replace("orders", "customers")]
    assert last_deliveries(asked) == {ORDERS: then, products: None}
    add_events(ORDERS, [{}] * LATEST, now)
    assert last_deliveries([ORDERS]) == {ORDERS: None}


def test_an_airflow_that_receives_none_says_how_to_switch_that_on_and_offers_no_registration():
    connection = StoredConnection("dotypos_default", "", None, None, None, None, {})
    shown = pages.render(
        "webhooks.html",
        csrf_token="",
        connection=connection,
        receives=False,
        address_problem=None,
        overview=None,
        done=None,
        problem=None,
    )
    assert "AIRFLOW__DOTYPOS__WEBHOOKS=True" in shown
    assert "Register" not in shown
