"""The watermark in files: one first record, a person's word over a run's, and what an upgrade to Airflow 3.3 takes."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from pathlib import Path

import msgspec
import pytest
from airflow.sdk import ObjectStoragePath

from airflow_provider_dotypos.api.errors import DotyposInputError
from airflow_provider_dotypos.storage.store import Store
from airflow_provider_dotypos.transfers.files.watermark_files import (
    BEGUN_STAYS,
    BegunFiles,
    TakenOver,
    WatermarkFiles,
    newest_record,
)
from tests.transfers.test_watermark import Kept

KEY = "dotypos/1/orders/01234567"
ONE, TWO, THREE = (f"2026-01-0{day}T00:00:00.000Z" for day in (1, 2, 3))


@pytest.fixture
def folder(tmp_path: Path) -> Store:
    return Store(ObjectStoragePath(f"file://{tmp_path}/_pending_0"))


def files(folder: Store) -> WatermarkFiles:
    return WatermarkFiles(folder, KEY, "orders", "0123abcd")


def test_the_first_run_makes_the_only_first_record(folder: Store) -> None:
    first, second = files(folder), files(folder)
    second.begin(lambda: first.begin(lambda: None) or ONE)  # which sees sets that the first has committed meanwhile
    assert (first.get(KEY), second.get(KEY)) == (None, None)
    second.begin(lambda: pytest.fail("asked again"))


def test_a_record_says_whose_it_is(folder: Store) -> None:
    files(folder).begin(lambda: ONE)
    number, record = newest_record(folder)
    assert record is not None
    assert (number, record.key, record.asset, record.shape) == (1, KEY, "orders", "0123abcd")
    assert (record.value, record.by) == (ONE, "first run")
    run = files(folder)
    run.get(KEY)
    run.set(KEY, TWO)
    moved = run.read()
    assert moved is not None
    assert (moved.value, moved.by) == (TWO, "run")


@pytest.mark.parametrize("hand", [ONE, None])
def test_a_run_undoes_nothing_that_a_person_has_set_between_its_check_and_its_move(
    folder: Store, hand: str | None
) -> None:
    run = files(folder)
    run.begin(lambda: TWO)
    run.get(KEY)
    files(folder).put(hand)
    run.set(KEY, THREE)
    assert files(folder).get(KEY) == hand
    assert files(folder).get(KEY, "none") == (hand or "none")


def test_two_persons_at_once_are_one_after_the_other(folder: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    files(folder).begin(lambda: None)
    create = Store.create

    def late(store: Store, data: bytes, name: str) -> bool:
        monkeypatch.setattr(Store, "create", create)
        files(folder).put(ONE)
        return create(store, data, name)

    monkeypatch.setattr(Store, "create", late)
    files(folder).put(TWO)
    assert files(folder).get(KEY) == TWO
    assert len([name for name in folder.list() if name.startswith("watermark-")]) == 1


def test_a_first_record_whose_writer_died_counts_for_nothing_and_keeps_its_number(folder: Store) -> None:
    folder.put_bytes(b"", "watermark-0001.json")
    run = files(folder)
    run.begin(lambda: ONE)
    assert files(folder).get(KEY) == ONE
    assert newest_record(folder)[0] == 2


def test_a_record_that_somebody_has_broken_says_what_to_do(folder: Store) -> None:
    run = files(folder)
    run.begin(lambda: ONE)
    run.set(KEY, TWO)
    folder.put_bytes(b"tomorrow", "watermark-0001-moved.json")
    with pytest.raises(DotyposInputError, match=r"watermark-0001-moved\.json doesn't hold a watermark"):
        files(folder).get(KEY)
    folder.delete("watermark-0001-moved.json")
    assert files(folder).get(KEY) == ONE


def test_a_run_whose_folder_was_removed_makes_it_anew(folder: Store) -> None:
    run = files(folder)
    run.begin(lambda: ONE)
    folder.remove()
    run.get(KEY)
    run.set(KEY, TWO)
    assert files(folder).get(KEY) == TWO


def test_findings_are_kept_beside_it(folder: Store) -> None:
    files(folder).set("dotypos/1/orders/null-markers", "no_null")
    assert files(folder).get("dotypos/1/orders/null-markers") == "no_null"
    assert files(folder).get("dotypos/1/orders/other", "none") == "none"
    assert files(folder).get(KEY) is None


def test_what_a_task_has_begun_is_found_by_its_tries_for_thirty_days(folder: Store) -> None:
    now = datetime.now(timezone.utc)
    old, kept = now - BEGUN_STAYS - timedelta(days=1), now - BEGUN_STAYS + timedelta(days=1)
    for origin, moment in (("old", old), ("kept", kept)):
        folder.below(f"{moment:%Y%m%d}").put_bytes(msgspec.json.encode(origin), f"{origin}.json")
    folder.below("somebody's").put_bytes(b"", "x")
    BegunFiles(folder, "new", now).set(KEY, {"until": 1})
    assert BegunFiles(folder, "new", now).get(KEY) == {"until": 1}
    assert BegunFiles(folder, "other", now).get(KEY) is None
    assert BegunFiles(folder, "kept", kept).get(KEY) == "kept"
    assert BegunFiles(folder, "old", old).get(KEY) is None
    assert "somebody's" in folder.folders()


class TestAnUpgradeToAirflow33:
    @staticmethod
    def store(folder: Store, airflow: Kept) -> TakenOver:
        names = folder.list()
        return TakenOver(airflow, files(folder), lambda: names, folder.below("begun"))

    def test_takes_over_the_watermark_once(self, folder: Store) -> None:
        airflow = Kept()
        files(folder).begin(lambda: ONE)
        BegunFiles(folder.below("begun"), "run", datetime.now(timezone.utc)).set(KEY, {})
        folder.put_bytes(b"{}", "0123456789abcdef.json")
        assert self.store(folder, airflow).get(KEY) == ONE
        assert airflow == {KEY: ONE}
        assert (list(folder.list()), folder.folders()) == (["0123456789abcdef.json"], ())
        del airflow[KEY]
        assert self.store(folder, airflow).get(KEY) is None

    def test_that_died_half_way_takes_what_airflow_has(self, folder: Store) -> None:
        airflow = Kept({KEY: TWO})
        files(folder).begin(lambda: ONE)
        assert self.store(folder, airflow).get(KEY) == TWO
        assert folder.list() == {}

    def test_takes_findings_and_no_watermark_where_nothing_was_read(self, folder: Store) -> None:
        airflow, finding = Kept(), "dotypos/1/orders/null-markers"
        files(folder).begin(lambda: None)
        files(folder).set(finding, "no_null")
        store = self.store(folder, airflow)
        assert (store.get(KEY), store.get(finding)) == (None, "no_null")
        assert airflow == {finding: "no_null"}
        store.set(KEY, TWO)
        assert airflow[KEY] == TWO
