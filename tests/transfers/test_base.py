"""The base of transfers, by an operator of a few lines: its own parameters, its sink, its watermark.

This tests `arguments`, too.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta, timezone
from types import SimpleNamespace
from typing import Any

import pytest
from airflow.sdk import Asset

from airflow_provider_dotypos import _compat
from airflow_provider_dotypos.api.errors import DotyposInputError
from airflow_provider_dotypos.api.window import SETTLE, Window
from airflow_provider_dotypos.sandbox import Fault, Sandbox
from airflow_provider_dotypos.transfers.base import DotyposTransferOperator
from airflow_provider_dotypos.transfers.selection import Selection
from airflow_provider_dotypos.transfers.watermark import Watermark
from tests.transfers.conftest import SINCE, SINCE_MS, UNTIL
from tests.transfers.memory_sink import Loaded, MemorySink, Place
from tests.transfers.test_watermark import Kept


class ToMemory(DotyposTransferOperator):
    """Keeps rows in memory, and the watermark beside them, as a database would."""

    template_fields: Sequence[str] = ("entity", "since", "until", "start", "filter")

    def __init__(
        self,
        *,
        entity: str,
        place: dict[Window, Place],
        marks: Kept | None = None,
        since: str | datetime | None = None,
        until: str | datetime | None = None,
        start: str | datetime | None = None,
        lookback: timedelta = timedelta(0),
        filter: Any = None,
        include: str | None = None,
        columns: str | None = None,
        exclude: str | None = None,
        personal_data: bool = True,
        settle: float = SETTLE,
        concurrency: int | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(
            entity=entity, since=since, until=until, start=start, lookback=lookback, filter=filter, include=include,
            warehouse_id=None, timezone=None, columns=columns, exclude=exclude, personal_data=personal_data,
            settle=settle, concurrency=concurrency, cloud_id=None, dotypos_conn_id="dotypos_default", **kwargs,
        )  # fmt: skip
        self.place = place
        self.marks = marks

    def _watermark(self, context: Any, selection: Selection) -> Watermark[Any]:
        if self.marks is None:
            return super()._watermark(context, selection)
        return Watermark(self.marks, context["tries"], f"{selection.entity.name} {selection.shape('memory')}")

    def _sink(self, context: Any, selection: Selection, window: Window) -> MemorySink:
        return MemorySink(window, self.place.setdefault(window, Place()))

    def _result(self, results: Sequence[Loaded]) -> dict[str, Any]:
        return {"ids": [str(row["id"]) for loaded in results for row in loaded.rows]}


def run(operator: ToMemory, at: datetime = UNTIL, tries: Kept | None = None) -> list[str]:
    context: Any = {"ti": SimpleNamespace(try_number=1), "dag_run": SimpleNamespace(run_after=at), "tries": tries}
    ids: list[str] = operator.execute(context)["ids"]
    return ids


def test_a_window_goes_into_another_sink(connection: None, orders: list[str]) -> None:
    place: dict[Window, Place] = {}
    operator = ToMemory(task_id="x", entity="orders", place=place, since=SINCE, until=UNTIL, concurrency=4)
    assert sorted(run(operator)) == sorted(orders)
    assert list(place) == [Window.of(SINCE, UNTIL)]


def test_without_a_window_it_continues_from_a_watermark_that_the_sink_keeps(connection: None, sandbox: Sandbox) -> None:
    marks, place = Kept(), dict[Window, Place]()
    operator = ToMemory(task_id="x", entity="orders", place=place, marks=marks)
    now = datetime.now(timezone.utc) - timedelta(hours=2)

    def insert(at: datetime) -> str:
        moment = int(at.timestamp() * 1000)
        return str(sandbox.shop.insert(sandbox.cloud_ids[0], "orders", {"versionDate": moment})["id"])

    first = insert(now)
    tries = Kept()
    sandbox.faults.append(Fault("429", retry_after="3600", path="/orders"))
    with pytest.raises(type(_compat.reschedule_exception(UNTIL))):
        run(operator, now + timedelta(minutes=5), tries)
    assert run(operator, now + timedelta(minutes=5), tries) == [first]
    second = insert(now + timedelta(minutes=10))
    assert run(operator, now + timedelta(minutes=15), Kept()) == [second]
    with pytest.raises(_compat._exception("AirflowSkipException"), match="read by later runs"):
        run(operator, now + timedelta(minutes=4), Kept())


def test_without_a_watermark_a_window_is_needed(connection: None) -> None:
    with pytest.raises(_compat.fail_exception(), match="ToMemory keeps no watermark: give a window"):
        run(ToMemory(task_id="x", entity="orders", place={}))


@pytest.mark.parametrize("context", [{}, {"dag_run": None, "ti": None}], ids=str)
def test_without_a_dag_run_the_time_that_is_missing_is_told(connection: None, context: Any) -> None:
    with pytest.raises(_compat.fail_exception(), match="holds no dag_run, because it runs outside of a DAG run: give"):
        ToMemory(task_id="x", entity="orders", place={}, marks=Kept()).execute(context)


def test_a_window_needs_no_dag_run(connection: None, orders: list[str]) -> None:
    operator = ToMemory(
        task_id="x", entity="orders", place={}, since=SINCE, until=UNTIL, outlets=[Asset("file:///lake")]
    )
    assert sorted(operator.execute({})["ids"]) == sorted(orders)


def test_a_killed_task_stops_waiting(connection: None, sandbox: Sandbox) -> None:
    operator = ToMemory(task_id="x", entity="orders", place={}, since=SINCE, until=UNTIL)

    class Killer(Fault):
        def strikes(self, method: str, path: str) -> bool:
            struck = super().strikes(method, path)
            if struck:
                operator.on_kill()
            return struck

    sandbox.shop.insert(sandbox.cloud_ids[0], "orders", {"versionDate": SINCE_MS})
    sandbox.faults.append(Killer("500", path="/orders"))
    with pytest.raises(Exception, match="killed"):
        run(operator)


@pytest.mark.parametrize(
    "arguments",
    [
        {"settle": -1},
        {"settle": True},
        {"concurrency": 65},
        {"lookback": timedelta(-1)},
        {"lookback": timedelta(1), "since": SINCE},
        {"personal_data": "{{ yes }}"},
        {"columns": "note", "exclude": "paid"},
        {"start": SINCE, "until": UNTIL},
        {"columns": 5},
        {"include": [5]},
        {"filter": 5},
        {"start": "yesterday"},
    ],
    ids=str,
)
def test_bad_arguments_are_refused_when_the_dag_is_parsed(arguments: dict[str, Any]) -> None:
    with pytest.raises(DotyposInputError, match=next(iter(arguments))):
        ToMemory(task_id="x", entity="orders", place={}, **arguments)
