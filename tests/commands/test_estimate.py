"""``estimate`` (`estimate`, `estimation`): rows, requests and time before anything is read, by few requests."""

from __future__ import annotations

import json
from collections.abc import Callable
from itertools import pairwise

import pytest

from airflow_provider_dotypos.api.entities import cloud_lists
from airflow_provider_dotypos.sandbox import Sandbox
from airflow_provider_dotypos.sandbox.errors import RefusedError
from airflow_provider_dotypos.sandbox.limit import Limit
from tests.commands.conftest import Command, Done

Refuse = Callable[[str, RefusedError], None]


def by_entity(done: Done) -> dict[str, dict[str, str]]:
    return {row["entity"]: row for row in done.rows}


def test_all_lists_take_sixty_requests_at_most_and_are_counted(sandbox: Sandbox, command: Command) -> None:
    done = command("estimate", "-o", "json")

    assert done.code == 0
    assert len(sandbox.requests) <= 60
    assert {request.method for request in sandbox.requests[1:]} == {"GET"}
    lines = by_entity(done)
    assert [*lines] == cloud_lists()
    cloud = sandbox.cloud_ids[0]
    exact = {name for name, line in lines.items() if line["precision"] == "exact"}
    # A page of orders shows items. Where null markers were seen, deleted rows aren't counted.
    assert exact >= {*cloud_lists()} - {"order-items", "products", "warehouse-products"}
    assert lines["products"]["precision"] == "at least"
    assert {name: int(lines[name]["rows"]) for name in exact} == {
        name: len(sandbox.shop.rows(cloud, name)) for name in exact
    }


def test_a_list_with_totals_takes_one_request(sandbox: Sandbox, command: Command) -> None:
    command("estimate", "customers", "-o", "json")

    signed_in, asked = sandbox.requests
    assert "signin" in signed_in.path
    assert asked.query == {"limit": "1", "page": "1", "filter": "deleted|in|0,1"}


def test_orders_and_items_take_twelve_requests_at_most(sandbox: Sandbox, command: Command) -> None:
    for name in ("orders", "order-items"):
        del sandbox.requests[:]
        (line,) = command("estimate", name, "-o", "json").rows
        assert sum(request.path.endswith(name) for request in sandbox.requests) <= 12
        assert line["precision"] == "exact"
        assert int(line["rows"]) == len(sandbox.shop.rows(sandbox.cloud_ids[0], name))


def test_items_are_estimated_by_a_page_of_orders_when_both_are_asked_for(sandbox: Sandbox, command: Command) -> None:
    lines = by_entity(command("estimate", "order-items", "orders", "-o", "json"))

    assert [*lines] == ["order-items", "orders"]
    assert not any(request.path.endswith("order-items") for request in sandbox.requests)
    assert int(lines["order-items"]["rows"]) == len(sandbox.shop.rows(sandbox.cloud_ids[0], "order-items"))


def test_a_forbidden_list_is_shown_as_such_and_the_others_go_on(
    sandbox: Sandbox, command: Command, refuse: Refuse
) -> None:
    refuse("employees", RefusedError(403, "FORBIDDEN", "no"))

    done = command("estimate", "customers", "employees", "tags", "-o", "json")

    assert done.code == 3
    assert [line["precision"] for line in done.rows] == ["exact", "forbidden", "exact"]
    assert "employees" in done.err


def test_a_list_that_fails_is_shown_as_such_and_the_others_go_on(
    sandbox: Sandbox, command: Command, refuse: Refuse
) -> None:
    refuse("employees", RefusedError(400, violations=[("deleted", "unsupported filter condition")]))

    done = command("estimate", "customers", "employees", "tags", "-o", "json")

    assert done.code == 3
    assert [line["precision"] for line in done.rows] == ["exact", "failed", "exact"]
    assert "unsupported filter condition" in done.err


def test_a_cloud_that_is_forbidden_is_asked_for_once(sandbox: Sandbox, command: Command, refuse: Refuse) -> None:
    refuse("all", RefusedError(403, "CLOUD_FORBIDDEN", "no"))

    done = command("estimate")

    assert (done.code, done.out) == (1, "")
    assert len(sandbox.requests) <= 3  # the sign-in, and a list


