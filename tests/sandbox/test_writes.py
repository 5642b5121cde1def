"""Writing through the API: rows, stock, webhooks and POS actions."""

from __future__ import annotations

from typing import Any

import pytest

from airflow_provider_dotypos.sandbox import Behaviour, Sandbox
from tests.sandbox.conftest import Api


@pytest.fixture
def category(sandbox: Sandbox, cloud: int) -> int:
    id: int = sandbox.shop.insert(cloud, "categories", {"name": "Coffee"})["id"]
    return id


def product(category: int, **fields: Any) -> dict[str, Any]:
    """The documented example of a create."""
    return {
        "_cloudId": 310101001,
        "_categoryId": category,
        "name": "Espresso",
        "priceWithoutVat": 41.3223140495868,
        "vat": 1.21,
        "unit": "Piece",
        "packaging": 1,
        "points": 0,
        "priceInPoints": 0,
        "discountPercent": 0,
        "discountPermitted": True,
        "display": True,
        "deleted": False,
        "flags": 0,
        "hexColor": "#795548",
        "onSale": False,
        "requiresPriceEntry": False,
        "stockDeduct": True,
        "stockOverdraft": "ALLOW",
        "features": [],
    } | fields


def complaints(answer: Any) -> str:
    assert answer.status_code == 400, answer.text
    return ", ".join(f"{v['fieldName']}: {v['message']}" for v in answer.json()["violations"])


def test_post_takes_an_array_and_answers_in_its_order(api: Api, category: int) -> None:
    answer = api("POST", "products", json=[product(category, name=name) for name in "abc"])
    assert (answer.status_code, [row["name"] for row in answer.json()]) == (201, ["a", "b", "c"])
    assert "ETag" not in answer.headers
    assert answer.json()[0]["priceWithVat"] == "50"


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"id": 5}, "[0].id: must not be given"),
        ({"vat": 21}, "vat: must be a multiplier"),
        ({"vat": 1.17}, "does not match any configured tax rate"),
        ({"name": None}, "name: must not be null"),
        ({"packaging": "many"}, "packaging: must be a number"),
        ({"deleted": True}, "deleted: must not be true"),
        ({"tags": ["a,b"]}, "tags: must not contain"),
        ({"colour": 1}, "colour: unknown field"),
        ({"_categoryId": 1}, "_categoryId: does not exist"),
        ({"flags": 4}, "must agree with bit 2"),
        ({"_cloudId": 7}, "must be the cloud of the path"),
    ],
)
def test_what_is_invalid_is_refused_whole(
    api: Api, sandbox: Sandbox, cloud: int, category: int, change: dict[str, Any], complaint: str
) -> None:
    body = [product(category) | change, product(category)]
    assert complaint in complaints(api("POST", "products", json=body))
    assert sandbox.shop.rows(cloud, "products") == []


def test_a_batch_has_1_to_100_rows(api: Api, category: int) -> None:
    for body in ([], [product(category)] * 101):
        assert "1 to 100" in complaints(api("POST", "products", json=body))
    assert "array" in complaints(api("POST", "products", json=product(category)))


def test_patch_wants_the_etag_of_the_single_row(api: Api, category: int) -> None:
    (row,) = api("POST", "products", json=[product(category)]).json()
    path, change = f"products/{row['id']}", {"id": row["id"], "priceWithoutVat": 45.4545454545455}
    assert api("PATCH", path, json=change).status_code == 428
    of_list = api("GET", "products").headers["ETag"]
    assert api("PATCH", path, json=change, headers={"If-Match": of_list}).status_code == 412
    etag = api("GET", path).headers["ETag"]
    changed = api("PATCH", path, json=change, headers={"If-Match": etag})
    assert (changed.status_code, changed.json()["priceWithoutVat"]) == (200, "45.4545454545455")
    assert changed.json()["name"] == "Espresso"
    assert changed.headers["ETag"] == api("GET", path).headers["ETag"] != etag
    assert api("PATCH", path, json=change, headers={"If-Match": etag}).status_code == 412
    assert api("PATCH", "products/1", json=change, headers={"If-Match": etag}).status_code == 404


def test_an_etag_without_its_quotes_will_do(api: Api, category: int) -> None:
    (row,) = api("POST", "products", json=[product(category)]).json()
    etag = api("GET", f"products/{row['id']}").headers["ETag"].strip('"')
    answer = api("PATCH", f"products/{row['id']}", json={"name": "Lungo"}, headers={"If-Match": etag})
    assert answer.json()["name"] == "Lungo"


def test_another_version_date_is_a_conflict(api: Api, category: int) -> None:
    (row,) = api("POST", "products", json=[product(category)]).json()
    headers = {"If-Match": api("GET", f"products/{row['id']}").headers["ETag"]}
    change = {"name": "x", "versionDate": "2020-01-01T00:00:00Z"}
    assert api("PATCH", f"products/{row['id']}", json=change, headers=headers).status_code == 409
    same = api("PATCH", f"products/{row['id']}", json=change | {"versionDate": row["versionDate"]}, headers=headers)
    assert same.status_code == 200


