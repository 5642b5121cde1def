"""``DotyposStockOperator``, by Airflow's own task runner (`operators/stock.py`, `stock/arguments.py`)."""

from __future__ import annotations

import asyncio
import json
from datetime import timedelta
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
from airflow.sdk import DAG

from airflow_provider_dotypos._compat import fail_exception
from airflow_provider_dotypos.exceptions import DotyposError, DotyposInputError
from airflow_provider_dotypos.operators.stock import DotyposStockOperator
from airflow_provider_dotypos.sandbox import Fault, Sandbox
from tests.task_runs import Ending, Supervisor, run_task, supervised
from tests.writes.shelf import COUNTED_AT, Shelf
from tests.writes.shelf import connection as connection
from tests.writes.shelf import sandbox as sandbox
from tests.writes.shelf import server as server
from tests.writes.shelf import shelf as shelf
from tests.writes.shelf import slept as slept


@pytest.fixture
def supervisor() -> Any:
    with supervised() as supervisor:
        yield supervisor


def task(**arguments: Any) -> DotyposStockOperator:
    arguments = {
        "operation": "stock_up",
        "warehouse_id": 5,
        "items": [],
        "journal": "/journal",
        "retries": 3,
        **arguments,
    }
    with DAG("stock", schedule=None):
        return DotyposStockOperator(task_id="book", **arguments)


def test_a_cloud_that_is_a_task_s_result_of_none_is_not_the_connections(sandbox: Sandbox) -> None:
    booking = task(cloud_id="{{ nothing }}", document="1")
    booking.cloud_id = None
    with pytest.raises(fail_exception(), match="cloud_id is empty: its template rendered to nothing"):
        booking.execute({})
    assert sandbox.requests == []


def triggered(deferral: Ending) -> dict[str, Any]:
    """Run the trigger of a deferred task, and return what the task is given."""
    module, _, name = deferral.message.classpath.rpartition(".")
    kwargs = json.loads(json.dumps(deferral.message.trigger_kwargs)) | {"poll_interval": 0.01}

    async def first() -> Any:
        return (await getattr(import_module(module), name)(**kwargs).run().__anext__()).payload

    return {"event": asyncio.run(first())}


def test_a_delivery_from_a_csv_is_booked_once(
    sandbox: Sandbox, shelf: Shelf, supervisor: Supervisor, tmp_path: Path
) -> None:
    delivery = tmp_path / "delivery-4711.csv"
    delivery.write_text("SKU,Name,Qty,Price\nTEA,Green tea,10,41.3223140495868\nMILK,Milk,2.5,\n")
    arguments = {
        "warehouse_id": str(shelf.warehouse),
        "items": "{{ params.path }}",
        "document": "{{ params.path.split('/')[-1].removesuffix('.csv') }}",
        "columns": {"SKU": "externalId", "Qty": "quantity", "Price": "purchasePrice"},
        "journal": str(tmp_path / "journal"),
        "update_purchase_price": True,
        "params": {"path": str(delivery)},
    }
    assert run_task(task(**arguments)).state == "success"
    first = supervisor.result
    assert first.items() >= {"status": "applied", "document": "delivery-4711", "items": 2}.items()
    assert shelf.levels()[:2] == [10.0, 2.5]
    assert run_task(task(**arguments), try_number=2).state == "success"
    assert supervisor.result == {**first, "status": "already"}
    delivery.write_text(delivery.read_text().replace("10", "11"))
    assert run_task(task(**arguments)).state == "failed"
    assert len(sandbox.writes) == 1


