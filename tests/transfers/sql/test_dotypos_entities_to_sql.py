"""Many lists into a database in one task: a table each, few connections, and no list in another's way."""

from __future__ import annotations

from contextlib import closing
from typing import Any

import pytest

from airflow_provider_dotypos import _compat
from airflow_provider_dotypos.exceptions import DotyposDatabaseError
from airflow_provider_dotypos.sandbox import Fault, Sandbox
from airflow_provider_dotypos.transfers.dotypos_entities_to_sql import DotyposEntitiesToSqlOperator
from airflow_provider_dotypos.transfers.sql import database
from tests.transfers.conftest import UNTIL
from tests.transfers.sql.databases import Warehouse
from tests.transfers.sql.test_dotypos_to_sql import HOUR, context_of, load
from tests.transfers.sql.tries import leftovers

SOME = "branches,products,categories,orders,order-items,warehouses,warehouse-products,tables"


def load_all(context: Any = None, **arguments: Any) -> dict[str, Any]:
    arguments = {"entities": SOME, "conn_id": "warehouse", "concurrency": 4, **arguments}
    operator = DotyposEntitiesToSqlOperator(task_id="t", **arguments)
    return operator.execute(context or context_of())


@pytest.fixture(autouse=True)
def ready(connection: None) -> None:
    pass


def test_each_list_has_its_table_and_both_forms_go_on_with_each_other(warehouse: Warehouse, sandbox: Sandbox) -> None:
    result = load_all()
    cloud = sandbox.cloud_ids[0]
    for name, of_list in result["entities"].items():
        ((rows,),) = warehouse.rows(f"SELECT count(*) FROM {of_list['table']}")
        assert rows == of_list["inserted"], name
        if name in ("branches", "categories", "tables"):
            assert rows == len(sandbox.shop.rows(cloud, name))
    assert leftovers(warehouse) == ([], 0)
    alone = load(context_of("r2", UNTIL + HOUR), entity="products")
    assert alone["since"] == result["entities"]["products"]["until"]


def test_few_connections_do_for_many_lists_and_none_is_left(
    postgres: Warehouse, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    postgres.connection["extra"]["application_name"] = "many"
    postgres.store(monkeypatch)
    query = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'many' AND pid <> pg_backend_pid()"
    counts = []
    with closing(postgres.connect()) as looking:

        class Look(Fault):
            def strikes(self, method: str, path: str) -> bool:
                with looking.cursor() as cursor:
                    cursor.execute(query)
                    counts.append(cursor.fetchone()[0])
                return False

        sandbox.faults.append(Look("500"))
        load_all(concurrency=3)
    assert len(counts) > 8
    assert 1 <= max(counts) <= 4
    sandbox.faults.clear()


def test_a_table_at_fault_stops_no_other_list(warehouse: Warehouse, sandbox: Sandbox) -> None:
    warehouse.execute("CREATE TABLE products (id VARCHAR(3))")
    said = "1 of 3 lists failed. List products: Tables can't take the rows"
    with pytest.raises(_compat.fail_exception(), match=said):
        load_all(entities="branches,products,categories")
    loaded = warehouse.rows("SELECT entity FROM _dotypos_loads WHERE loaded_at IS NOT NULL ORDER BY entity")
    assert loaded == [("branches",), ("categories",)]


def test_a_database_that_is_away_ends_the_task_before_any_request(
    postgres: Warehouse, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(database, "LOST_AT_MOST", 0.0)
    postgres.connection["host"] = "/nowhere"
    postgres.store(monkeypatch)
    with pytest.raises(DotyposDatabaseError, match=r"^PostgreSQL can't be reached"):
        load_all(entities="branches,products")
    assert not sandbox.requests
