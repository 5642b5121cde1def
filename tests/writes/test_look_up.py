from __future__ import annotations

import random
from collections.abc import Mapping
from typing import Any, TypeVar

import pytest

from airflow_provider_dotypos.api.entities import find_entity
from airflow_provider_dotypos.sandbox import Behaviour, Fault, Sandbox
from airflow_provider_dotypos.sandbox.behaviour import WRITE_CHOICES
from airflow_provider_dotypos.writes.look_up import asked_index, can_be_asked, groups, look_up, rows_by_key
from tests.conftest import NewClient

K = TypeVar("K")

PRODUCTS = find_entity("products")


def insert(sandbox: Sandbox, entity: str = "products", **row: Any) -> str:
    return str(sandbox.shop.insert(sandbox.cloud_ids[0], entity, row)["id"])


def asked(sandbox: Sandbox) -> int:
    return sum(request.path.endswith("/products") for request in sandbox.requests)


def ids(rows: Mapping[K, list[dict[str, Any]]]) -> dict[K, list[str]]:
    return {key: sorted(str(row["id"]) for row in same) for key, same in rows.items()}


def test_a_hundred_values_take_one_request_if_each_has_its_row(sandbox: Sandbox, new_client: NewClient) -> None:
    of = {f"P-{n}": insert(sandbox, externalId=f"P-{n}") for n in range(230)}
    insert(sandbox, externalId="other")
    rows = new_client().run(look_up(new_client(), PRODUCTS, "externalId", of))
    assert ids(rows) == {value: [id] for value, id in of.items()}
    assert asked(sandbox) == 3


@pytest.mark.parametrize("deleted_null", ["live", "excluded"])
@pytest.mark.parametrize("numbers", ["text", "number"])
def test_each_kind_of_row_comes(deleted_null: str, numbers: str, new_client: NewClient, sandbox: Sandbox) -> None:
    sandbox.behaviour = Behaviour(deleted_null=deleted_null, numbers=numbers, ties="shuffled")
    live, null = insert(sandbox, externalId="a"), insert(sandbox, externalId="b", deleted=None)
    twin = insert(sandbox, externalId="a", deleted=None)
    gone = insert(sandbox, externalId="c", deleted=True)
    insert(sandbox, externalId="b", deleted=True)  # beside a row that isn't deleted it doesn't matter
    rows = new_client().run(look_up(new_client(), PRODUCTS, "externalId", ["a", "b", "c", "d"]))
    assert ids(rows) == {"a": sorted([live, twin]), "b": [null], "c": [gone]}
    assert asked(sandbox) == 2


def test_what_is_unknown_of_the_api_changes_nothing(sandbox: Sandbox, new_client: NewClient) -> None:
    of = {f"P-{n}": insert(sandbox, externalId=f"P-{n}", deleted=(False, None, True)[n % 3]) for n in range(150)}
    insert(sandbox, externalId="P-0", deleted=True)
    twin = insert(sandbox, externalId="P-1", deleted=None)
    expected = {value: [id] for value, id in of.items()} | {"P-1": sorted([of["P-1"], twin])}
    client = new_client()
    for behaviour in random.Random(4).sample([*Behaviour.combinations()], 20):
        sandbox.behaviour = behaviour
        rows = client.run(look_up(client, PRODUCTS, "externalId", [*of, "none"]))
        assert ids(rows) == expected, behaviour


def test_rows_are_looked_up_by_their_ids_and_by_entries_of_lists(sandbox: Sandbox, new_client: NewClient) -> None:
    first, second = insert(sandbox, ean=["1", "2"]), insert(sandbox, ean=["2", "3"])
    client = new_client()
    assert ids(client.run(look_up(client, PRODUCTS, "id", [first, "5"]))) == {first: [first]}
    by_ean = client.run(look_up(client, PRODUCTS, "ean", ["1", "2", "4"]))
    assert ids(by_ean) == {"1": [first], "2": sorted([first, second])}


def test_rows_of_a_warehouse_are_looked_up(sandbox: Sandbox, new_client: NewClient) -> None:
    cloud = sandbox.cloud_ids[0]
    warehouse = sandbox.shop.rows(cloud, "warehouses")[0]["id"]
    product = sandbox.shop.insert(cloud, "products", {})["id"]
    sandbox.shop.insert(cloud, "warehouse-products", {"id": product, "_warehouseId": warehouse})
    client = new_client()
    entity = find_entity("warehouse-products")
    rows = client.run(look_up(client, entity, "id", [str(product)], parent=str(warehouse)))
    assert ids(rows) == {str(product): [str(product)]}


@pytest.mark.parametrize("many", [130, 450])
def test_all_rows_of_a_value_come_although_no_page_shows_them(
    many: int, sandbox: Sandbox, new_client: NewClient
) -> None:
    """450 rows are more than one address can exclude."""
    sandbox.behaviour = Behaviour(ties="stable" if many > 400 else "shuffled")
    same = sorted(insert(sandbox, externalId="same") for _ in range(many))
    other = {f"P-{n}": insert(sandbox, externalId=f"P-{n}") for n in range(60)}
    rows = new_client().run(look_up(new_client(), PRODUCTS, "externalId", [*other, "same"]))
    assert ids(rows) == {value: [id] for value, id in other.items()} | {"same": same}


