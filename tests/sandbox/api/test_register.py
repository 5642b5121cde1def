"""The buttons on the sandbox's page."""

from __future__ import annotations

import re
from html import unescape

import pytest
import requests

from airflow_provider_dotypos.sandbox import Sandbox, Shop
from tests.patience import PATIENCE


@pytest.fixture
def open_bistro(sandbox: Sandbox) -> Sandbox:
    sandbox.shop = Shop.generate(days=1, orders_per_day=5)
    return sandbox


def press(sandbox: Sandbox, text: str, cloud: int = 0, **others: str) -> requests.Response:
    """Press a button as a browser does: by the form on the page, with its hidden fields."""
    page = requests.get(sandbox.url, timeout=PATIENCE).text
    form = re.findall(r'<form method="post" action="([^"]+)">(.*?)</form>', page)[cloud]
    fields = dict(re.findall(r'type="hidden" name="(\w+)" value="([^"]*)"', form[1]))
    (button,) = re.findall(rf'name="button" value="(\w+)">{text}<', form[1])
    return requests.post(sandbox.url + form[0], data=fields | {"button": button} | others, timeout=PATIENCE)


def test_a_sale_makes_a_paid_order_and_takes_from_stock(open_bistro: Sandbox) -> None:
    shop, cloud = open_bistro.shop, open_bistro.cloud_ids[0]
    orders = {row["id"] for row in shop.rows(cloud, "orders")}
    page = press(open_bistro, "Sell something")
    (order,) = [row for row in shop.rows(cloud, "orders") if row["id"] not in orders]
    assert (order["paid"], order["versionDate"]) == (True, order["completed"])
    assert sum(log["amount"] for log in shop.table(cloud, "money-logs").children(order["id"])) == pytest.approx(
        order["totalValueRounded"]
    )
    assert page.status_code == 200
    assert f"{order['currency']}: order {order['id']}" in unescape(page.text)


def test_a_price_changes_in_the_cloud_that_was_chosen(open_bistro: Sandbox) -> None:
    shop, (first, second) = open_bistro.shop, open_bistro.cloud_ids
    before = {cloud: shop.rows(cloud, "products") for cloud in (first, second)}
    page = press(open_bistro, "Change a price", cloud=1)
    assert shop.rows(first, "products") == before[first]
    ((old, new),) = [
        pair for pair in zip(before[second], shop.rows(second, "products"), strict=True) if pair[0] != pair[1]
    ]
    assert new["versionDate"] > old["versionDate"]
    assert f"now: product {new['id']}" in page.text


def test_the_page_shows_what_webhooks_delivered(open_bistro: Sandbox) -> None:
    assert "No webhook is registered." in requests.get(open_bistro.url, timeout=PATIENCE).text
    hook = {"payloadEntity": "PRODUCT", "url": "http://127.0.0.1:1/secret-path"}
    open_bistro.shop.insert(open_bistro.cloud_ids[0], "webhooks", hook)
    press(open_bistro, "Change a price")
    assert open_bistro.deliveries.settle(PATIENCE)
    page = requests.get(open_bistro.url, timeout=PATIENCE).text
    assert "<td>PRODUCT</td><td class=number>1</td><td>ConnectError</td>" in page
    assert "secret-path" not in page


def test_another_page_can_press_no_button(open_bistro: Sandbox) -> None:
    for key in ("", "0" * 32):
        assert press(open_bistro, "Change a price", key=key).status_code == 403
    press(open_bistro, "Change a price", cloud=0, button="sell <b>")
    assert list(open_bistro.happened) == []


def test_an_empty_shop_has_no_register(sandbox: Sandbox) -> None:
    assert "<form" not in requests.get(sandbox.url, timeout=PATIENCE).text
