"""The files of plans, and what `plan` says is in them."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import msgspec
import pytest
from airflow.sdk import ObjectStoragePath

from airflow_provider_dotypos.api.errors import DotyposError
from airflow_provider_dotypos.storage.store import Store
from airflow_provider_dotypos.writes.errors import DotyposPlanError
from airflow_provider_dotypos.writes.plan import FORMAT, PlanHeader, PlannedRow
from airflow_provider_dotypos.writes.plan_file import PlanWriter, open_plan

HEADER = PlanHeader(
    format=FORMAT,
    provider="1.0",
    cloud_id=310_101_001,
    base_url="https://api.dotykacka.cz",
    entity="products",
    match=("externalId",),
    made_at="2026-03-01T12:00:00.000Z",
    source_digest="ab" * 32,
    counts={"rows": 3, "update": 2, "unchanged": 1},
    limits={"changes": 0.2},
    requests={"patch": 4, "put": 4},
    salt="cd" * 16,
)
ROWS = [
    PlannedRow("update", ("P-1",), 1, "4100000000000001", {"priceWithVat": "285"}, {"priceWithVat": "299.90"}, "v1"),
    PlannedRow("create", ("Říp; \U0001f37a",), 2, "7000000000000001", after={"name": "Říp", "ean": ["1", "2"]}),
    PlannedRow("conflict", ("P-3",), 3, why="two rows have this key"),
]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "plans" / "run 1"


def write(folder: Path | str, rows: list[PlannedRow] = ROWS) -> tuple[str, PlanHeader]:
    with PlanWriter(Store(ObjectStoragePath(str(folder)))) as writer:
        for row in rows:
            writer.add(row)
        return writer.commit(HEADER)


def test_a_plan_is_read_as_it_was_written(folder: Path) -> None:
    path, header = write(folder)
    with open_plan(path, header.digest) as plan:
        assert plan.header == header == msgspec.structs.replace(HEADER, digest=header.digest)
        assert [*plan.rows()] == [*plan.rows()] == ROWS


def test_the_report_has_a_name_beside_it(folder: Path) -> None:
    path, header = write(folder)
    with open_plan(path) as plan:
        assert plan.store.list().keys() == {f"plan-{header.digest[:16]}.jsonl"}
        assert plan.report_name == f"report-{header.digest[:16]}.jsonl"


def test_several_readers_do_not_disturb_each_other(folder: Path) -> None:
    path, _ = write(folder)
    with open_plan(path) as plan:
        assert list(zip(plan.rows(), plan.rows(), strict=True)) == list(zip(ROWS, ROWS, strict=True))


def test_a_person_can_read_it_and_its_owner_alone(folder: Path) -> None:
    path, header = write(folder)
    name = Path(path.removeprefix("file://"))
    assert stat.S_IMODE(name.stat().st_mode) == 0o600
    first, *others = name.read_text().splitlines()
    assert first.startswith('{"format":1,')
    assert header.digest in first
    assert others[1] == (
        '{"op":"create","key":["Říp; 🍺"],"row":2,"id":"7000000000000001","after":{"name":"Říp","ean":["1","2"]}}'
    )


def test_a_plan_replaces_no_other(folder: Path) -> None:
    first, _ = write(folder)
    second, _ = write(folder, ROWS[:1])
    assert first != second
    with open_plan(first) as plan:
        assert [*plan.rows()] == ROWS


def test_what_is_not_committed_leaves_nothing(folder: Path) -> None:
    with PlanWriter(Store(ObjectStoragePath(str(folder)))) as writer:
        writer.add(ROWS[0])
    assert not folder.exists()


def test_a_disk_without_room_leaves_no_plan(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(DotyposError, match=r"run 1 can't be written to \(OSError: No space left on device\)"):
        write(folder)
    assert [*folder.iterdir()] == []


def test_a_folder_that_cannot_be_made_is_said_with_its_cure(tmp_path: Path) -> None:
    (tmp_path / "plans").write_text("a file")
    with pytest.raises(
        DotyposError, match=r"plan: .* can't be written to .* The worker needs the right to write there"
    ):
        write(tmp_path / "plans" / "run 1")


def test_one_byte_altered_anywhere_is_an_error(folder: Path) -> None:
    path, _ = write(folder)
    file = Path(path.removeprefix("file://"))
    whole = file.read_bytes()
    for at in range(0, len(whole), 5):
        file.write_bytes(whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :])
        with pytest.raises(DotyposPlanError, match=r"changed|isn't a plan|format"), open_plan(path):
            pass
    for altered in (whole[:-1], whole + b" ", whole.replace(b'{"format"', b'{ "format"'), b"", whole[:40]):
        file.write_bytes(altered)
        with pytest.raises(DotyposPlanError), open_plan(path):
            pass


def test_what_was_checked_is_what_is_read(folder: Path) -> None:
    path, _ = write(folder)
    with open_plan(path) as plan:
        Path(path.removeprefix("file://")).write_text("other")
        assert [*plan.rows()] == ROWS


def test_another_digest_than_the_one_asked_for_is_refused(folder: Path) -> None:
    path, _ = write(folder)
    with pytest.raises(DotyposPlanError, match=r"it isn't the plan that was asked for.*Approve the new one"):
        open_plan(path, "0" * 64).__enter__()


def test_a_plan_that_is_not_there_says_where_it_was_looked_for(folder: Path) -> None:
    with pytest.raises(DotyposPlanError, match=r"there is no file .*/run 1/none.jsonl. Plan again"):
        open_plan(f"file://{folder}/none.jsonl").__enter__()


def test_the_folder_in_place_of_the_plan_is_named(folder: Path) -> None:
    folder.mkdir(parents=True)
    with pytest.raises(DotyposPlanError, match="is a folder: give the plan's path"), open_plan(str(folder)):
        pass


def test_another_format_asks_for_a_new_plan(folder: Path) -> None:
    folder.mkdir(parents=True)
    line = msgspec.json.encode(msgspec.structs.replace(HEADER, format=2))
    (folder / "plan.jsonl").write_bytes(line + b"\n")
    with pytest.raises(DotyposPlanError, match=r"has format 2, and this version reads 1. Plan again"):
        open_plan(f"file://{folder}/plan.jsonl").__enter__()
