"""``estimate`` (`estimate`, `estimation`): rows, requests and time before anything is read, by few requests."""

from __future__ import annotations

from collections.abc import Callable

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
    assert exact >= {*cloud_lists()} - {"order-items"}
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
