"""Single rows, plain lists and the walk, over real sockets."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone

import pytest

from airflow_provider_dotypos import exceptions as errors
from airflow_provider_dotypos.api.reading import Reader
from airflow_provider_dotypos.api.window import Window
from airflow_provider_dotypos.sandbox import Behaviour, Sandbox
from tests.conftest import NewClient


@pytest.fixture
def reader(new_client: NewClient) -> Reader:
    return Reader(new_client())


def test_a_row_is_got_with_numbers_as_the_api_gives_them(sandbox: Sandbox, reader: Reader) -> None:
    row = sandbox.shop.insert(sandbox.cloud_ids[0], "products", {"name": "Espresso", "priceWithVat": 50})
    found = reader.get("products", row["id"])
    assert (found["id"], found["name"], found["priceWithVat"]) == (str(row["id"]), "Espresso", "50")


@pytest.mark.parametrize("id", ["abc", "1/..", True, 1.5, ""])
def test_an_id_is_a_whole_number(reader: Reader, id: object) -> None:
    with pytest.raises(errors.DotyposInputError, match="whole number"):
        reader.get("products", id)  # type: ignore[arg-type]


@pytest.mark.parametrize("behaviour", [Behaviour(), Behaviour(allow_version="ignored", next_page="null")])
@pytest.mark.parametrize("count", [0, 1, 99, 100, 101, 250])
def test_rows_come_page_by_page_to_the_end(sandbox: Sandbox, reader: Reader, count: int, behaviour: Behaviour) -> None:
    sandbox.behaviour = behaviour
    for _ in range(count):
        sandbox.shop.insert(sandbox.cloud_ids[0], "orders", {})
    assert len(list(reader.rows("orders", sort="-versionDate"))) == count


def test_rows_hide_deleted_ones_and_changes_show_them(sandbox: Sandbox, reader: Reader) -> None:
    then = int((datetime.now(timezone.utc) - timedelta(hours=1)).timestamp() * 1000)
    for deleted in (False, True, None):
        sandbox.shop.insert(sandbox.cloud_ids[0], "products", {"deleted": deleted, "versionDate": then})
    assert len(list(reader.rows("products"))) == 2
    assert len(list(reader.rows("products", filter="deleted|in|0,1"))) == 3
    window = Window(then, then + 1)
    assert len(list(reader.changes("products", window))) == 3
    assert len(list(reader.changes("products", window, filter="deleted|eq|0"))) >= 1


def test_a_wrong_cloud_is_not_an_empty_list(sandbox: Sandbox, new_client: NewClient) -> None:
    sandbox.behaviour = Behaviour(allow_version="ignored")
    with pytest.raises(errors.DotyposAuthenticationError, match="Cloud ID"):
        list(Reader(new_client(cloud_id=1)).rows("orders"))


def test_a_wrong_warehouse_is_not_an_empty_list(sandbox: Sandbox, reader: Reader) -> None:
    with pytest.raises(errors.DotyposNotFoundError):
        list(reader.rows("warehouse-products", warehouse_id=5))
    with pytest.raises(errors.DotyposNotFoundError):
        list(reader.changes("warehouse-products", Window(0, 1), warehouse_id=5))


def test_what_lies_below_a_warehouse_needs_one_for_rows_and_takes_all_for_changes(
    sandbox: Sandbox, reader: Reader
) -> None:
    cloud = sandbox.cloud_ids[0]
    second = sandbox.shop.insert(cloud, "warehouses", {"name": "Cellar"})["id"]
    first = sandbox.shop.rows(cloud, "warehouses")[0]["id"]
    for warehouse in (first, second):
        sandbox.shop.insert(cloud, "warehouse-products", {"_warehouseId": warehouse, "stockStatusVersiondate": 1000})
    with pytest.raises(errors.DotyposInputError, match="warehouse_id="):
        list(reader.rows("warehouse-products"))
    assert len(list(reader.rows("warehouse-products", warehouse_id=second))) == 1
    assert len(list(reader.changes("warehouse-products", Window(0, 5000)))) == 2
    assert len(list(reader.changes("warehouse-products", Window(0, 5000), warehouse_id=second))) == 1


def test_clouds_are_listed_by_a_token_without_a_cloud(sandbox: Sandbox, new_client: NewClient) -> None:
    found = Reader(new_client(cloud_id=None)).clouds()
    assert [row["id"] for row in found] == [str(id) for id in sandbox.cloud_ids]


def test_included_lists_are_nested(sandbox: Sandbox, reader: Reader) -> None:
    order = sandbox.shop.insert(sandbox.cloud_ids[0], "orders", {})
    sandbox.shop.insert(sandbox.cloud_ids[0], "order-items", {"_orderId": order["id"]})
    row = next(reader.rows("orders", include=["orderItems", "moneyLogs"]))
    assert len(row["orderItems"]) == 1
    assert row["moneyLogs"] == []


class TestGet:
    def test_one_object_takes_no_id(self, sandbox: Sandbox, new_client: NewClient) -> None:
        reader = Reader(new_client())
        assert reader.get("manifest")
        with pytest.raises(errors.DotyposInputError, match="manifest is one object"):
            reader.get("manifest", 123)

    @pytest.mark.parametrize("id", [None, True, "", "x", "1.0", 1.5, "--5", "٣", "²", "1" * 20, "1 2", "1/2"])
    def test_a_row_is_named_by_a_whole_number(self, sandbox: Sandbox, new_client: NewClient, id: object) -> None:
        with pytest.raises(errors.DotyposInputError, match="an id is a whole number"):
            Reader(new_client()).get("taxes", id)  # type: ignore[arg-type]
        assert not sandbox.requests

    def test_ids_of_the_system_are_read(self, sandbox: Sandbox, new_client: NewClient) -> None:
        with pytest.raises(errors.DotyposNotFoundError):
            Reader(new_client()).get("taxes", " -401 ")
