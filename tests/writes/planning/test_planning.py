"""Plans: a source against a sandbox's cloud (`planning`, `deciding`, `cloud_rows`, `temporary_database`)."""

from __future__ import annotations

import logging
import random
from collections.abc import Callable
from contextlib import suppress
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_dotypos.api.budget import DotyposBudgetError
from airflow_provider_dotypos.api.client import DotyposClient
from airflow_provider_dotypos.api.entities import find_entity
from airflow_provider_dotypos.api.errors import (
    DotyposCancelledError,
    DotyposInputError,
    DotyposNotFoundError,
    DotyposResponseError,
)
from airflow_provider_dotypos.sandbox import Behaviour, Fault, Sandbox
from airflow_provider_dotypos.sandbox.behaviour import BEST_KNOWN
from airflow_provider_dotypos.writes.errors import DotyposLimitError, DotyposPlanError
from airflow_provider_dotypos.writes.plan import PlannedRow
from airflow_provider_dotypos.writes.planning.deciding import FIRST_ID, IDS, create_id
from airflow_provider_dotypos.writes.planning.planning import MadePlan
from tests.conftest import NewClient
from tests.writes.made_plans import plan, read

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


def repr_of_switches(behaviour: Behaviour) -> str:
    """Return the switches that aren't in their usual position."""
    return ", ".join(f"{name}={value}" for name, value in vars(behaviour).items() if value != getattr(BEST_KNOWN, name))


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
        PlannedRow(
            "update",
            ("update",),
            1,
            update,
            {"subtitle": None, "externalId": "update"},
            {"subtitle": "0.5 l"},
            rows[0].version,
        ),
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


@pytest.mark.parametrize(
    ("row", "fields"),
    [({}, None), ({"deleted": False, "_cloudId": None}, None), ({"name": "Beer"}, "externalId")],
)
def test_a_source_of_keys_alone_is_a_mistake(make: Make, sandbox: Sandbox, row: dict[str, Any], fields: Any) -> None:
    beer(sandbox, "a")
    with pytest.raises(DotyposPlanError, match="there is nothing to write: no field but externalId"):
        make([{"externalId": "a", **row}], fields=fields)
    assert make([{"externalId": "a", "name": None}])[0].header.counts["unchanged"] == 1
    assert make([{"externalId": "a"}], actions="update,create")[0].header.counts["unchanged"] == 1


class TestPrices:
    def test_the_price_that_goes_with_it_is_planned_too(self, sandbox: Sandbox, make: Make) -> None:
        beer(sandbox, "a")
        _, (row,) = make([{"externalId": "a", "priceWithVat": Decimal("129.90")}])
        assert row.after == {"priceWithVat": "129.9", "priceWithoutVat": "107.35537190082644"}
        assert row.before == {"priceWithVat": "121", "priceWithoutVat": "100", "vat": "1.21", "externalId": "a"}

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
        beer(sandbox, "c", currency="EUR")
        source = [{"externalId": "a", "priceWithVat": 122}, {"externalId": "b", "priceWithVat": 122}]
        _, rows = make([*source, {"externalId": "c", "priceWithVat": 121, "name": "New"}], currency="CZK")
        assert [(row.op, row.why) for row in rows] == [
            ("update", None),
            ("conflict", "its prices aren't in CZK"),
            ("update", None),
        ]


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

    def test_a_key_that_a_database_has_padded_makes_no_twin(self, make: Make, source: dict[str, Any]) -> None:
        padded = source | {"externalId": "new   "}
        for actions, why in (("update,create", "trim it"), ("update", "no row has this key with blanks at its ends")):
            (row,) = make([padded], actions=actions)[1]
            assert row.op == "conflict"
            assert why in str(row.why)

    @pytest.mark.parametrize("match", ["id", "externalId,id"])
    def test_an_id_that_is_not_there_is_no_new_row(self, make: Make, match: str) -> None:
        with pytest.raises(DotyposInputError, match="a row that is matched by id can't be created"):
            make([{"id": 5, "externalId": "a"}], match=match, actions="create")


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