def test_put_replaces_or_creates(api: Api, category: int) -> None:
    created = api("PUT", "products/77", json=product(category))
    assert (created.status_code, created.json()["id"]) == (201, "77")
    headers = {"If-Match": created.headers["ETag"]}
    assert api("PUT", "products/77", json=product(category, name="b")).status_code == 428
    assert api("PUT", "products/77", json=product(category, name="b"), headers=headers).json()["name"] == "b"


def test_put_of_an_array_wants_the_etag_of_the_same_rows_in_the_same_order(api: Api, category: int) -> None:
    api("POST", "products", json=[product(category, name=name) for name in "ab"])
    page = api("GET", "products")
    rows = [product(category, name=row["name"] * 2) | {"id": row["id"]} for row in page.json()["data"]]
    headers = {"If-Match": page.headers["ETag"]}
    assert api("PUT", "products", json=rows[::-1], headers=headers).status_code == 412
    answer = api("PUT", "products", json=[*rows, product(category, name="new") | {"id": 9}], headers=headers)
    assert (answer.status_code, [row["name"] for row in answer.json()]) == (200, ["aa", "bb", "new"])


def test_delete_is_soft_and_returns_the_row(api: Api, category: int) -> None:
    (row,) = api("POST", "products", json=[product(category)]).json()
    assert api("DELETE", f"categories/{category}").status_code == 409
    gone = api("DELETE", f"products/{row['id']}")
    assert (gone.status_code, gone.json()["deleted"]) == (200, True)
    assert gone.json()["versionDate"] >= row["versionDate"]
    assert api("GET", "products").status_code == 404
    assert api("GET", f"products/{row['id']}").json()["deleted"] is True
    assert api("DELETE", f"categories/{category}").status_code == 200


def test_customers_need_flags_and_a_name(api: Api) -> None:
    told = complaints(api("POST", "customers", json=[{"firstName": " "}]))
    assert "flags: must not be null" in told


def test_the_administrator_is_protected(api: Api, sandbox: Sandbox, cloud: int) -> None:
    sandbox.shop.insert(cloud, "employees", {"id": 0, "name": "Administrator"})
    assert api("DELETE", "employees/0").status_code == 403
    headers = {"If-Match": api("GET", "employees/0").headers["ETag"]}
    assert "can't change" in complaints(api("PATCH", "employees/0", json={"enabled": False}, headers=headers))


def test_webhooks_come_as_a_bare_list(api: Api, sandbox: Sandbox) -> None:
    sandbox.behaviour = Behaviour()
    assert (api("GET", "webhooks").status_code, api("GET", "webhooks").json()) == (200, [])
    hook = {
        "url": "https://example.invalid/x",
        "method": "POST",
        "payloadEntity": "PRODUCT",
        "payloadVersion": "V1",
    }
    created = api("POST", "webhooks", json=hook)
    assert created.status_code == 201
    assert [row["url"] for row in api("GET", "webhooks").json()] == [hook["url"]]
    assert "payloadEntity" in complaints(api("POST", "webhooks", json=hook | {"payloadEntity": "ORDER"}))
    assert api("DELETE", f"webhooks/{created.json()['id']}").status_code == 200
    assert api("GET", "webhooks").json() == []


def test_a_portion_exists_once(api: Api) -> None:
    assert api("POST", "portions", json={"portion": 50, "price": "60.5"}).json()["price"] == "60.5"
    again = api("POST", "portions", json={"portion": "50", "price": 60.5})
    assert (again.status_code, again.json()["reason"]) == (409, "PORTION_ALREADY_EXISTS")


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
        assert api("GET", f"../../..{counted['statusWebhookUrl'].partition('1:')[2].lstrip('0123456789')}").json() == {
            "status": "FINISHED",
            "reason": None,
            "message": None,
        }
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
            "items": [{"_productId": tea, "quantity": 3}],
        }
        assert api("POST", f"warehouses/{other}/transfers", json=body).status_code == 201
        assert (self.level(api, warehouse), self.level(api, other)) == ("-3", "3")


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
            ({"action": "order/pay", "order-id": 5}, 2002),
            ({"action": "order/pay", "order-id": "x"}, 1005),
        ],
    )
    def test_a_refusal_is_a_code_not_a_status(self, api: Api, cloud: int, body: dict[str, Any], code: int) -> None:
        assert self.act(api, cloud, **body)["code"] == code

    def test_with_a_webhook_the_answer_is_empty(self, api: Api, cloud: int) -> None:
        body = {"action": "order/hello", "webhook": "https://example.invalid/x"}
        answer = api("POST", f"branches/{cloud + 100_000_000}/pos-actions", json=body)
        assert (answer.status_code, answer.content) == (200, b"")
