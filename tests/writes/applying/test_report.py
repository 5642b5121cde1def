"""The report on a plan (`writes/applying/report.py`)."""

from __future__ import annotations

import fcntl
import os
import threading
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import msgspec
import pytest

from airflow_provider_dotypos.exceptions import DotyposInputError
from airflow_provider_dotypos.sandbox import Sandbox
from airflow_provider_dotypos.storage.store import Store
from airflow_provider_dotypos.writes.applying.course import Course
from airflow_provider_dotypos.writes.applying.report import Report
from airflow_provider_dotypos.writes.plan import PlannedRow
from airflow_provider_dotypos.writes.verdicts import Verdict
from tests.writes.planned import update_of
from tests.writes.plans import Plans, report_of

ADA = "ada@example.com"


@pytest.fixture
def plans(sandbox: Sandbox, tmp_path: Path) -> Iterator[Plans]:
    with ExitStack() as stack:
        yield Plans(tmp_path, sandbox, stack)


def test_it_has_a_line_for_each_row_in_the_plans_order(plans: Plans) -> None:
    plan = plans(
        update_of(5, {"name": "a"}, {"name": "b"}, 1),
        PlannedRow("conflict", ("x",), 2, why="two rows have this key"),
        update_of(6, {"name": "a"}, {"name": "b"}, 3),
    )
    report = Report(plan)
    report.note(update_of(6, {}, {}, 3), Verdict("uncertain", "an answer was lost", tries=1, requests=2))
    report.note(update_of(6, {}, {}, 3), Verdict("rejected", "too long", ("name",), tries=1, requests=2))
    report.write(complete=True)
    header, rows = report_of(plan)
    assert header["counts"] == {"not tried": 1, "conflict": 1, "rejected": 1} == report.counts
    assert rows == [
        {"row": 1, "op": "update", "key": ["5"], "id": "5", "status": "not tried"},
        {"row": 2, "op": "conflict", "key": ["x"], "status": "conflict", "why": "two rows have this key"},
        {
            "row": 3,
            "op": "update",
            "key": ["6"],
            "id": "6",
            "status": "rejected",
            "why": "too long",
            "fields": ["name"],
            "tries": 1,
            "requests": 2,
        },
    ]


def test_personal_keys_are_hashed_with_the_plans_salt(plans: Plans) -> None:
    rows = [PlannedRow("update", (ADA, "5"), 1, id="5", before={"email": ADA}, after={"email": "x@example.com"})]
    texts = []
    for salt in ("salt", "another"):
        plan = plans(*rows, entity="customers", match=("email", "id"), salt=salt)
        Report(plan).write(complete=True)
        texts.append(plan.store.read(plan.report_name).decode())
        assert "example.com" not in texts[-1]
        assert report_of(plan)[1][0]["key"][1] == "5"
    assert texts[0] != texts[1]


@pytest.mark.parametrize(
    ("complete", "left"),
    [(False, ["applied", "rejected", "not tried", "not tried"]), (True, ["applied", *["not tried"] * 3])],
    ids=["broken off", "complete"],
)
def test_a_later_attempt_keeps_what_is_final_of_one_that_was_broken_off(
    plans: Plans, complete: bool, left: list[str]
) -> None:
    rows = [update_of(id, {}, {}, id) for id in (1, 2, 3, 4)]
    plan = plans(*rows)
    first = Report(plan)
    assert first.earlier is None
    for planned, status in zip(rows, ("applied", "rejected", "starved"), strict=False):
        first.note(planned, Verdict(status))  # type: ignore[arg-type]
    first.write(complete=complete)
    again = Report(plan)
    assert again.earlier is not None
    assert [again.verdict(planned).status for planned in rows] == left
    assert [planned.row for planned in rows if again.is_open(planned)] == ([3, 4] if not complete else [1, 2, 3, 4])
    again.note(rows[0], Verdict("already"))
    assert again.verdict(rows[0]).status == "applied"  # by a write of this plan
    again.note(rows[1], Verdict("already"))
    assert again.verdict(rows[1]).status == "already"


@pytest.mark.parametrize("complete", [False, True])
def test_what_an_attempt_leaves_uncertain_stays_so_until_it_is_seen(plans: Plans, complete: bool) -> None:
    planned = update_of(1, {}, {}, 1)
    plan = plans(planned)
    first = Report(plan)
    first.note(planned, Verdict("uncertain"))
    first.write(complete=complete)
    again = Report(plan)
    assert again.verdict(planned).status == "uncertain"
    assert again.is_open(planned)
    again.note(planned, Verdict("not tried"))
    assert again.verdict(planned).status == "uncertain"
    again.note(planned, Verdict("already"))
    assert again.verdict(planned).status == "applied"
    again.note(planned, Verdict("conflict"))
    assert again.verdict(planned).status == "conflict"