class TestKeys:
    @pytest.mark.parametrize("names", [("Old", "New"), ("New", "Old")])
    def test_two_keys_of_one_row_cannot_want_different_things(
        self, sandbox: Sandbox, make: Make, names: tuple[str, str]
    ) -> None:
        insert(sandbox, ean=["1", "2"], name="Old")
        _, rows = make([{"ean": ean, "name": name} for ean, name in zip("12", names, strict=True)], match="ean")
        assert ("conflict", ("2",)) in [(row.op, row.key) for row in rows]
        made, rows = make([{"ean": ean, "name": "Old"} for ean in "12"], match="ean")
        assert (rows, made.header.counts["unchanged"]) == ([], 2)

    def test_two_keys_of_one_row_are_a_conflict_of_the_second(self, sandbox: Sandbox, make: Make) -> None:
        id = insert(sandbox, ean=["1", "2"], name="Old")
        _, rows = make([{"ean": ean, "name": ean} for ean in ("1", "2")], match="ean")
        assert [(row.op, row.id, row.why) for row in rows] == [
            ("update", id, None),
            ("conflict", None, "row 1 of the source is about the same row"),
        ]
        assert rows[0].after == {"name": "1"}

    def test_rows_are_matched_by_several_fields(self, sandbox: Sandbox, make: Make) -> None:
        parent, salt = int(insert(sandbox)), int(insert(sandbox))
        names = ("_parentProductId", "_productId")
        id = insert(sandbox, "product-ingredients", **dict(zip(names, (parent, salt), strict=True)), quantity=1.0)
        source = [{names[0]: parent, names[1]: str(product), "quantity": "2"} for product in (salt, parent)]
        _, rows = make(source, entity="product-ingredients", match=names)
        assert [(row.op, row.key, row.id) for row in rows] == [
            ("update", (str(parent), str(salt)), id),
            ("conflict", (str(parent), str(parent)), None),
        ]

    def test_keys_that_no_filter_takes_are_found_in_the_whole_list(self, sandbox: Sandbox, make: Make) -> None:
        ids = [beer(sandbox, key) for key in ("plain", "a,b", "c|d")]
        _, rows = make([{"externalId": key, "name": "New"} for key in ("c|d", "plain", "a,b")])
        assert [row.id for row in rows] == [ids[2], ids[0], ids[1]]
        assert len(lists(sandbox)) == 1 + 4

    def test_a_field_that_cannot_be_asked_for_is_compared_with_the_whole_list(
        self, sandbox: Sandbox, make: Make
    ) -> None:
        id = insert(sandbox, "customers", email="jan@example.com", points=1.0)
        insert(sandbox, "customers", email="eva@example.com")
        _, (row,) = make([{"email": "jan@example.com", "points": 2}], entity="customers", match="email")
        assert (row.op, row.id) == ("update", id)

    def test_a_list_is_read_whole_if_that_takes_fewer_requests(self, sandbox: Sandbox, make: Make) -> None:
        ids = {beer(sandbox, f"P-{n}"): f"P-{n}" for n in range(150)}
        beer(sandbox, "P-900", deleted=True)
        made, rows = make([{"externalId": f"P-{n}", "name": "New"} for n in range(1000)], limits={"changes": None})
        assert {row.id: row.key[0] for row in rows if row.op == "update"} == ids
        assert made.header.counts == {"rows": 1000, "update": 150, "conflict": 850}
        assert sum("is deleted" in str(row.why) for row in rows) == 1
        assert len(lists(sandbox)) == 1 + 5  # the count; live rows on two pages, others, and those without a date

    def test_a_row_of_another_cloud_is_a_conflict(self, sandbox: Sandbox, make: Make) -> None:
        id = beer(sandbox, "a")
        sandbox.shop.table(sandbox.cloud_ids[0], "products").rows[int(id),]["_cloudId"] = 5
        _, (row,) = make([{"externalId": "a", "name": "New"}])
        assert row.why == "the row with this key belongs to another cloud"


class TestNulls:
    def test_a_null_leaves_a_field_as_it_is(self, sandbox: Sandbox, make: Make) -> None:
        beer(sandbox, "a", subtitle="0.5 l")
        assert make([{"externalId": "a", "subtitle": None}])[1] == []

    def test_a_null_clears_a_field_if_that_is_said(self, sandbox: Sandbox, make: Make) -> None:
        beer(sandbox, "a", subtitle="0.5 l")
        _, (row,) = make([{"externalId": "a", "subtitle": None}], nulls="clear")
        assert (row.before, row.after) == ({"subtitle": "0.5 l", "externalId": "a"}, {"subtitle": None})

    def test_fields_narrow_what_is_written(self, sandbox: Sandbox, make: Make) -> None:
        beer(sandbox, "a")
        _, (row,) = make([{"externalId": "a", "name": "New", "versionDate": 1, "nonsense": 2}], fields="name")
        assert row.after == {"name": "New"}


