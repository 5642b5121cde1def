"""``peek`` and the fields of ``entities``: what a person sees of an entity before extracting it.

Tests `commands/rows`, `commands/entities`.
"""

from __future__ import annotations

import json

import pytest

from airflow_provider_dotypos import _airflow
from airflow_provider_dotypos.api.entities import entities, find_entity
from airflow_provider_dotypos.commands.rows import MASK, masked
from airflow_provider_dotypos.sandbox import Sandbox
from tests.commands.conftest import Command

PERSON = {"firstName": "Jana", "lastName": "Nováková", "email": "jana@example.invalid", "points": 5}


@pytest.fixture
def customer(sandbox: Sandbox) -> str:
    cloud = sandbox.cloud_ids[0]
    row = sandbox.shop.insert(cloud, "customers", {**PERSON, "versionDate": 4_000_000_000_000})
    return str(row["id"])


def test_rows_come_by_one_request_beside_the_sign_in(sandbox: Sandbox, command: Command) -> None:
    done = command("peek", "orders", "--limit", "3", "--filter", "paid|eq|true", "--sort=-versionDate", "-o", "json")

    assert done.code == 0
    assert len(done.rows) == 3
    moments = [row["versionDate"] for row in done.rows]
    assert moments == sorted(moments, reverse=True)
    signed_in, asked = sandbox.requests
    assert "signin" in signed_in.path
    assert asked.path.endswith("/orders")
    assert (asked.query["limit"], asked.query["filter"]) == ("3", "paid|eq|true")


def test_personal_data_is_masked_unless_it_is_asked_for(sandbox: Sandbox, command: Command, customer: str) -> None:
    arguments = ("peek", "customers", "--filter", f"id|eq|{customer}", "-o", "json")

    (hidden,) = command(*arguments).rows
    (shown,) = command(*arguments, "--personal").rows

    assert {name: hidden[name] for name in PERSON} == dict.fromkeys(PERSON, MASK) | {"points": "5"}
    assert {name: shown[name] for name in PERSON} == {**PERSON, "points": "5"}
    assert hidden["country"] == shown["country"]


@pytest.mark.parametrize("form", ["table", "plain", "json", "yaml"])
def test_no_form_of_output_shows_what_is_masked(command: Command, customer: str, form: str) -> None:
    done = command("peek", "customers", "--filter", f"id|eq|{customer}", "-o", form)

    assert customer in done.out
    assert MASK in done.out
    assert "Jana" not in done.out + done.err


def test_what_the_entity_table_does_not_know_is_masked_as_well() -> None:
    order = {"id": "1", "newField": "Jana", "note": None, "orderItems": [{"name": "Espresso", "note": "Jana"}, "Jana"]}
    expected = {"id": "1", "newField": MASK, "note": None, "orderItems": [{"name": "Espresso", "note": MASK}, MASK]}

    assert masked(order, find_entity("orders")) == expected
    assert masked({"orderItems": "Jana"}, find_entity("orders")) == {"orderItems": MASK}, "not a mask for each letter"


@pytest.mark.parametrize("width", [80, 140])
def test_a_table_fits_the_terminal(
    command: Command, monkeypatch: pytest.MonkeyPatch, width: int, sandbox: Sandbox
) -> None:
    narrow = _airflow.console()
    narrow._width = width
    monkeypatch.setattr(_airflow, "console", lambda: narrow)
    sandbox.shop.insert(sandbox.cloud_ids[0], "orders", {"externalId": "x" * 500})

    done = command("peek", "orders", "--limit", "100")

    header, _, *lines = done.out.splitlines()
    assert header.startswith("id ")
    assert "| versionDate " in header
    assert max(map(len, (header, *lines))) <= width
    assert "fields fit here. Name others with --columns, or print all as JSON." in done.err


def test_the_fields_that_are_asked_for_are_shown_whole(sandbox: Sandbox, command: Command) -> None:
    row = sandbox.shop.insert(sandbox.cloud_ids[0], "orders", {"externalId": "x" * 90, "parked": False})

    done = command("peek", "orders", "--columns", "parked,externalId", "--filter", f"id|eq|{row['id']}")

    assert done.out.splitlines()[0].split() == ["parked", "|", "externalId"]
    assert "false  | " + "x" * 90 in done.out


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["peek", "ordrs"], "did you mean 'orders'?"),
        (["peek", "orders", "--columns", "noet"], "did you mean 'note'?"),
        (["peek", "orders", "--sort", "note"], "can't be sorted by 'note'"),
        (["peek", "orders", "--filter", "note|eq|x"], "'eq' is not allowed on orders.note"),
        (["peek", "warehouse-products"], "--warehouse-id"),
        (["entities", "ordrs"], "did you mean 'orders'?"),
    ],
    ids=str,
)
def test_what_is_wrong_is_said_before_anything_is_asked(
    sandbox: Sandbox, command: Command, arguments: list[str], says: str
) -> None:
    done = command(*arguments)

    assert done.code == 1
    assert done.out == ""
    assert says in done.err
    assert len(done.err.splitlines()) == 1
    assert sandbox.requests == []


def test_rows_below_a_warehouse_are_shown_too(sandbox: Sandbox, command: Command) -> None:
    warehouse = command("peek", "warehouses", "--limit", "1", "-o", "json").rows[0]["id"]

    assert command("peek", "warehouse-products", "--warehouse-id", warehouse, "-o", "json").rows


def test_the_fields_of_an_entity_are_shown_with_what_they_allow(command: Command) -> None:
    done = command("entities", "orders", "-o", "json")

    fields = {row["field"]: row for row in done.rows}
    assert list(fields) == list(entities()["orders"].fields)
    assert fields["_customerId"]["references"] == "customers"
    assert fields["note"] == {
        "field": "note",
        "type": "string",
        "operators": "like",
        "sortable": "",
        "personal": "yes",
        "references": "",
        "required": "",
        "read only": "",
        "max length": "1000",
    }
    assert fields["versionDate"]["operators"] == "eq ne gt gteq lt lteq in notin"
    assert fields["versionDate"]["sortable"] == "yes"
    assert "versionDate" in done.err
    assert "orderItems moneyLogs" in done.err


def test_what_a_write_must_name_is_shown(command: Command) -> None:
    fields = {row["field"]: row for row in command("entities", "customers", "-o", "json").rows}

    assert (fields["firstName"]["required"], fields["firstName"]["read only"]) == ("yes", "")
    assert (fields["created"]["required"], fields["created"]["read only"]) == ("", "yes")


def test_lists_and_nulls_stay_such_in_json(sandbox: Sandbox, command: Command) -> None:
    row = sandbox.shop.insert(sandbox.cloud_ids[0], "orders", {"tags": ["a", "b"], "_tableId": None})

    out = command("peek", "orders", "--filter", f"id|eq|{row['id']}", "-o", "json").out

    (printed,) = json.loads(out)
    assert printed["tags"] == ["a", "b"]
    assert printed["_tableId"] is None
