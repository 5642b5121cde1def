"""Plans: a source against a sandbox's cloud (`planning`, `deciding`, `shelf`, `temporary_database`)."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_dotypos.api.client import DotyposClient
from airflow_provider_dotypos.api.entities import find_entity
from airflow_provider_dotypos.api.errors import DotyposInputError
from airflow_provider_dotypos.sandbox import Sandbox
from airflow_provider_dotypos.writes.deciding import FIRST_ID, IDS, create_id
from airflow_provider_dotypos.writes.errors import DotyposLimitError, DotyposPlanError
from airflow_provider_dotypos.writes.plan import PlannedRow
from airflow_provider_dotypos.writes.planning import MadePlan
from tests.conftest import NewClient
from tests.writes.planning import plan, read

PRODUCTS = find_entity("products")


@pytest.fixture
def client(new_client: NewClient) -> DotyposClient:
    return new_client()


@pytest.fixture
def make(client: DotyposClient, tmp_path: Path) -> Callable[..., tuple[MadePlan, list[PlannedRow]]]:
    """Make a plan, and return it with its rows."""

    def run(source: Any, **arguments: Any) -> tuple[MadePlan, list[PlannedRow]]:
        made = plan(client, tmp_path / "plans", source, **arguments)
        header, rows = read(made.path)
        assert header == made.header
        return made, rows

    return run


Make = Callable[..., tuple[MadePlan, list[PlannedRow]]]


def insert(sandbox: Sandbox, entity: str = "products", **row: Any) -> str:
    return str(sandbox.shop.insert(sandbox.cloud_ids[0], entity, row)["id"])


def beer(sandbox: Sandbox, key: str, price: float = 121.0, **row: Any) -> str:
    priced = {"priceWithVat": price, "priceWithoutVat": price / 1.21, "vat": 1.21, "name": f"Beer {key}"}
    return insert(sandbox, externalId=key, **priced | row)


def lists(sandbox: Sandbox) -> list[str]:
    """Return the paths of the requests but sign-ins, without the cloud."""
    paths = [request.path for request in sandbox.requests]
    return [path.rpartition("/")[2] for path in paths if "signin" not in path]


def test_each_row_of_a_source_is_an_update_a_create_unchanged_or_a_conflict(sandbox: Sandbox, make: Make) -> None:
    update, same = beer(sandbox, "update"), beer(sandbox, "same")
    gone = beer(sandbox, "gone", deleted=True)
    for _ in range(2):
        beer(sandbox, "twice")
    sandbox.shop.update(sandbox.cloud_ids[0], "products", int(same), {"name": "Beer same"})
    keys = ("update", "same", "gone", "twice", "new")
    source = [
        {"externalId": key, "name": f"Beer {key}", "subtitle": "0.5 l" if key == "update" else None} for key in keys
    ]
    made, rows = make(source)
    assert rows == [
        PlannedRow("update", ("update",), 1, update, {"subtitle": None}, {"subtitle": "0.5 l"}, rows[0].version),
        PlannedRow(
            "conflict", ("gone",), 3, why="the row with this key is deleted; it is neither revived nor made anew"
        ),
        PlannedRow("conflict", ("twice",), 4, why="2 rows have this key"),
        PlannedRow("conflict", ("new",), 5, why="no row has this key, and actions doesn't name create"),
    ]
    assert made.header.counts == {"rows": 5, "unchanged": 1, "update": 1, "conflict": 3}
    assert made.header.requests == {"patch": 2, "put": 2}
    assert gone not in str(rows)


def test_nothing_is_written_and_a_plan_costs_its_reads(sandbox: Sandbox, make: Make) -> None:
    for n in range(300):
        beer(sandbox, f"P-{n}")
    before = [*sandbox.shop.rows(sandbox.cloud_ids[0], "products")]
    made, _ = make([{"externalId": f"P-{n}", "priceWithVat": "122"} for n in range(50)] + [{"externalId": "P-99"}])
    assert [*sandbox.shop.rows(sandbox.cloud_ids[0], "products")] == before
    assert {request.method for request in sandbox.requests if "signin" not in request.path} == {"GET"}
    assert lists(sandbox) == ["products"]
    assert made.header.counts["update"] == 50


class TestPrices:
    def test_the_price_that_goes_with_it_is_planned_too(self, sandbox: Sandbox, make: Make) -> None:
        beer(sandbox, "a")
        _, (row,) = make([{"externalId": "a", "priceWithVat": Decimal("129.90")}])
        assert row.after == {"priceWithVat": "129.9", "priceWithoutVat": "107.35537190082644"}
        assert row.before == {"priceWithVat": "121", "priceWithoutVat": "100"}

    def test_so_is_that_with_vat(self, sandbox: Sandbox, make: Make) -> None:
        beer(sandbox, "a")
        _, (row,) = make([{"externalId": "a", "priceWithoutVat": "41.3223140495868"}], limits={"price_move": None})
        assert row.after == {"priceWithoutVat": "41.3223140495868", "priceWithVat": "50"}

    def test_what_guests_pay_stays_if_only_the_rate_changes(self, sandbox: Sandbox, make: Make) -> None:
        insert(sandbox, "taxes", value=12.0)
        beer(sandbox, "a", 112.0)
        for source in ({"vat": "1.12"}, {"vat": "1.12", "priceWithVat": 112}):
            _, (row,) = make([{"externalId": "a", **source}])
            assert row.after == {"vat": "1.12", "priceWithVat": "112", "priceWithoutVat": "100"}

    def test_a_row_whose_price_stays_is_unchanged_whatever_the_other_one_is(self, sandbox: Sandbox, make: Make) -> None:
        insert(sandbox, externalId="a", priceWithVat=121.0, priceWithoutVat=99.99, vat=1.21)
        made, rows = make([{"externalId": "a", "priceWithVat": "121.00"}])
        assert (rows, made.header.counts["unchanged"]) == ([], 1)

    def test_prices_in_another_currency_are_a_conflict(self, sandbox: Sandbox, make: Make) -> None:
        beer(sandbox, "a", currency="CZK")
        beer(sandbox, "b", currency="EUR")
        _, rows = make([{"externalId": key, "priceWithVat": 122} for key in "ab"], currency="CZK")
        assert [(row.op, row.why) for row in rows] == [("update", None), ("conflict", "its prices aren't in CZK")]


class TestCreates:
    SOURCE = {  # noqa: RUF012
        "externalId": "new",
        "_categoryId": None,
        "name": "New",
        "discountPercent": 0,
        "discountPermitted": True,
        "display": True,
        "flags": 0,
        "hexColor": "#000000",
        "onSale": False,
        "packaging": 1,
        "points": 0,
        "priceInPoints": 0,
        "priceWithVat": "121",
        "priceWithoutVat": "100",
        "requiresPriceEntry": False,
        "stockDeduct": False,
        "stockOverdraft": "ALLOW",
        "unit": "Piece",
        "vat": "1.21",
    }

    @pytest.fixture
    def source(self, sandbox: Sandbox) -> dict[str, Any]:
        return self.SOURCE | {"_categoryId": insert(sandbox, "categories")}

    def test_a_new_row_gets_the_same_id_each_time(self, sandbox: Sandbox, make: Make, source: dict[str, Any]) -> None:
        made, (row,) = make([source], actions="update,create", currency="CZK")
        assert row.op == "create"
        assert row.id == create_id(sandbox.cloud_ids[0], PRODUCTS, ("new",))
        assert FIRST_ID <= int(row.id) < FIRST_ID + IDS < 2**53
        assert row.after["currency"] == "CZK"
        assert row.after["externalId"] == "new"
        assert made.header.requests == {"patch": 1, "put": 1}
        assert make([source], actions=["create"])[1][0].id == row.id

    def test_what_a_new_row_lacks_is_said_at_once(self, make: Make) -> None:
        with pytest.raises(DotyposPlanError) as error:
            make([{"externalId": "new", "name": "New"}], actions="create")
        assert {problem.field for problem in error.value.problems} >= {"vat", "unit", "_categoryId", "hexColor"}

    def test_a_row_that_is_there_is_left_alone_unless_updates_are_named(
        self, sandbox: Sandbox, make: Make, source: dict[str, Any]
    ) -> None:
        beer(sandbox, "new")
        made, rows = make([source], actions="create")
        assert (rows, made.header.counts["unchanged"]) == ([], 1)

    def test_a_row_that_is_deleted_is_neither_revived_nor_doubled(
        self, sandbox: Sandbox, make: Make, source: dict[str, Any]
    ) -> None:
        beer(sandbox, "new", deleted=True)
        assert make([source], actions="update,create")[1][0].op == "conflict"

    def test_an_id_that_is_not_there_is_no_new_row(self, make: Make) -> None:
        with pytest.raises(DotyposInputError, match="a row that is matched by id can't be created"):
            make([{"id": 5}], match="id", actions="create")


class TestDeletes:
    def test_every_row_of_the_source_is_deleted(self, sandbox: Sandbox, make: Make) -> None:
        id = beer(sandbox, "a")
        beer(sandbox, "gone", deleted=True)
        source = [{"externalId": key, "nonsense": 1} for key in ("a", "gone", "none")]
        made, rows = make(source, actions="delete", limits={"deletes": 1})
        assert rows == [
            PlannedRow(
                "delete", ("a",), 1, id, {"externalId": "a", "versionDate": rows[0].version}, version=rows[0].version
            ),
            PlannedRow("conflict", ("none",), 3, why="no row has this key"),
        ]
        assert made.header.counts == {"rows": 3, "delete": 1, "unchanged": 1, "conflict": 1}
        assert made.header.requests == {"patch": 2, "put": 2}

    def test_none_may_be_deleted_unless_so_many_are_named(self, sandbox: Sandbox, make: Make, tmp_path: Path) -> None:
        beer(sandbox, "a")
        with pytest.raises(DotyposLimitError, match=r"1 rows would be deleted, and limits=\{'deletes': 0\} allows 0"):
            make([{"externalId": "a"}], actions="delete")
        assert not (tmp_path / "plans").exists()