def test_a_key_is_looked_up_while_all_rows_change(sandbox: Sandbox, new_client: NewClient) -> None:
    """A read of the whole list by page numbers would lose some of these rows."""
    sandbox.behaviour = Behaviour(ties="shuffled")
    of = {f"P-{n}": insert(sandbox, externalId=f"P-{n}") for n in range(400)}
    draw = random.Random(3)

    def edit(*_: object) -> None:
        for id in draw.sample([*of.values()], 50):
            sandbox.shop.update(sandbox.cloud_ids[0], "products", int(id), {"name": "moved"})

    client = new_client()
    client._observer = edit
    assert ids(client.run(look_up(client, PRODUCTS, "externalId", of))) == {value: [id] for value, id in of.items()}


def test_an_empty_404_of_a_gateway_hides_no_row(sandbox: Sandbox, new_client: NewClient) -> None:
    id = insert(sandbox, externalId="a")
    sandbox.faults.append(Fault("404-empty", path="/products"))
    client = new_client()
    assert ids(client.run(look_up(client, PRODUCTS, "externalId", ["a"]))) == {"a": [id]}


def test_groups_have_room_in_an_address() -> None:
    values = [f"{n:03}-{'ž' * 40}" for n in range(100)]
    split = [*groups(values)]
    assert [value for group in split for value in group] == values
    assert max(len(group) for group in split) == 16
    assert [len(group) for group in groups(map(str, range(250)))] == [100, 100, 50]
    assert [*groups(["x" * 5000, "y"])] == [["x" * 5000], ["y"]]


@pytest.mark.parametrize("value", ["a,b", "a;b", "a|b", "a\\b", "a ", "", "null", "notnull", "NULL"])
def test_some_values_cannot_be_asked_for(value: str) -> None:
    assert not can_be_asked(value)
    assert can_be_asked("nulls")


@pytest.mark.parametrize("ties", ["stable", "shuffled"])
def test_what_no_filter_asks_for_is_read_with_the_whole_list(
    ties: str, sandbox: Sandbox, new_client: NewClient
) -> None:
    sandbox.behaviour = Behaviour(ties=ties)
    of = {
        ("Beer, dark", "no filter takes a comma"): insert(
            sandbox, name="Beer, dark", subtitle="no filter takes a comma"
        )
    }
    of |= {(f"Beer {n}", "s"): insert(sandbox, name=f"Beer {n}", subtitle="s") for n in range(250)}
    gone = insert(sandbox, name="Gone", subtitle="s", deleted=True)
    insert(sandbox, name="Beer 1", subtitle="s", deleted=True)
    client = new_client()
    rows = client.run(rows_by_key(client, PRODUCTS, ("name", "subtitle"), [*of, ("Gone", "s"), ("None", "s")]))
    assert ids(rows) == {key: [id] for key, id in of.items()} | {("Gone", "s"): [gone]}


def test_keys_are_found_whatever_escapes_filters_have(sandbox: Sandbox, new_client: NewClient) -> None:
    of = {
        (value,): insert(sandbox, externalId=value) for value in ("a\\b", "a\\,b", "a,b", '"a"', "a%2Cb", "a+b", " a")
    }
    client = new_client()
    for escapes in WRITE_CHOICES["filter_escapes"]:
        sandbox.behaviour = Behaviour(filter_escapes=escapes)
        rows = client.run(rows_by_key(client, PRODUCTS, ("externalId",), of))
        assert ids(rows) == {key: [id] for key, id in of.items()}


def test_only_keys_that_no_filter_takes_need_the_whole_list(sandbox: Sandbox, new_client: NewClient) -> None:
    of = {(value,): insert(sandbox, externalId=value) for value in ("a", "b;c", "null")}
    client = new_client()
    assert ids(client.run(rows_by_key(client, PRODUCTS, ("externalId",), of))) == {key: [id] for key, id in of.items()}
    assert asked(sandbox) == 1 + 4  # by the key; by the walks of live and deleted rows, with a date and without


def test_keys_of_two_fields_are_looked_up_by_the_one_that_tells_most_apart(
    sandbox: Sandbox, new_client: NewClient
) -> None:
    """A deleted twin shows although other rows have the same parent."""
    parent, other = int(insert(sandbox)), int(insert(sandbox))
    products = [int(insert(sandbox)) for _ in range(3)]
    entity = find_entity("product-ingredients")
    of = {
        (str(parent), str(product)): insert(sandbox, entity.name, _parentProductId=parent, _productId=product)
        for product in products
    }
    gone = insert(sandbox, entity.name, _parentProductId=parent, _productId=other, deleted=True)
    insert(sandbox, entity.name, _parentProductId=other, _productId=products[0])
    client, match = new_client(), ("_parentProductId", "_productId")
    keys = [*of, (str(parent), str(other)), (str(other), str(other))]
    assert asked_index(entity, match, keys) == 1
    rows = client.run(rows_by_key(client, entity, match, keys))
    assert ids(rows) == {key: [id] for key, id in of.items()} | {(str(parent), str(other)): [gone]}
    assert sum(request.path.endswith("/product-ingredients") for request in sandbox.requests) == 2
