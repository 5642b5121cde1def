"""The operator that erases a customer: its arguments, its result, what a task makes of errors."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from airflow.sdk import ObjectStoragePath

from airflow_provider_dotypos._compat import fail_exception
from airflow_provider_dotypos.api.window import Window
from airflow_provider_dotypos.exceptions import DotyposCancelledError, DotyposInputError
from airflow_provider_dotypos.operators.erase_customer import DotyposEraseCustomerOperator
from airflow_provider_dotypos.storage.store import Store
from tests.lake.lakes import CLOUD, Rows, commit_set
from tests.lake.persons import HER, MARK, marked_row


@pytest.fixture
def destination(tmp_path: Path) -> str:
    place = f"file://{tmp_path}/lake"
    row = marked_row("customers")
    commit_set(ObjectStoragePath(place), Window(0, 1), [Rows(0, 1, [row])], entity="customers")
    return place


def operator(**arguments: Any) -> DotyposEraseCustomerOperator:
    return DotyposEraseCustomerOperator(task_id="erase", **{"customer_id": HER, **arguments})


def held(tmp_path: Path) -> str:
    return "".join(file.read_text() for file in (tmp_path / "lake").rglob("g*.jsonl"))


def test_a_task_erases_and_returns_numbers(destination: str, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    dry = operator(destination=destination, dry_run=True).execute({})  # type: ignore[typeddict-item]
    assert (dry["dry_run"], dry["changed"]) == (True, 1)
    assert MARK in held(tmp_path)
    path = f"file://{tmp_path}/report.json"
    result = operator(destination=destination, report=path).execute({})  # type: ignore[typeddict-item]
    assert MARK not in held(tmp_path)
    numbers = {"rows": 1, "changed": 1, "sets": 1, "tables": 0, "searched_sets": 1, "searched_tables": 0}
    assert result == {
        "customer_id": int(HER),
        "cloud_id": CLOUD,
        "dry_run": False,
        "values": 20,
        **numbers,
        "report": path,
        **dict.fromkeys(("removed_files", "unfinished", "unsure", "unreadable", "open_loads"), 0),
    }
    assert json.loads((tmp_path / "report.json").read_text())["places"][0]["state"] == "erased"
    assert MARK not in caplog.text + json.dumps(result) + (tmp_path / "report.json").read_text()


def test_arguments_are_templates(destination: str) -> None:
    templated = operator(customer_id="{{ params.id }}", destination="{{ params.place }}", cloud_id="{{ params.cloud }}")
    templated.customer_id, templated.destination, templated.cloud_id = HER, destination, str(CLOUD)
    assert templated.execute({})["changed"] == 1  # type: ignore[typeddict-item]


@pytest.mark.parametrize("nothing", ["", None])
@pytest.mark.parametrize("argument", DotyposEraseCustomerOperator.template_fields)
def test_a_template_that_renders_to_nothing_erases_nothing(
    argument: str, nothing: str | None, destination: str, tmp_path: Path
) -> None:
    """``None`` is what the result of a task may be, and what a template of native objects may render to."""
    templated = operator(**{"destination": destination, argument: "{{ nothing }}"})
    templated.destination, templated.customer_id = destination, HER
    setattr(templated, argument, nothing)
    with pytest.raises(fail_exception(), match=f"{argument} is empty: its template rendered to nothing"):
        templated.execute({})  # type: ignore[typeddict-item]
    assert MARK in held(tmp_path)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({}, "give destination, database_conn_id, or both"),
        ({"destination": "lake"}, "destination must be an absolute path"),
        ({"destination": "/lake", "report": "r.json"}, "report must be an absolute path"),
        ({"destination": "/lake", "customer_id": "Jana"}, "customer_id is the id of a customer"),
        ({"destination": "/lake", "cloud_id": "x"}, "cloud_id"),
        ({"destination": "/lake", "dry_run": "False"}, "dry_run must be True or False"),
        ({"destination": "/lake", "remove_unfinished": 1}, "remove_unfinished must be True or False"),
        ({"database_conn_id": 5}, "database_conn_id must be the id of an Airflow connection"),
    ],
    ids=str,
)
def test_wrong_arguments_are_refused_when_the_dag_is_parsed(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(DotyposInputError, match=message):
        operator(**arguments)


def test_what_a_retry_cannot_cure_fails_at_once(tmp_path: Path) -> None:
    with pytest.raises(fail_exception(), match="no sets lie below") as raised:
        operator(destination=f"file://{tmp_path}/nothing").execute({})  # type: ignore[typeddict-item]
    assert "connection" not in str(raised.value), "it has used none"


def test_airflows_own_dry_run_still_works(destination: str, tmp_path: Path) -> None:
    operator(destination=destination).dry_run()
    assert MARK in held(tmp_path)


def test_a_kill_counts_that_comes_before_the_work(destination: str, tmp_path: Path) -> None:
    killed = operator(destination=destination)
    killed.on_kill()
    with pytest.raises((DotyposCancelledError, fail_exception())):
        killed.execute({})  # type: ignore[typeddict-item]
    assert MARK in held(tmp_path)


def test_a_killed_task_ends_soon(destination: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    killed = operator(destination=destination)
    listed = Store.list

    def listing(self: Store) -> dict[str, int]:
        killed.on_kill()
        return listed(self)

    monkeypatch.setattr(Store, "list", listing)
    with pytest.raises((DotyposCancelledError, fail_exception())):
        killed.execute({})  # type: ignore[typeddict-item]
    assert MARK in held(tmp_path)
