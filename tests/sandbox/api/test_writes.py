"""Writing rows.

Tests `sandbox/api/writes`, `sandbox/api/rules`.
"""

from __future__ import annotations

from typing import Any

import pytest

from airflow_provider_dotypos.sandbox import Behaviour, Sandbox
from tests.sandbox.conftest import Api, complaints


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
        ({"name": "x" * 401}, "name: must have at most 400 characters"),
        ({"notes": ["short", "x" * 1001]}, "notes: must have at most 1000 characters"),
        ({"_supplierId": "5"}, "_supplierId: does not exist"),
        ({"_defaultCourseId": 5}, "_defaultCourseId: does not exist"),
        ({"unit": "Bucket"}, "unit: must be one of Piece, "),
        ({"stockOverdraft": "MAYBE"}, "stockOverdraft: must be one of ALLOW, WARN, DISABLE"),
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


def test_put_of_one_forgets_what_it_does_not_name(api: Api, sandbox: Sandbox, cloud: int, category: int) -> None:
    supplier = sandbox.shop.insert(cloud, "suppliers", {"name": "S"})["id"]
    extras = {"description": "strong", "externalId": "E-1", "tags": ["a"], "sortOrder": 3, "_supplierId": supplier}
    (row,) = api("POST", "products", json=[product(category, allergens=[7], **extras)]).json()
    sandbox.shop.update(cloud, "products", int(row["id"]), {"modifiedBy": "till", "created": 1_700_000_000_000})
    before = api("GET", f"products/{row['id']}")
    assert before.json()["externalIds"] == ["E-1"]
    body = product(category, name="b", modifiedBy="me", created=0)
    headers = {"If-Match": before.headers["ETag"]}
    after = api("PUT", f"products/{row['id']}", json=body, headers=headers).json()
    assert api("GET", f"products/{row['id']}").json() == after
    assert {name: after[name] for name in extras} == dict.fromkeys(extras)
    assert (after["externalIds"], after["allergens"], after["name"]) == (None, [], "b")
    for name in ("id", "_cloudId", "created", "modifiedBy"):
        assert after[name] == before.json()[name]
    assert after["versionDate"] >= before.json()["versionDate"]


def test_put_stores_what_a_create_would_store(api: Api, category: int) -> None:
    (fresh,) = api("POST", "products", json=[product(category)]).json()
    rich = product(category, description="x", ean=["1"], priceWithVatB=3, translatedName={"cs": "y"}, plu=["4"])
    (row,) = api("POST", "products", json=[rich]).json()
    headers = {"If-Match": api("GET", f"products/{row['id']}").headers["ETag"]}
    put = api("PUT", f"products/{row['id']}", json=product(category), headers=headers).json()
    assert {**put, "id": None, "versionDate": None} == {**fresh, "id": None, "versionDate": None}


def test_put_of_an_array_forgets_what_it_does_not_name(api: Api, category: int) -> None:
    api("POST", "products", json=[product(category, description=name, externalId=name) for name in "ab"])
    page = api("GET", "products")
    rows = [product(category) | {"id": row["id"]} for row in page.json()["data"]]
    rows[1]["description"] = "kept"
    answer = api("PUT", "products", json=rows, headers={"If-Match": page.headers["ETag"]}).json()
    assert [(row["description"], row["externalId"]) for row in answer] == [(None, None), ("kept", None)]
    assert api("GET", "products").json()["data"] == answer


def test_what_only_the_server_sets(api: Api, category: int) -> None:
    body = product(category, modifiedBy="me", created=0, imageUrl="https://example.invalid/x.png", externalIds=["X"])
    created = api("PUT", "products/77", json=body)
    row = created.json()
    assert [row[name] for name in ("modifiedBy", "created", "imageUrl", "externalIds")] == [None] * 4
    etag = {"If-Match": created.headers["ETag"]}
    changed = api("PATCH", "products/77", json={"modifiedBy": "me", "externalIds": ["X"]}, headers=etag).json()
    assert (changed["modifiedBy"], changed["externalIds"]) == (None, None)


def test_an_image_can_only_be_cleared(api: Api, sandbox: Sandbox, cloud: int, category: int) -> None:
    url = "https://example.invalid/x.png"
    (row,) = api("POST", "products", json=[product(category)]).json()
    sandbox.shop.update(cloud, "products", int(row["id"]), {"imageUrl": url})

    def put(**fields: Any) -> Any:
        headers = {"If-Match": api("GET", f"products/{row['id']}").headers["ETag"]}
        return api("PUT", f"products/{row['id']}", json=product(category, **fields), headers=headers).json()["imageUrl"]

    assert put(imageUrl="https://example.invalid/other.png") == url
    assert put() is None


