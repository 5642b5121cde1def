"""``watermark show | set | reset`` of tables, in real databases. Tests `lake/table_watermarks`."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from contextlib import closing
from datetime import timedelta
from typing import Any

import pytest

from airflow_provider_dotypos.api.errors import DotyposInputError
from airflow_provider_dotypos.cli import main
from airflow_provider_dotypos.lake.table_watermarks import table_watermarks
from airflow_provider_dotypos.sandbox import Sandbox
from airflow_provider_dotypos.transfers.sql.database import Database
from airflow_provider_dotypos.transfers.sql.state import State
from tests.transfers.conftest import UNTIL
from tests.transfers.sql.databases import Warehouse
from tests.transfers.sql.test_dotypos_to_sql import context_of, load

SETTLED = "2026-03-01T23:59:00.000Z"
NOON = "2026-03-01T12:00:00.000Z"

Watermark = Callable[..., list[dict[str, str]]]


@pytest.fixture(autouse=True)
def ready(connection: None) -> None:
    pass


@pytest.fixture
def watermark(capsys: pytest.CaptureFixture[str]) -> Watermark:
    """Run the command and return its rows."""

    def run(*arguments: str) -> list[dict[str, str]]:
        capsys.readouterr()
        assert main(["watermark", *arguments, "--database-conn-id", "warehouse", "-o", "json"]) == 0
        rows: list[dict[str, str]] = json.loads(capsys.readouterr().out)
        return rows

    return run


def test_it_is_shown_set_and_forgotten(warehouse: Warehouse, sandbox: Sandbox, watermark: Watermark) -> None:
    load(context_of("r1"))
    load(context_of("r1"), entity="products")
    orders, products = watermark("show")
    assert (orders["cloud"], orders["entity"], orders["of"]) == (str(sandbox.cloud_ids[0]), "orders", "orders")
    assert (orders["watermark"], orders["by"], orders["kept in"]) == (SETTLED, "r1", "table _dotypos_state")
    assert orders["moved"].endswith("Z")
    assert (products["of"], products["pending"]) == ("products", "0")

    (row,) = watermark("set", "--table", "orders", "--to", NOON, "--yes")
    assert row["what follows"] == f"12 hours are read again, from {NOON} to {SETTLED}"
    assert load(context_of("r2", UNTIL + timedelta(hours=1)))["since"] == NOON
    (row,) = watermark("reset", "--table", "orders", "--yes")
    assert row["what follows"] == "the next run reads from its start again"
    assert load(context_of("r3", UNTIL + timedelta(hours=2)))["since"] is None
    assert [mark["watermark"] for mark in watermark("show", "--table", "products")] == [SETTLED]


def test_a_merge_under_way_comes_first_and_then_nothing_is_changed(
    postgres: Warehouse, sandbox: Sandbox, watermark: Watermark
) -> None:
    load(context_of("r1"))
    (key,) = (mark["key"] for mark in watermark("show"))
    with closing(Database.of("warehouse", 1)) as database, closing(Database.of("warehouse", 1)) as other:
        (mark,) = table_watermarks(other, None)
        raised: list[Any] = []

        def change() -> None:
            try:
                mark.change(None)
            except DotyposInputError as error:
                raised.append(str(error))

        setting = threading.Thread(target=change)
        with database.transaction() as transaction:
            database.dialect.lock(transaction, database.dialect.relation(None, "orders"), None)
            setting.start()
            while not postgres.rows("SELECT 1 FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"):
                assert setting.is_alive(), raised
            State(database, None, "orders", transaction=transaction).set(key, NOON)
        setting.join()
    assert len(raised) == 1
    assert "was moved while you looked at it" in raised[0]
    assert watermark("show")[0]["watermark"] == NOON


def test_a_database_without_tables_of_ours_says_what_to_name(
    postgres: Warehouse, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["watermark", "show", "--database-conn-id", "warehouse", "--schema", "nowhere"]) == 1
    assert "has no table _dotypos_loads in the schema 'nowhere'" in capsys.readouterr().err