def test_under_a_limit_it_stops_with_what_it_has(sandbox: Sandbox, command: Command) -> None:
    sandbox.limit = Limit(3, 1800)
    try:
        done = command("estimate", "customers", "employees", "tags", "-o", "json")
    finally:
        sandbox.limit = None

    assert done.code == 3
    assert [line["precision"] for line in done.rows] == ["exact", "exact", "not asked"]
    assert len(sandbox.requests) == 4
    assert "429" in done.err


def test_when_the_budget_is_used_up_it_stops_with_what_it_has(
    sandbox: Sandbox, command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    connection = sandbox.connection()
    connection["extra"]["request_budget"] = "10/30min"
    monkeypatch.setenv("AIRFLOW_CONN_DOTYPOS_DEFAULT", json.dumps(connection))

    done = command("estimate", *cloud_lists()[:12], "-o", "json")

    assert done.code == 3
    assert len(sandbox.requests) == 10
    assert [line["precision"] for line in done.rows] == ["exact"] * 9 + ["not asked"] * 3
    assert "The request budget, 10/30min, is used up" in done.err


def test_a_history_is_cheaper_than_its_three_lists(sandbox: Sandbox, command: Command) -> None:
    three = by_entity(command("estimate", "orders", "order-items", "money-logs", "-o", "json"))
    history = by_entity(command("estimate", "--history", "-o", "json"))

    assert [*history] == ["orders", "order-items", "money-logs"]
    for name in history:
        saved = int(three[name]["requests"]) - int(history[name]["requests"])
        assert saved == int(three[name]["a history saves"])
    assert int(three["order-items"]["a history saves"]) > 0


@pytest.mark.parametrize(
    ("arguments", "cure"),
    [
        (["--since", "2026-01-01T00:00:00Z"], "omit --since"),
        (["order-items"], "name orders, and"),
        (["orders", "customers"], "and order-items or money-logs"),
    ],
)
def test_a_history_begins_at_the_beginning_and_has_orders(
    sandbox: Sandbox, command: Command, arguments: list[str], cure: str
) -> None:
    done = command("estimate", "--history", *arguments)

    assert (done.code, done.out) == (1, "")
    assert cure in done.err
    assert not sandbox.requests


def test_orders_alone_are_no_history(sandbox: Sandbox, command: Command) -> None:
    (line,) = command("estimate", "orders", "-o", "json").rows
    assert line["a history saves"] in (0, "0")


def test_the_choices_are_those_of_counted_lists(sandbox: Sandbox, command: Command) -> None:
    sandbox.limit = Limit(3, 1800)
    try:
        some, none = (command("estimate", "categories", "customers", "tags") for _ in range(2))
    finally:
        sandbox.limit = None

    assert "choices are those of what was counted: 2 lists of 3" in some.err
    assert "a task for each list" in some.out
    assert (some.code, none.code) == (3, 3)
    assert "not asked" in none.out
    assert "a task for each list" not in none.out


def test_the_choices_add_up(sandbox: Sandbox, command: Command) -> None:
    done = command("estimate", "customers", "order-items", "orders", "tags")

    lists, choices = done.out.split("choice ")
    requests = sum(int(line.split("|")[3]) for line in lists.splitlines()[2:] if "|" in line)
    shown = [[cell.strip() for cell in line.split("|")] for line in choices.splitlines()[2:] if "|" in line]
    assert shown[0][:3] == ["a task for each list", "0", str(requests + 4)]
    assert shown[1][:3] == ["one task for all of them", "3", str(requests + 1)]
    for (*_, before, _), (_, saves, after, _) in pairwise(shown):
        assert int(after) == int(before) - int(saves)


def test_the_time_is_that_of_the_connections_budget(
    sandbox: Sandbox, command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    known = command("estimate", "customers", "-o", "json")
    connection = sandbox.connection()
    connection["extra"]["request_budget"] = "10/2h"
    monkeypatch.setenv("AIRFLOW_CONN_DOTYPOS_DEFAULT", json.dumps(connection))
    for _ in range(1_500):
        sandbox.shop.insert(sandbox.cloud_ids[0], "customers", {})
    given = command("estimate", "customers", "-o", "json")

    assert "the known limit, 150/30min" in known.err
    assert known.rows[0]["time"] == "at once"
    assert "the connection's Request budget, 10/2h" in given.err
    (line,) = given.rows
    assert int(line["requests"]) > 10
    assert line["time"] == f"{(int(line['requests']) - 1) // 10 * 2} hours"
