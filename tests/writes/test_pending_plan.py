from __future__ import annotations

from pathlib import Path

from airflow.sdk import ObjectStoragePath

from airflow_provider_dotypos.storage.store import Store
from airflow_provider_dotypos.writes.pending_plan import NotedPlan, PendingPlan

PLAN = NotedPlan("file:///plans/plan-0123456789abcdef.jsonl", "0123456789abcdef" * 4)


def pending(folder: Path, task: str) -> PendingPlan:
    return PendingPlan(Store(ObjectStoragePath(f"file://{folder}/plans")), task)


def test_a_plan_is_noted_until_it_is_forgotten(tmp_path: Path) -> None:
    assert pending(tmp_path, "a1").read() is None
    pending(tmp_path, "a1").note(PLAN)
    assert pending(tmp_path, "a1").read() == PLAN
    pending(tmp_path, "a1").forget()
    assert pending(tmp_path, "a1").read() is None
    pending(tmp_path, "a1").forget()  # twice does no harm


def test_the_tasks_of_a_folder_have_notes_of_their_own(tmp_path: Path) -> None:
    pending(tmp_path, "a1").note(PLAN)
    assert pending(tmp_path, "b2").read() is None
    pending(tmp_path, "b2").forget()
    assert pending(tmp_path, "a1").read() == PLAN


def test_nothing_is_noted_outside_of_a_dag_run(tmp_path: Path) -> None:
    pending(tmp_path, "").note(PLAN)
    assert pending(tmp_path, "").read() is None
    assert not (tmp_path / "plans").exists()