@pytest.mark.parametrize(
    "behaviour",
    [
        Behaviour(numbers="number", nulls="omitted", timestamp_zone="+01:00", timestamp_precision="s"),
        Behaviour(deleted_null="excluded", ties="shuffled", allow_version="ignored", timestamp_zone="+0000"),
        *Behaviour.of_writes(),
    ],
    ids=repr_of_switches,
)
def test_what_a_plan_asks_for_is_there_after_it_under_every_switch(
    behaviour: Behaviour, sandbox: Sandbox, make: Make
) -> None:
    """The second plan has nothing to do."""
    sandbox.behaviour = behaviour
    cloud = sandbox.cloud_ids[0]
    beer(sandbox, "a", deleted=None, ean=["2", "1"], tags=["x", "y"], subtitle="", flags=-(2**31))
    beer(sandbox, "b", 0.1 + 0.2)
    source = [
        {"externalId": "a", "priceWithVat": "129.90", "tags": ["y", "x"], "ean": ["2", "1"], "flags": -(2**31)},
        {"externalId": "b", "priceWithoutVat": "0.24793388429752066115702479338842975206612", "name": "Žluťoučký"},
    ]
    made, rows = make(source)
    assert made.header.counts["update"] == 2
    for row in rows:
        changes = {name: float(v) if name.startswith("price") else v for name, v in row.after.items()}
        sandbox.shop.update(cloud, "products", int(row.id or 0), changes)
    assert make(source)[0].header.counts == {"rows": 2, "unchanged": 2}


class TestProblems:
    def test_those_of_all_rows_come_at_once_with_what_shows_only_in_the_cloud(
        self, sandbox: Sandbox, make: Make, tmp_path: Path
    ) -> None:
        beer(sandbox, "a")
        source = [
            {"externalId": "a", "nmae": "x"},
            {"externalId": "b", "vat": 21},
            {"externalId": "c", "name": "new"},
            {"externalId": "d", "vat": "1.5", "name": "new"},
        ]
        with pytest.raises(DotyposPlanError) as error:
            make(source, actions="update,create")
        found = {(problem.row, problem.field) for problem in error.value.problems}
        assert {(1, "nmae"), (2, "vat"), (3, "unit"), (4, "vat"), (4, "unit")} <= found
        assert not (tmp_path / "plans").exists()

    def test_thirty_kinds_come_in_one_error(self, sandbox: Sandbox, make: Make, tmp_path: Path) -> None:
        for n in range(40):
            beer(sandbox, f"P-{n}", flags=0, requiresPriceEntry=False)
        wrong: list[dict[str, Any]] = [
            {"nmae": "x"},
            {"versionDate": "2026-03-01T12:00:00Z"},
            {"purchasePriceWithoutVat": "5"},
            {"name": "x" * 401},
            {"hexColor": "#0000000"},
            {"name": None},
            {"name": {"en": "x"}},
            {"name": "a\0b"},
            {"name": "\ud83c"},
            {"translatedName": "Tea"},
            {"priceWithVat": "many"},
            {"priceWithVat": "12,50"},
            {"priceWithVat": float("nan")},
            {"priceWithVat": float("inf")},
            {"vat": "21"},
            {"vat": "0.21"},
            {"vat": "250"},
            {"vat": "1.15"},
            {"priceWithVat": "121", "priceWithoutVat": "121"},
            {"tags": ["a(b)"]},
            {"tags": {"a"}},
            {"display": "maybe"},
            {"flags": "1.5"},
            {"flags": 2**70},
            {"flags": 4},
            {"sortOrder": 1e17},
            {"imageUrl": "https://example.com/beer.png"},
            {"deleted": True},
            {"_cloudId": 5},
            {"_categoryId": "beers"},
        ]
        source = [{"externalId": f"P-{n}", **row} for n, row in enumerate(wrong)]
        source += [
            {"name": "no key"},
            {"externalId": "P-39"},
            {"externalId": "P-39"},
            {"externalId": "new", "name": "x"},
        ]
        with pytest.raises(DotyposPlanError) as error:
            make(source, actions="update,create", nulls="clear")
        found = {(problem.row, problem.field) for problem in error.value.problems}
        assert found >= {
            (n, next(iter(row))) for n, row in enumerate(wrong, 1) if "flags" not in row or row["flags"] != 4
        }
        assert found >= {(25, "requiresPriceEntry"), (31, "externalId"), (33, "externalId"), (34, "vat")}
        assert len(str(error.value).splitlines()) >= 1 + 30
        assert not (tmp_path / "plans").exists()
        assert {request.method for request in sandbox.requests if "signin" not in request.path} == {"GET"}

    def test_those_of_the_source_alone_cost_no_request_if_the_cloud_would_cost_many(
        self, sandbox: Sandbox, make: Make
    ) -> None:
        source = [{"externalId": str(n), "name": "x" * 401 if n else "x"} for n in range(1200)]
        with pytest.raises(DotyposPlanError, match="1199 problems"):
            make(source)
        source = [{"externalId": str(n), "name": "x" if n else "x" * 401} for n in range(1200)]
        sandbox.requests.clear()
        with pytest.raises(DotyposPlanError, match="1 problem"):
            make(source)
        assert sandbox.requests == []


