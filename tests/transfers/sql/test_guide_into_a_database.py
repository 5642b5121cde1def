"""The guide *Into a database* is true on PostgreSQL: its roles, its queries, its way to start anew, and its costs."""

from __future__ import annotations

import json
import re
from datetime import datetime, timedelta, timezone
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from airflow_provider_dotypos.api import channel
from airflow_provider_dotypos.sandbox import Sandbox, Shop
from airflow_provider_dotypos.transfers.dotypos_entities_to_sql import DotyposEntitiesToSqlOperator
from airflow_provider_dotypos.transfers.dotypos_to_sql import DotyposToSqlOperator
from tests.transfers.sql.databases import Postgres, Warehouse

GUIDE = (Path(__file__).parents[3] / "docs" / "guides" / "into-a-database.md").read_text()
START = datetime(2026, 1, 2, 12, tzinfo=timezone.utc)


@pytest.fixture
def sandbox(monkeypatch: pytest.MonkeyPatch) -> Any:
    channel.forget_tokens()
    with Sandbox(Shop.generate(days=2, orders_per_day=30, now=START)) as running:
        monkeypatch.setenv("AIRFLOW_CONN_DOTYPOS_DEFAULT", json.dumps(running.connection()))
        yield running


class Roles:
    """The guide's statements with a schema and roles of a test's own, as other tests use the same server."""

    def __init__(self, server: Postgres, monkeypatch: pytest.MonkeyPatch) -> None:
        self._server = server
        self._monkeypatch = monkeypatch
        self.admin = server.warehouse()
        self._suffix = self.admin.rows("SELECT current_schema()")[0][0]

    def own(self, text: str) -> str:
        """Return a text with names of the test's own."""
        return re.sub(r"\b(dotypos_staging|dotypos|loader|analysts)\b", rf"\1_{self._suffix}", text)

    def run(self, beginning: str) -> None:
        """Run the guide's block that begins like this."""
        blocks = re.findall(r"^```sql\n(.*?)^```", GUIDE, re.M | re.S)
        (block,) = (text for text in blocks if text.startswith(beginning))
        self.admin.execute(self.own(block))

    def connect(self, role: str, schema: str = "public") -> Warehouse:
        """Have Airflow know a role's connection as ``warehouse``, and return it."""
        connection = self.admin.connection | {"login": self.own(role), "password": "secret"}
        connection["extra"] = connection["extra"] | {"options": f"-c search_path={self.own(schema)}"}
        warehouse = Warehouse("postgres", connection)
        warehouse.store(self._monkeypatch)
        return warehouse


@pytest.fixture
def roles(postgres_of_session: Postgres, monkeypatch: pytest.MonkeyPatch) -> Any:
    given = Roles(postgres_of_session, monkeypatch)
    given.admin.execute(given.own("CREATE ROLE analysts LOGIN PASSWORD 'secret'"))
    return given


def load(until: datetime, **arguments: Any) -> dict[str, Any]:
    given = {"entity": "orders", "until": until.isoformat(), "settle": 0} | arguments
    operator = DotyposToSqlOperator(task_id="load", conn_id="warehouse", **given)
    result: dict[str, Any] = operator.execute({})  # type: ignore[arg-type]
    return result


def test_the_roles_of_the_guide_load_and_read(sandbox: Sandbox, roles: Roles) -> None:
    roles.run("CREATE ROLE dotypos")
    roles.connect("dotypos")
    loaded = load(START, schema=roles.own("dotypos"))
    analyst = roles.connect("analysts", "dotypos")
    assert analyst.rows("SELECT count(*) FROM orders") == [(loaded["rows"],)]
    assert loaded["rows"] > 50

    roles.run("CREATE ROLE loader")
    roles.connect("loader")
    schemas = {"schema": roles.own("dotypos"), "staging_schema": roles.own("dotypos_staging")}
    again = load(START, create=False, **schemas)
    assert (again["rows"], again["inserted"], again["updated"]) == (loaded["rows"], 0, 0)


def test_an_audit_reads_what_the_loads_were(sandbox: Sandbox, postgres: Warehouse) -> None:
    loaded = load(START)
    (query,) = re.findall(r"^SELECT target.*?;", GUIDE, re.M | re.S)
    ((target, _, until, inserted, *_),) = postgres.rows(query)
    assert (target, until, inserted) == ("orders", START, loaded["rows"])


def test_a_table_that_was_dropped_is_loaded_from_the_beginning(sandbox: Sandbox, postgres: Warehouse) -> None:
    loaded = load(START)
    (drop,) = re.findall(r"^DROP TABLE .*?;", GUIDE, re.M)
    postgres.execute(drop)
    assert load(START)["inserted"] == loaded["rows"]


def test_reload_alone_reads_a_window_again_and_touches_no_row(sandbox: Sandbox, postgres: Warehouse) -> None:
    loaded = load(START)
    sandbox.requests.clear()
    assert load(START) == loaded
    assert not [request for request in sandbox.requests if "/orders" in request.path]
    again = load(START, reload=True)
    assert (again["rows"], again["unchanged"], again["inserted"]) == (loaded["rows"], loaded["rows"], 0)


def test_items_come_with_their_orders_or_by_their_own_list(sandbox: Sandbox, postgres: Warehouse) -> None:
    load(START, include="orderItems")
    (items,) = postgres.rows("SELECT count(*) FROM order_items JOIN orders ON orders.id = order_items.order_id")
    assert items == (len(sandbox.shop.rows(sandbox.cloud_ids[0], "order-items")),)
    with pytest.raises(Exception, match="the table order_items is filled by orders"):
        load(START, entity="order-items")


def test_a_quiet_hour_of_orders_and_items_takes_three_requests(sandbox: Sandbox, postgres: Warehouse) -> None:
    def run(after: timedelta) -> int:
        sandbox.requests.clear()
        channel.forget_tokens()
        operator = DotyposEntitiesToSqlOperator(
            task_id="load", entities="orders,order-items", conn_id="warehouse", settle=0
        )
        operator.execute({"dag_run": SimpleNamespace(run_after=START + after)})  # type: ignore[typeddict-item]
        return len(sandbox.requests)

    assert run(timedelta(0)) > 3
    assert run(timedelta(hours=1)) == 3
