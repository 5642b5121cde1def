from __future__ import annotations

import stat
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from airflow.sdk import ObjectStoragePath

from airflow_provider_dotypos.sandbox import Sandbox
from airflow_provider_dotypos.storage.store import Store
from airflow_provider_dotypos.writes.planning.arguments import PlanArguments
from airflow_provider_dotypos.writes.planning.pending import PendingPlan
from airflow_provider_dotypos.writes.sources import source_of
from tests.conftest import NewClient
from tests.writes.made_plans import plan

DAY = timedelta(days=1)
ROWS = [{"externalId": "a", "name": "New"}]
ARGUMENTS = PlanArguments.of("products", "externalId")


@pytest.fixture
def planned(sandbox: Sandbox, new_client: NewClient, tmp_path: Path) -> dict[str, Any]:
    """Return what planning has returned of a plan."""
    sandbox.shop.insert(sandbox.cloud_ids[0], "products", {"externalId": "a", "name": "Old"})
    made = plan(new_client(), tmp_path, ROWS)
    return {"plan": made.path, "digest": made.header.digest}


def pending(folder: Path, task: str = "a1") -> PendingPlan:
    return PendingPlan(Store(ObjectStoragePath(str(folder))), task)


def read(
    folder: Path,
    task: str = "a1",
    arguments: PlanArguments = ARGUMENTS,
    rows: Any = ROWS,
    cloud_id: int = 1,
    max_age: timedelta = DAY,
) -> dict[str, Any] | None:
    return pending(folder, task).read(arguments, source_of(rows), cloud_id, max_age)


def test_a_plan_is_noted_until_it_is_forgotten(planned: dict[str, Any], tmp_path: Path) -> None:
    assert read(tmp_path) is None
    pending(tmp_path).note(ARGUMENTS, 1, planned)
    assert read(tmp_path) == planned
    (note,) = tmp_path.glob("unfinished-*")
    assert stat.S_IMODE(note.stat().st_mode) == 0o600  # it shows what the plan does
    pending(tmp_path).forget()
    assert read(tmp_path) is None
    pending(tmp_path).forget()  # twice does no harm


@pytest.mark.parametrize(
    "asked",
    [
        {"rows": [{"externalId": "a", "name": "Corrected"}]},
        {"rows": [*ROWS, {"externalId": "b", "name": "More"}]},
        {"arguments": PlanArguments.of("products", "externalId", actions="update,create")},
        {"arguments": PlanArguments.of("products", "externalId", limits={"changes": None})},
        {"arguments": PlanArguments.of("products", "externalId", nulls="clear")},
        {"cloud_id": 2},
        {"max_age": timedelta(0)},
        {"task": "b2"},
    ],
    ids=lambda asked: next(iter(asked)),
)
def test_a_plan_counts_only_for_what_it_was_made_for(
    planned: dict[str, Any], tmp_path: Path, asked: dict[str, Any]
) -> None:
    pending(tmp_path).note(ARGUMENTS, 1, planned)
    assert read(tmp_path, **asked) is None


@pytest.mark.parametrize("lost", [True, False], ids=["removed", "changed"])
def test_a_plan_that_cant_be_applied_any_more_doesnt_count(planned: dict[str, Any], tmp_path: Path, lost: bool) -> None:
    pending(tmp_path).note(ARGUMENTS, 1, planned)
    (file,) = tmp_path.glob("plan-*")
    file.unlink() if lost else file.write_text(file.read_text().replace("New", "Now"))
    assert read(tmp_path) is None


def test_the_source_is_read_only_if_there_is_a_note(tmp_path: Path) -> None:
    def rows() -> Any:
        raise AssertionError
        yield

    assert read(tmp_path, rows=rows()) is None


def test_a_note_of_another_version_is_none(planned: dict[str, Any], tmp_path: Path) -> None:
    pending(tmp_path).note(ARGUMENTS, 1, planned)
    (tmp_path / "unfinished-a1.json").write_text('{"plan": "of another version"}')
    assert read(tmp_path) is None


def test_nothing_is_noted_outside_of_a_dag_run(planned: dict[str, Any], tmp_path: Path) -> None:
    pending(tmp_path, "").note(ARGUMENTS, 1, planned)
    assert read(tmp_path, "") is None
    assert not [*tmp_path.glob("unfinished*")]