@pytest.mark.parametrize(
    ("verdict", "written"),
    [
        (Verdict("applied"), "yes"),
        (Verdict("uncertain"), "maybe"),
        (Verdict("conflict", tries=1), "maybe"),
        (Verdict("conflict"), None),
        (Verdict("rejected", tries=1), None),
    ],
)
def test_that_a_row_was_written_is_never_forgotten(plans: Plans, verdict: Verdict, written: str | None) -> None:
    planned = msgspec.structs.replace(update_of(1, {}, {}, 1), version="2026-03-01T12:00:00Z")
    plan = plans(planned)
    for noted in (verdict, Verdict("not tried"), Verdict("conflict"), Verdict("starved")):
        report = Report(plan)
        report.note(planned, noted)
        report.write(complete=True)
        assert report_of(plan)[1][0].get("written") == written
    assert Report(plan).course(planned) == (Course(sent=True, sent_to=planned.version) if written else Course())


def test_what_another_attempt_has_noted_meanwhile_is_kept(plans: Plans) -> None:
    rows = [update_of(id, {}, {}, id) for id in (1, 2, 3, 4)]
    plan = plans(*rows)
    first, second = Report(plan), Report(plan)
    first.begin()
    second.begin()
    assert len(report_of(plan)[0]["unreported"]) == 2
    second.note(rows[0], Verdict("already"))
    second.note(rows[1], Verdict("applied"))
    second.note(rows[2], Verdict("uncertain"))
    second.write(complete=True)
    assert len(report_of(plan)[0]["unreported"]) == 1  # the first may still write
    first.note(rows[0], Verdict("applied"))
    first.note(rows[1], Verdict("already"))
    first.write(complete=False)
    header, lines = report_of(plan)
    assert (header["unreported"], header["complete"]) == ([], False)
    assert [line["status"] for line in lines] == ["applied", "applied", "uncertain", "not tried"]
    assert [line.get("written") for line in lines] == ["yes", "yes", "maybe", None]


def test_rows_may_have_been_written_by_another_attempt_that_began_since_the_report_was_read(plans: Plans) -> None:
    planned = msgspec.structs.replace(update_of(1, {}, {}, 1), version="2026-03-01T12:00:00Z")
    plan = plans(planned)
    first, second = Report(plan), Report(plan)
    first.begin()
    assert first.course(planned) == Course()
    second.begin()
    assert second.course(planned) == Course(sent=True, sent_to=planned.version)


def test_an_attempt_that_ends_while_another_writes_its_report_waits_for_it(
    plans: Plans, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = [update_of(id, {}, {}, id) for id in (1, 2)]
    plan = plans(*rows)
    reports = [Report(plan) for _ in rows]
    for report, planned in zip(reports, rows, strict=True):
        report.begin()
        report.note(planned, Verdict("applied"))
    put, folder = Store.put, os.open(Path(str(plan.store.folder.path)), os.O_RDONLY)
    other = threading.Thread(target=reports[1].write, kwargs={"complete": True})

    def put_beside_the_other(store: Store, *args: Any, **kwargs: Any) -> None:
        with pytest.raises(BlockingIOError):  # nobody else is about to write
            fcntl.flock(folder, fcntl.LOCK_EX | fcntl.LOCK_NB)
        monkeypatch.undo()
        other.start()
        put(store, *args, **kwargs)

    monkeypatch.setattr(Store, "put", put_beside_the_other)
    reports[0].write(complete=True)
    other.join()
    os.close(folder)
    header, lines = report_of(plan)
    assert (header["unreported"], header["counts"]) == ([], {"applied": 2})
    assert [line["written"] for line in lines] == ["yes", "yes"]


def test_a_report_is_written_although_it_cant_be_read(plans: Plans, monkeypatch: pytest.MonkeyPatch) -> None:
    planned = update_of(1, {}, {}, 1)
    plan = plans(planned)
    report = Report(plan)
    report.begin()
    report.note(planned, Verdict("applied"))
    with monkeypatch.context() as patched:
        patched.setattr(plan.store, "read", lambda name: 1 / 0)
        report.write(complete=True)
    assert report_of(plan)[1][0]["status"] == "applied"


def test_what_is_no_report_is_not_taken_for_one(plans: Plans) -> None:
    plan = plans(update_of(1, {}, {}, 1))
    plan.store.put_bytes(b"{}\n", plan.report_name)
    with pytest.raises(DotyposInputError, match="isn't a report of this version"):
        Report(plan)