def test_no_personal_data_is_in_log_or_summary(sandbox: Sandbox, make: Make, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    insert(sandbox, "customers", email="jan@example.com", firstName="Jan", phone="+420 603 111 222", points=1.0)
    source = [{"email": "jan@example.com", "firstName": "Jaroslav", "phone": "+420 777 333 444", "points": 7}]
    made, (row,) = make(source, entity="customers", match="email")
    assert row.after == {"firstName": "Jaroslav", "phone": "+420 777 333 444", "points": "7"}
    for text in (caplog.text, made.summary):
        assert "points" in text
        assert not [
            value
            for value in ("jan@", "Jan", "Jaroslav", "603 111 222", "777 333 444", made.header.salt)
            if value in text
        ]


def test_a_budget_that_never_suffices_is_said_and_not_waited_for_again(
    sandbox: Sandbox, new_client: NewClient, tmp_path: Path
) -> None:
    for n in range(10):
        beer(sandbox, f"P-{n}")
    client = new_client(request_budget="10/1h each", max_concurrency=1)
    source = [{"externalId": f"{n}" * 900, "name": "New"} for n in range(60)]  # a few keys have room in an address
    with pytest.raises(DotyposBudgetError, match=r"which count only when all .* Plan fewer rows at a time") as error:
        plan(client, tmp_path, source, limits={"changes": None})
    assert error.value.permanent


@pytest.mark.parametrize("row", [{"externalId": "a,b", "name": "New"}, {"name": "a", "subtitle": "New"}])
def test_a_budget_that_does_not_suffice_for_all_rows_is_said_with_what_spares_reading_them(
    sandbox: Sandbox, new_client: NewClient, tmp_path: Path, row: dict[str, Any]
) -> None:
    for n in range(1200):
        beer(sandbox, f"P-{n}")
    client = new_client(request_budget="10/1h each", max_concurrency=1)
    with pytest.raises(DotyposBudgetError, match="Match by a field whose values a filter can ask for, such as id"):
        plan(client, tmp_path, [row], match=next(iter(row)))


def test_rows_of_which_none_has_a_key_are_no_empty_list(sandbox: Sandbox, make: Make) -> None:
    insert(sandbox, "customers", firstName="Jan", email="")
    assert (
        make([{"email": "x@example.com", "firstName": "Jana"}], entity="customers", match="email")[1][0].op
        == "conflict"
    )


@pytest.mark.parametrize("times", range(1, 5))
@pytest.mark.parametrize("key", ["externalId", "name"])  # by a look-up, and by reading all
def test_a_gateway_that_finds_nothing_makes_no_twin(
    sandbox: Sandbox, new_client: NewClient, tmp_path: Path, key: str, times: int
) -> None:
    beer(sandbox, "a", name="Beer")
    client = new_client()
    plan(client, tmp_path, [{"externalId": "a", "subtitle": "old"}])  # the cloud is known by now
    sandbox.faults.append(Fault("404-empty", times=times))
    source = [{"externalId": "a", "name": "Beer", "subtitle": "new"}]
    with suppress(DotyposNotFoundError, DotyposResponseError):  # not a plan: the next try makes one
        made = plan(client, tmp_path, source, match=key, actions="update,create")
        assert made.header.counts["update"] == 1


def test_a_killed_task_ends_its_plan(sandbox: Sandbox, client: DotyposClient, tmp_path: Path) -> None:
    client._observer = lambda *_: client.cancel()
    with pytest.raises(DotyposCancelledError):
        plan(client, tmp_path / "plans", [{"externalId": str(n), "name": "x"} for n in range(500)])
    assert not (tmp_path / "plans").exists()


def test_a_thousand_rows_take_ten_requests_and_a_count(sandbox: Sandbox, make: Make, client: DotyposClient) -> None:
    for n in range(1000):
        beer(sandbox, f"P-{n}")
    source = [{"externalId": f"P-{n}", "priceWithVat": 122 if n % 10 == 0 else 121} for n in range(1000)]
    random.Random(2).shuffle(source)
    made, rows = make(source)
    assert made.header.counts == {"rows": 1000, "update": 100, "unchanged": 900}
    assert [row.row for row in rows] == sorted(row.row for row in rows)
    assert client.requests == 1 + 10 + 1
