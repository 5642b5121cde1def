"""``show`` of a list below a destination: its current table, and the time that it covers."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from airflow.sdk import ObjectStoragePath

from airflow_provider_dotypos.api.window import Window, iso
from tests.commands.conftest import Command
from tests.lake.lakes import CLOUD, Rows, commit_set

HOUR = 3_600_000


@pytest.fixture
def lake(tmp_path: Path) -> Path:
    """Orders of the first, the second and the fourth hour. One changes in each, and has an item."""
    place = ObjectStoragePath(f"file://{tmp_path}/lake")
    for number in (0, 1, 3):
        changed = {"versionDate": iso(number * HOUR), "note": f"for Jana {number}"}
        items = [{"id": str(9 - number), "_orderId": "1", "name": f"Espresso {number}", "note": "pro Janu"}]
        rows = [{"id": "1", **changed, "orderItems": items}, {"id": str(10 + number), **changed, "orderItems": []}]
        window = Window(number * HOUR, (number + 1) * HOUR)
        parts = [Rows(window.since, window.until, rows)]
        commit_set(place, window, parts, entity="orders", include="orderItems", flatten=True)
    return tmp_path / "lake"


def held(text: str) -> dict[str, Any]:
    (row,) = json.loads(text)
    return dict(row)


def test_the_current_table_is_shown_with_its_time(command: Command, lake: Path):
    done = command("show", str(lake), "orders", "-o", "json")

    assert done.code == 3
    assert "orders: 1 gap, where no set covers what has changed" in done.err
    shown = held(done.out)
    assert (shown["entity"], shown["cloud"], shown["sets"]) == ("orders", str(CLOUD), "3")
    assert [[time["since"], time["until"]] for time in shown["covered"]] == [
        [iso(0), iso(2 * HOUR)],
        [iso(3 * HOUR), iso(4 * HOUR)],
    ]
    assert shown["gaps"] == [{"since": iso(2 * HOUR), "until": iso(3 * HOUR)}]
    assert shown["tables"] == [{"table": "orders", "rows": "4"}, {"table": "order-items", "rows": "1"}]
    assert sorted(row["id"] for row in shown["first orders"]) == ["1", "10", "11", "13"]
    assert {row["note"] for row in shown["first orders"]} == {"***"}


def test_a_table_as_of_a_time_is_shown(command: Command, lake: Path):
    bounds = ("--since", iso(0), "--until", iso(2 * HOUR), "--cloud-id", str(CLOUD))
    done = command("show", str(lake), "orders", *bounds, "--table", "order-items", "--personal", "-o", "json")
    assert done.code == 0
    assert [(row["name"], row["note"]) for row in held(done.out)["first order-items"]] == [("Espresso 1", "pro Janu")]

    people = command("show", str(lake), "orders", *bounds, "--limit", "1", "-o", "plain")
    assert people.code == 0
    assert people.err == ""
    lines = [line.split() for line in people.out.splitlines()]
    assert ["covered", iso(0), iso(2 * HOUR)] in lines
    assert ["gaps", "none", "none"] in lines


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (("products",), 1, "ENTITY: no products lie below"),
        (("orderz",), 1, "no entity 'orderz'"),
        (("orders", "--cloud-id", "5"), 1, "no committed set of orders of cloud 5"),
        (("orders", "--verify"), 2, "--verify is for a single set"),
        (("--deleted",), 2, "--deleted is for the current table of a list"),
        (("--cloud-id", "5"), 2, "--cloud-id is for the current table of a list"),
    ],
)
def test_what_cant_be_shown_is_refused(command: Command, lake: Path, arguments: tuple[str, ...], code: int, says: str):
    done = command("show", str(lake), *arguments)
    assert (done.code, done.out) == (code, "")
    assert says in done.err


@pytest.mark.parametrize("folder", ["", f"{CLOUD}", f"{CLOUD}/orders", f"{CLOUD}/orders/nothing"])
def test_a_destination_without_a_list_says_which_there_are(command: Command, lake: Path, folder: str):
    done = command("show", str(lake / folder))
    assert (done.code, done.out) == (1, "")
    assert "no whole set at" in done.err
    assert f"airflow dotypos show {lake} orders. Lists there: orders" in done.err


def test_a_file_that_is_no_manifest_says_so(command: Command, tmp_path: Path):
    (tmp_path / "sales.duckdb").write_text("")
    done = command("show", str(tmp_path / "sales.duckdb"))
    assert (done.code, done.out) == (1, "")
    assert "it is a file, and no manifest" in done.err


def test_a_table_without_rows_is_told_beside_the_result(command: Command, lake: Path):
    window = ("--since", iso(2 * HOUR), "--until", iso(3 * HOUR))
    for limit, says in (("5", True), ("0", False)):  # nobody asks for rows by 0
        done = command("show", str(lake), "orders", *window, "--limit", limit)
        assert ("No rows." in done.err) == says
        assert "No data found" not in done.out


def test_of_several_clouds_one_is_named(command: Command, lake: Path):
    (lake / "5" / "orders").mkdir(parents=True)
    done = command("show", str(lake), "orders")
    assert done.code == 1
    assert f"--cloud-id: orders of several clouds lie below {lake}: {CLOUD}, 5. Name one" in done.err