def test_documented_defaults(api: Api, sandbox: Sandbox, cloud: int, category: int) -> None:
    dish = sandbox.shop.insert(cloud, "products", {"name": "Dish", "_categoryId": category})["id"]
    body = {"_categoryId": category, "_productId": dish, "flags": 0, "maxSelected": 1, "minSelected": 0, "sortOrder": 1}
    (row,) = api("POST", "product-customizations", json=[body | {"maxItemQuantity": 5}]).json()
    path = f"product-customizations/{row['id']}"
    headers = {"If-Match": api("GET", path).headers["ETag"]}
    assert api("PUT", path, json=body, headers=headers).json()["maxItemQuantity"] == "1"


def test_a_body_of_one_row_has_the_id_of_its_path(api: Api, category: int) -> None:
    created = api("PUT", "products/77", json=product(category) | {"id": "77"})
    headers = {"If-Match": created.headers["ETag"]}
    for method, body in (("PUT", product(category)), ("PATCH", {"name": "b"})):
        refused = api(method, "products/77", json=body | {"id": 78}, headers=headers)
        assert "id: must be the id of the path" in complaints(refused)


@pytest.mark.parametrize(
    ("entity", "body"),
    [
        ("tags", {"name": "new", "display": True}),
        ("taxes", {"name": "new", "value": 3, "flags": 0}),
    ],
)
def test_two_rows_of_one_call_may_not_clash(
    api: Api, sandbox: Sandbox, cloud: int, entity: str, body: dict[str, Any]
) -> None:
    before = sandbox.shop.rows(cloud, entity)
    assert api("POST", entity, json=[body, body]).status_code == 409
    assert sandbox.shop.rows(cloud, entity) == before


@pytest.mark.parametrize(("option", "field"), [("productIsIngredient", 0), ("productHasIngredients", 1)])
def test_ingredients_hold_a_product(
    api: Api, sandbox: Sandbox, cloud: int, category: int, option: str, field: int
) -> None:
    ids = [sandbox.shop.insert(cloud, "products", {"name": name, "_categoryId": category})["id"] for name in "ab"]
    sandbox.shop.insert(cloud, "product-ingredients", {"_productId": ids[0], "_parentProductId": ids[1]})
    path = f"products/{ids[field]}"
    assert api("DELETE", path).status_code == 409
    assert option in complaints(api("DELETE", path, json={option: "MAYBE"}))
    assert api("DELETE", path, json={option: "DELETE"}).status_code == 200
    assert [row["deleted"] for row in sandbox.shop.rows(cloud, "product-ingredients")] == [True]


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


def test_what_is_as_long_as_it_may_be_is_taken(api: Api, category: int) -> None:
    longest = product(category, name="x" * 400, notes=["ž" * 1000], hexColor="#607D8B")
    assert api("POST", "products", json=[longest]).status_code == 201


def test_references_in_a_list_lead_to_rows(api: Api, sandbox: Sandbox, cloud: int, category: int) -> None:
    dish = sandbox.shop.insert(cloud, "products", {"name": "Dish", "_categoryId": category})["id"]
    body = {"_categoryId": category, "_productId": dish, "flags": 0, "maxSelected": 1, "minSelected": 0, "sortOrder": 1}
    wrong = body | {"_defaultProductIds": [str(dish), "5"]}
    assert "_defaultProductIds: does not exist" in complaints(api("POST", "product-customizations", json=[wrong]))
    right = body | {"_defaultProductIds": [str(dish), "-401"]}  # ids of the system lead to no row
    assert api("POST", "product-customizations", json=[right]).status_code == 201


def test_a_customer_is_anonymized_once(api: Api, sandbox: Sandbox, cloud: int) -> None:
    person = {"firstName": "Jana", "email": "jana@example.invalid", "note": "VIP", "tags": ["vip"], "points": 7.0}
    id, other = (sandbox.shop.insert(cloud, "customers", person)["id"] for _ in range(2))
    path = f"customers/{id}"
    assert complaints(api("DELETE", f"{path}?anonymize=yes")) == "anonymize: must be true or false"
    assert complaints(api("DELETE", "taxes/1?anonymize=true")) == "anonymize: is for customers"
    gone = api("DELETE", f"{path}?anonymize=true").json()
    assert (gone["deleted"], gone["points"]) == (True, "7")
    assert [gone[name] for name in ("firstName", "email", "note", "tags")] == ["", "", None, []]
    assert api("GET", path).json() == gone
    again = api("DELETE", f"{path}?anonymize=true")
    assert (again.status_code, again.json()) == (200, gone)
    api("DELETE", f"customers/{other}")
    late = api("DELETE", f"customers/{other}?anonymize=true").json()
    assert (late["firstName"], late["deleted"]) == ("Jana", True)
    assert [(w.op, w.id) for w in sandbox.writes] == [("delete", id), ("delete", other)]


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