def test_a_lost_answer_with_sales_in_between_fails_at_once_and_for_good(
    sandbox: Sandbox, shelf: Shelf, supervisor: Supervisor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shelf.fill(10)
    monkeypatch.setattr(
        "airflow_provider_dotypos.api.client.DotyposClient.sleep", lambda _, seconds: shelf.sell_meanwhile(seconds)
    )
    sandbox.faults.append(Fault("reset", when="after", method="POST", path="/sales"))
    items = [{"externalId": "TEA", "quantity": 1}, {"externalId": "MILK", "quantity": 1}]
    sale = task(operation="sell", warehouse_id=shelf.warehouse, items=items, document="S-1", journal=str(tmp_path))
    for _ in range(2):
        ending = run_task(sale)
        assert (ending.state, type(ending.error)) == ("failed", fail_exception())
        assert "make an empty file" in str(ending.error)
    assert len(sandbox.writes) == 1


@pytest.mark.parametrize("deferrable", [False, True])
def test_a_stock_taking_ends_when_dotypos_is_done(
    deferrable: bool, sandbox: Sandbox, shelf: Shelf, supervisor: Supervisor, slept: list[float], tmp_path: Path
) -> None:
    sandbox.stock_taking_polls = 3
    count = task(
        operation="take_stock",
        warehouse_id=shelf.warehouse,
        items=[{"externalId": "TEA", "quantity": 4}],
        counted_at=COUNTED_AT,
        journal=f"file://{tmp_path}",
        deferrable=deferrable,
    )
    ending = run_task(count)
    if deferrable:
        assert ending.state == "deferred"
        ending = run_task(count, next_method="execute_complete", next_kwargs=triggered(ending))
    assert ending.state == "success"
    result = supervisor.result
    assert result == {
        "status": "applied",
        "document": "2026-03-01T11:00:00.000Z",
        "items": 1,
        "parts": 1,
        "transactions": result["transactions"],
        "journal": result["journal"],
    }
    assert len(sandbox.writes) == 1


def test_a_refused_stock_taking_fails_the_deferred_task(
    sandbox: Sandbox, shelf: Shelf, supervisor: Supervisor, tmp_path: Path
) -> None:
    sandbox.stock_taking_reason = "UNEXPECTED"
    count = task(
        operation="take_stock",
        warehouse_id=shelf.warehouse,
        items=[{"externalId": "TEA", "quantity": 4}],
        counted_at=COUNTED_AT,
        journal=str(tmp_path),
        deferrable=True,
    )
    deferral = run_task(count)
    ending = run_task(count, next_method="execute_complete", next_kwargs=triggered(deferral))
    assert (ending.state, type(ending.error)) == ("failed", fail_exception())
    assert "UNEXPECTED" in str(ending.error)


def test_one_that_lasts_too_long_is_left_to_a_retry_which_sends_nothing(
    sandbox: Sandbox, shelf: Shelf, supervisor: Supervisor, tmp_path: Path
) -> None:
    sandbox.stock_taking_polls = 2
    count = task(
        operation="take_stock",
        warehouse_id=shelf.warehouse,
        items=[{"externalId": "TEA", "quantity": 4}],
        counted_at=COUNTED_AT,
        journal=str(tmp_path),
        deferrable=True,
        wait=timedelta(seconds=1),
    )
    assert run_task(count).state == "deferred"
    ending = run_task(count, next_method="execute_complete", next_kwargs={"event": {"status": "over"}})
    assert (ending.state, type(ending.error)) == ("up_for_retry", DotyposError)
    assert run_task(count, try_number=2).state == "success"
    assert len(sandbox.writes) == 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"operation": "stockup"}, "did you mean 'stock_up'"),
        ({"warehouse_id": "five"}, "warehouse_id is a whole number"),
        ({"document": None}, "stock_up needs document"),
        ({"document": " "}, "stock_up needs document"),
        ({"document": True}, "document must be the number"),
        ({"document": "DN-\ud800"}, "document has a NUL or half of a character"),
        ({"document": "DN-\0"}, "document has a NUL or half of a character"),
        ({"note": {"a": 1}}, "note must be text, not a value of type dict"),
        ({"note": 1.5}, "note must be text, not float '1.5'"),
        ({"note": "a\0"}, "note has a NUL"),
        ({"items": None}, "items can't be a value of type NoneType"),
        ({"items": "delivery.csv"}, "items must be an absolute path"),
        ({"items": "/deliveries/delivery.xls"}, "items: the name of .* must end in"),
        ({"journal": "journal"}, "journal must be an absolute path"),
        ({"journal": "/jour\0nal"}, "journal has a character that no path can have"),
        ({"journal": "/journal\udcff"}, "journal has a character that no path can have"),
        ({"currency": "Kč"}, "currency must be a code of three capital letters"),
        ({"currency": "czk"}, "currency must be a code of three capital letters"),
        ({"counted_at": COUNTED_AT}, "stock_up takes no counted_at"),
        ({"close_delivery_notes": "5,6"}, "close_delivery_notes must be a list of ids"),
        ({"update_purchase_price": "yes"}, "update_purchase_price must be True or False"),
        ({"operation": "sell", "note": "x"}, "sell takes no note"),
        ({"operation": "transfer"}, "transfer needs from_warehouse_id"),
        ({"operation": "transfer", "from_warehouse_id": "05"}, "is the warehouse that the goods go to"),
        ({"operation": "take_stock", "document": None}, "take_stock needs counted_at"),
        ({"operation": "take_stock", "counted_at": COUNTED_AT}, "take_stock takes no document"),
        ({"operation": "take_stock", "document": None, "counted_at": "2026-03-01T11:00:00"}, "counted_at"),
        ({"columns": {"SKU": "externalID", "Qty": "quantity"}}, "did you mean 'externalId'"),
        ({"columns": {"Qty": "quantity"}}, "columns must name quantity, and _productId or externalId"),
        ({"columns": {"SKU": "externalId", "Qty": "quantity", "Box": "quantity"}}, "names quantity more than once"),
        ({"settle": -1}, "settle must be a number of seconds"),
        ({"poll_interval": 0}, "poll_interval must be a number of seconds"),
        ({"wait": 60}, "wait must be a timedelta"),
        ({"deferrable": None}, "deferrable must be True or False"),
        ({"cloud_id": "abc"}, "cloud_id must be the cloud's number"),
    ],
    ids=str,
)
def test_bad_literals_are_refused_when_the_dag_is_parsed(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(DotyposInputError, match=message):
        task(**{"document": "DN-1", **arguments})


def test_templates_are_checked_once_they_are_rendered(sandbox: Sandbox, supervisor: Supervisor) -> None:
    for name, rendered in [("document", ""), ("warehouse_id", "x"), ("journal", "x"), ("operation", "x")]:
        up = task(**{"document": "DN-1", name: "{{ params.given }}", "params": {"given": rendered}})
        ending = run_task(up)
        assert (ending.state, type(ending.error)) == ("failed", fail_exception())
    assert not sandbox.requests


def test_a_kill_reads_no_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    up = task(document="DN-1")
    up.on_kill()
