from __future__ import annotations

from datetime import timedelta
from pathlib import Path

from airflow.sdk import ObjectStoragePath

from airflow_provider_dotypos.storage.store import Store
from airflow_provider_dotypos.writes.pending_plan import PendingPlan

PLANNED = {"plan": "file:///plans/plan-0123456789abcdef.jsonl", "digest": "0123", "counts": {"update": 1}}
DAY = timedelta(days=1)


def pending(folder: Path, task: str = "a1") -> PendingPlan:
    return PendingPlan(Store(ObjectStoragePath(f"file://{folder}/plans")), task)


def test_a_plan_is_noted_until_it_is_forgotten(tmp_path: Path) -> None:
    assert pending(tmp_path).read("prices", DAY) is None
    pending(tmp_path).note("prices", PLANNED)
    assert pending(tmp_path).read("prices", DAY) == PLANNED
    pending(tmp_path).forget()
    assert pending(tmp_path).read("prices", DAY) is None
    pending(tmp_path).forget()  # twice does no harm


def test_a_plan_counts_only_for_what_it_was_made_for(tmp_path: Path) -> None:
    pending(tmp_path).note("prices", PLANNED)
    assert pending(tmp_path).read("corrected prices", DAY) is None
    assert pending(tmp_path).read("prices", timedelta(0)) is None


def test_a_note_that_cant_be_read_is_none(tmp_path: Path) -> None:
    pending(tmp_path).note("prices", PLANNED)
    (note,) = (tmp_path / "plans").iterdir()
    note.write_text('{"plan": "of another version"}')
    assert pending(tmp_path).read("prices", DAY) is None


def test_the_tasks_of_a_folder_have_notes_of_their_own(tmp_path: Path) -> None:
    pending(tmp_path, "a1").note("prices", PLANNED)
    assert pending(tmp_path, "b2").read("prices", DAY) is None
    pending(tmp_path, "b2").forget()
    assert pending(tmp_path, "a1").read("prices", DAY) == PLANNED


def test_nothing_is_noted_outside_of_a_dag_run(tmp_path: Path) -> None:
    pending(tmp_path, "").note("prices", PLANNED)
    assert pending(tmp_path, "").read("prices", DAY) is None
    assert not (tmp_path / "plans").exists()
