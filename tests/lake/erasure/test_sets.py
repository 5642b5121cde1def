"""A customer erased from sets: nothing of theirs is left in any byte, and nothing else changes."""

from __future__ import annotations

import gzip
import json
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from airflow.sdk import ObjectStoragePath
from hypothesis import given, settings
from hypothesis import strategies as st

from airflow_provider_dotypos.api.window import Window
from airflow_provider_dotypos.exceptions import DotyposCancelledError, DotyposInputError
from airflow_provider_dotypos.lake.erasure import sets as erasure_sets
from airflow_provider_dotypos.lake.erasure.erasing import Erasure
from airflow_provider_dotypos.lake.erasure.report import ErasureReport, write_report
from airflow_provider_dotypos.lake.sets import LakeSet
from airflow_provider_dotypos.storage.store import Store
from airflow_provider_dotypos.transfers.files.commit import Attempt
from airflow_provider_dotypos.transfers.files.committed_set import read_manifest
from airflow_provider_dotypos.transfers.files.manifest import Manifest
from tests.lake.lakes import CLOUD, FORMATS, Rows, commit_set
from tests.lake.persons import HER, MARK, MARKED_NUMBER, MARKED_TIME, OTHER, marked_row, plain_row

#: Marks of hers, in any place or format.
MARKS = (MARK, MARKED_TIME, MARKED_NUMBER)

Tables = dict[str, dict[str, list[dict[str, Any]]]]


def hers(entity: str, id: str, **given: Any) -> dict[str, Any]:
    return marked_row(entity, id=id, **given)


def others(entity: str, id: str, **given: Any) -> dict[str, Any]:
    return plain_row(entity, id=id, **given)


def make(destination: ObjectStoragePath, **shape: Any) -> None:
    """Commit sets in which she is everywhere, and somebody else, too."""

    def commit(entity: str, rows: Sequence[Mapping[str, Any]], day: int = 0, **more: Any) -> LakeSet:
        half = len(rows) // 2
        parts = [Rows(day, day + 50, rows[:half]), Rows(day + 50, day + 100, rows[half:])]
        return commit_set(destination, Window(day, day + 100), parts, entity=entity, **{**shape, **more})

    item, payment = hers("order-items", "511", _orderId="501"), hers("money-logs", "521", _orderId="501")
    other_item = others("order-items", "512", _orderId="502", _customerId=OTHER)
    commit("customers", [hers("customers", HER), others("customers", OTHER)])
    # Nobody is named in an earlier version of her order, and an order was made of it.
    orders = [
        hers("orders", "501", _customerId=HER, loyaltyName=MARK, orderItems=[item, "odd"], moneyLogs=[payment]),
        others("orders", "502", _customerId=OTHER, loyaltyName="kept", orderItems=[other_item], moneyLogs=[]),
        hers("orders", "503", _relatedOrderId="501", orderItems=[hers("order-items", "513", _orderId="503")]),
        others("orders", "504", _relatedOrderId="501", _customerId=OTHER, orderItems=None),
        others("orders", "505", orderItems=[hers("order-items", "515", _customerId=HER), others("order-items", "516")]),
    ]
    commit("orders", orders, include="orderItems,moneyLogs")
    earlier = [
        hers("orders", "501", versionDate="2026-02-01T10:00:00.000Z", orderItems=[item], moneyLogs=[payment]),
        others("orders", "502", orderItems=[other_item], moneyLogs=[]),
    ]
    commit("orders", earlier, 100, include="orderItems,moneyLogs", flatten=True, threads=1)
    commit("order-items", [item, other_item, hers("order-items", "517", _relatedOrderItemId="515")])
    commit(
        "money-logs", [payment, others("money-logs", "522", _orderId="502"), hers("money-logs", "523", _orderId="503")]
    )
    commit("customer-accounts", [others("customer-accounts", "531", _customerId=HER)])
    logs = [hers("customer-account-logs", "541", _customerAccountId="531"), others("customer-account-logs", "542")]
    commit("customer-account-logs", logs)
    commit("reservations", [hers("reservations", "551", _customerId=HER), others("reservations", "552")])
    commit("reservations", [others("reservations", "553", _customerId=OTHER)], 100)
    commit("products", [others("products", "601")])


def folders(root: Path) -> list[Path]:
    return sorted(path.parent for path in root.rglob("_manifest-*.json"))


def tables(root: Path) -> Tables:
    """Return all rows of all sets."""
    sets = {str(folder.relative_to(root)): read_manifest(f"file://{folder}", verify=True) for folder in folders(root)}
    return {name: {table: list(one.rows(table)) for table in one.tables} for name, one in sets.items()}


def lines(root: Path) -> dict[str, list[bytes]]:
    """Return the lines of all files of a lake of text, by the kind of set."""
    found: dict[str, list[bytes]] = {}
    for file in sorted(root.rglob("g*")):
        data = gzip.decompress(file.read_bytes()) if file.suffix == ".gz" else file.read_bytes()
        found.setdefault(str(file.parent.relative_to(root)), []).extend(data.splitlines(keepends=True))
    return found


def contents(root: Path) -> dict[str, bytes]:
    return {str(file.relative_to(root)): file.read_bytes() for file in sorted(root.rglob("*")) if file.is_file()}


def marks_left(root: Path) -> list[str]:
    """Return the files that hold a mark: in their bytes, unpacked, or in their rows."""
    left = [
        name
        for name, data in contents(root).items()
        for unpacked in [gzip.decompress(data) if name.endswith(".gz") else data]
        if any(text in unpacked for mark in MARKS for text in (mark.encode(), json.dumps(mark)[1:-1].encode()))
    ]
    return left + [name for name, rows in tables(root).items() if any(mark in str(rows) for mark in MARKS)]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "lake"


def erase(root: Path, **arguments: Any) -> ErasureReport:
    return Erasure(int(HER), ObjectStoragePath(f"file://{root}"), **{"dry_run": False, **arguments}).run()


@pytest.mark.parametrize("shape", FORMATS, ids=lambda shape: "-".join(shape.values()))
def test_nothing_of_hers_is_left_and_nothing_else_changes(root: Path, shape: Mapping[str, Any]) -> None:
    make(ObjectStoragePath(f"file://{root}"), **shape)
    before, files = tables(root), contents(root)
    assert len(marks_left(root)) > 10

    dry = erase(root, dry_run=True)
    assert contents(root) == files
    report = erase(root)
    assert marks_left(root) == []
    after = tables(root)
    assert kept(after) == kept(before)
    assert [place.as_mapping() | {"state": "erased"} for place in dry.places.values() if place.changed] == [
        place.as_mapping() for place in report.places.values() if place.changed
    ]
    manifests = {str(folder.relative_to(root)): read_manifest(f"file://{folder}").manifest for folder in folders(root)}
    erased = {name for name, manifest in manifests.items() if manifest.rewritings}
    assert erased == {name for name, rows in before.items() if MARK in str(rows)}
    assert all(manifests[name].rewritings[0].reason == "erased" for name in erased)
    for name in manifests.keys() - erased:
        assert {n: b for n, b in contents(root).items() if n.startswith(name)} == {
            n: b for n, b in files.items() if n.startswith(name)
        }
    assert report.searched["set"] == len(before) - 1  # not that of products
    assert report.whole

    done = contents(root)
    again = erase(root)
    assert contents(root) == done
    assert {place.state for place in again.places.values()} == {"already erased"}
    assert not any(mark in json.dumps(one.as_mapping()) for one in (report, dry, again) for mark in MARKS)


def kept(lake: Tables) -> Any:
    """Return a lake with nothing in the fields of hers that hold marks, or would."""
    return json.loads(json.dumps(lake), object_hook=_without_marks)


def _without_marks(row: dict[str, Any]) -> dict[str, Any]:
    fields = marked_row("orders").keys() | marked_row("customers").keys()
    of_hers = any(mark in str(value) for mark in MARKS for value in row.values() if not isinstance(value, list))
    blank = row.get("id") in ("501", "503", "511", "513", "515", "517", "521", "523", "541", "551", HER)
    if not (of_hers or blank):
        return row
    personal = ("note", "printData", "merchantPrintData", "locationLatitude", "locationLongitude", "loyaltyName")
    every = {name for name in marked_row("customers") if MARK in str(marked_row("customers")[name])} | {"birthday"}
    gone = {*personal, *(every if row.get("id") == HER else ())}
    assert gone <= fields | {"loyaltyName"}
    cut = {name: value for name, value in row.items() if name not in gone}
    return {
        name: [item for item in value if item != "odd"] if name == "orderItems" and value else value
        for name, value in cut.items()
    }


@pytest.mark.parametrize("shape", [FORMATS[0], FORMATS[3]], ids=lambda shape: "-".join(shape.values()))
def test_lines_of_others_keep_their_bytes(root: Path, shape: Mapping[str, Any]) -> None:
    make(ObjectStoragePath(f"file://{root}"), **shape)
    before = lines(root)
    erase(root)
    after = lines(root)
    assert before.keys() == after.keys()
    for name, old in before.items():
        assert len(after[name]) == len(old)
        unchanged = [line for line in old if not any(mark.encode() in line for mark in MARKS)]
        assert [line for line in after[name] if line in unchanged] == unchanged


@pytest.mark.parametrize("shape", [FORMATS[0], FORMATS[2], FORMATS[4]], ids=lambda shape: "-".join(shape.values()))
def test_whoever_is_named_in_another_form_is_found_in_every_format(root: Path, shape: Mapping[str, Any]) -> None:
    destination = ObjectStoragePath(f"file://{root}")
    items = [hers("order-items", "511", _customerId=[HER]), others("order-items", "512", _customerId=[OTHER])]
    rows = [
        hers("orders", "501", _customerId=[HER], orderItems=[], points=MARK),
        others("orders", "502", _customerId=[OTHER], orderItems=items),
    ]
    commit_set(destination, Window(0, 1), [Rows(0, 1, rows)], entity="orders", include="orderItems", **shape)
    [before] = tables(root).values()
    report = erase(root)
    assert report.whole
    assert marks_left(root) == []
    [after] = tables(root).values()
    assert after["orders"][0]["points"] is None
    before["orders"][0]["points"] = None
    assert kept({"": after}) == kept({"": before})
    assert {place.state for place in erase(root).places.values()} == {"already erased"}


ENTITIES = st.sampled_from(["reservations", "money-logs", "orders", "order-items"])


@st.composite
def lakes(draw: st.DrawFn) -> list[tuple[str, dict[str, Any], list[dict[str, Any]]]]:
    """Return sets with rows of hers and of others; those of hers name her or her order, which is in some set."""
    sets: list[tuple[str, dict[str, Any], list[dict[str, Any]]]] = []
    order = hers("orders", "501", _customerId=HER, orderItems=[])
    for number in range(draw(st.integers(1, 5))):
        entity = draw(ENTITIES)
        rows = []
        for id in draw(st.lists(st.integers(1, 99), unique=True, max_size=6)):
            theirs = draw(st.booleans())
            by = {"_customerId": HER} if entity in ("reservations",) or draw(st.booleans()) else {"_orderId": "501"}
            by = {"_relatedOrderId": "501"} if entity == "orders" and "_orderId" in by else by
            by = {"_orderId": "501"} if entity == "money-logs" else by
            extra = {draw(st.text(min_size=1, max_size=3)): draw(st.text(max_size=3))} if draw(st.booleans()) else {}
            id_text = f"9{number}{id}"
            extra = {name: value for name, value in extra.items() if name not in marked_row(entity)}
            if theirs:
                rows.append(hers(entity, id_text, **by, **dict.fromkeys(extra, MARK)))
            else:
                rows.append(others(entity, id_text, **extra))
        sets.append((entity, dict(draw(st.sampled_from(FORMATS))), rows))
    sets.append(("orders", dict(draw(st.sampled_from(FORMATS))), [order]))
    return sets


@settings(max_examples=10)
@given(lake=lakes())
def test_whatever_lies_where_hers_is_gone_and_others_stay(
    tmp_path_factory: pytest.TempPathFactory, lake: list[tuple[str, dict[str, Any], list[dict[str, Any]]]]
) -> None:
    root = tmp_path_factory.mktemp("lake")
    destination = ObjectStoragePath(f"file://{root}")
    for number, (entity, shape, rows) in enumerate(lake):
        commit_set(destination, Window(number, number + 1), [Rows(number, number + 1, rows)], entity=entity, **shape)
    before = tables(root)
    erase(root)
    assert marks_left(root) == []
    after = tables(root)
    for name, found in before.items():
        for table, rows in found.items():
            for old, new in zip(rows, after[name][table], strict=True):
                assert new["id"] == old["id"]
                assert any(mark in str(old) for mark in MARKS) or new == old


class Crash(BaseException):
    """The end of a process."""


@pytest.mark.parametrize("when", ["before", "after"])
def test_a_crash_at_any_change_of_the_store_is_made_good_by_the_next_run(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, when: str
) -> None:
    destination = ObjectStoragePath(f"file://{root}")
    orders = [hers("orders", "501", _customerId=HER, orderItems=[hers("order-items", "511")]), others("orders", "502")]
    commit_set(destination, Window(0, 1), [Rows(0, 1, orders)], entity="orders", include="orderItems", flatten=True)
    commit_set(destination, Window(0, 1), [Rows(0, 1, [hers("customers", HER)])], entity="customers")
    names = {str(folder.relative_to(root)) for folder in folders(root)}
    done, operations, left = False, 0, 0

    def counted(operation: Any) -> Any:
        def run(self: Store, *arguments: Any, **more: Any) -> Any:
            nonlocal left
            left -= 1
            dies = left == 0
            if dies and when == "before":
                raise Crash
            result = operation(self, *arguments, **more)
            if dies:
                raise Crash
            return result

        return run

    for name in ("put", "put_bytes", "create", "delete"):
        monkeypatch.setattr(Store, name, counted(getattr(Store, name)))
    while not done:
        operations += 1
        copy = tmp_path / f"copy{operations}"
        shutil.copytree(root, copy)
        left = operations
        try:
            erase(copy)
            done = True
        except Crash:
            left = 0
            assert {str(f.relative_to(copy)) for f in folders(copy)} == names
            tables(copy)  # every set is whole
            report = erase(copy)
            assert {place.state for place in report.places.values()} <= {"erased", "already erased"}
        assert marks_left(copy) == []
        assert not [name for name in contents(copy) if ".staging-" in name]
    assert operations > 8


def test_sets_that_come_meanwhile_are_searched_as_well(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An extraction commits her order while her row is rewritten; with it, her payment turns out to be hers."""
    destination = ObjectStoragePath(f"file://{root}")
    commit_set(destination, Window(0, 1), [Rows(0, 1, [hers("customers", HER)])], entity="customers")
    payments = [hers("money-logs", "521", _orderId="501"), others("money-logs", "522")]
    commit_set(destination, Window(0, 1), [Rows(0, 1, payments)], entity="money-logs")
    rewrite = erasure_sets.rewrite_set

    def rewriting(*arguments: Any, **more: Any) -> Manifest:
        monkeypatch.setattr(erasure_sets, "rewrite_set", rewrite)
        order = hers("orders", "501", _customerId=HER)
        commit_set(destination, Window(0, 1), [Rows(0, 1, [order])], entity="orders")
        return rewrite(*arguments, **more)

    monkeypatch.setattr(erasure_sets, "rewrite_set", rewriting)
    report = erase(root)
    assert marks_left(root) == []
    assert report.totals()["sets"] == 3


def test_a_set_that_is_replaced_meanwhile_is_searched_again(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    destination = ObjectStoragePath(f"file://{root}")

    def commit(**more: Any) -> LakeSet:
        rows = [Rows(0, 1, [hers("customers", HER), *([others("customers", OTHER)] if more else [])])]
        return commit_set(destination, Window(0, 1), rows, entity="customers", **more)

    commit()
    rewrite = erasure_sets.rewrite_set

    def rewriting(*arguments: Any, **more: Any) -> Manifest:
        monkeypatch.setattr(erasure_sets, "rewrite_set", rewrite)
        commit(overwrite=True)
        return rewrite(*arguments, **more)

    monkeypatch.setattr(erasure_sets, "rewrite_set", rewriting)
    report = erase(root)
    assert marks_left(root) == []
    [rows] = [found["customers"] for found in tables(root).values()]
    assert [row["id"] for row in rows] == [HER, OTHER]
    assert report.totals()["changed"] == 1


@pytest.mark.parametrize("rows", [[], [others("customers", OTHER)]], ids=["empty", "full"])
def test_a_set_that_was_removed_and_extracted_again_meanwhile_is_searched_again(
    root: Path, monkeypatch: pytest.MonkeyPatch, rows: list[dict[str, Any]]
) -> None:
    destination = ObjectStoragePath(f"file://{root}")
    commit_set(destination, Window(0, 1), [Rows(0, 1, rows)], entity="customers")
    commit_set(destination, Window(1, 2), [Rows(1, 2, [hers("customers", HER)])], entity="customers")
    rewrite = erasure_sets.rewrite_set

    def rewriting(*arguments: Any, **more: Any) -> Manifest:
        monkeypatch.setattr(erasure_sets, "rewrite_set", rewrite)
        shutil.rmtree(folders(root)[0])
        commit_set(destination, Window(0, 1), [Rows(0, 1, [hers("customers", HER)])], entity="customers")
        return rewrite(*arguments, **more)

    monkeypatch.setattr(erasure_sets, "rewrite_set", rewriting)
    erase(root)
    assert marks_left(root) == []


def test_nested_sets_of_a_history_are_searched(root: Path) -> None:
    nested = ObjectStoragePath(f"file://{root}") / "_nested"
    order = hers("orders", "501", _customerId=HER, orderItems=[hers("order-items", "511")])
    commit_set(nested, Window(0, 1), [Rows(0, 1, [order])], entity="orders", include="orderItems", flatten=True)
    assert erase(root).totals()["changed"] == 2
    assert marks_left(root) == []


def leave_parts(root: Path, generation_of: LakeSet | None) -> None:
    """Leave what an attempt leaves that dies before its manifest."""
    folder = root / f"{CLOUD}/customers/19700101T000000000Z_19700101T000000001Z_0000abcd"
    folder = Path(generation_of.store.folder.path) if generation_of else folder
    folder.mkdir(parents=True, exist_ok=True)
    number = 2 if generation_of else 1
    name = f"g000{number}-rows-19700101T000000000Z-19700101T000000001Z-t1a4f09c.jsonl"
    (folder / name).write_text(json.dumps(hers("customers", HER)))
    (folder / f"_{name}.meta").write_text("{}")
    (folder / f".staging-g000{number}-0123456789abcdef").write_text(MARK)


@pytest.mark.parametrize("beside_a_set", [False, True])
def test_files_of_unfinished_attempts_are_named_and_removed_if_asked(root: Path, beside_a_set: bool) -> None:
    destination = ObjectStoragePath(f"file://{root}")
    found = commit_set(destination, Window(0, 1), [Rows(0, 1, [others("customers", OTHER)])], entity="customers")
    leave_parts(root, found if beside_a_set else None)
    before = contents(root)
    for dry_run in (True, False):
        report = erase(root, dry_run=dry_run)
        assert list(report.unfinished.values()) == [2]
        assert not report.whole
        assert any("--remove-unfinished" in line for line in report.warnings())
        assert contents(root) == before
    report = erase(root, remove_unfinished=True)
    assert (report.whole, report.removed) == (True, 3)
    assert marks_left(root) == []


def test_a_set_that_is_committed_just_then_loses_no_file(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    destination = ObjectStoragePath(f"file://{root}")
    rows = [Rows(0, 1, [others("customers", OTHER)])]
    commit_set(destination, Window(0, 1), rows, entity="customers")
    commit_set(destination, Window(1, 2), rows, entity="customers")
    before = contents(root)
    *_, manifest = sorted(root.rglob("_manifest-*.json"))
    not_yet = manifest.rename(root / "not yet")
    tidy, listed, tidying = erasure_sets.SetErasure.tidy, Store.list, []

    def commits_after(store: Store) -> dict[str, int]:
        names = listed(store)
        if tidying and not_yet.exists() and manifest.parent.name in str(store.folder):
            not_yet.rename(manifest)
        return names

    monkeypatch.setattr(Store, "list", commits_after)
    monkeypatch.setattr(erasure_sets.SetErasure, "tidy", lambda self: tidying.append(True) or tidy(self))
    assert erase(root, remove_unfinished=True).whole
    assert contents(root) == before


def test_leftovers_of_earlier_generations_are_removed(root: Path) -> None:
    destination = ObjectStoragePath(f"file://{root}")
    rows = [Rows(0, 1, [others("customers", OTHER)])]
    commit_set(destination, Window(0, 1), rows, entity="customers")
    found = commit_set(destination, Window(0, 1), rows, entity="customers", overwrite=True)
    leave_parts(root, found)
    assert erase(root, dry_run=True).removed == 0
    assert marks_left(root)
    assert (erase(root).removed, marks_left(root)) == (3, [])


def test_sets_that_lack_what_shows_whose_rows_are_are_named(root: Path) -> None:
    destination = ObjectStoragePath(f"file://{root}")
    row = others("orders", "501")
    commit_set(destination, Window(0, 1), [Rows(0, 1, [row])], entity="orders", columns="note")
    commit_set(destination, Window(1, 2), [Rows(1, 2, [row])], entity="orders", columns="paid")
    commit_set(destination, Window(2, 3), [Rows(2, 3, [row])], entity="orders", personal_data=False)
    report = erase(root)
    [lacks] = report.unsure.values()
    assert lacks == ["_customerId", "_relatedInvoiceId", "_relatedOrderId", "_sourceOrderId"]
    assert not report.whole


def test_a_damaged_set_is_named_and_the_others_are_erased(root: Path) -> None:
    destination = ObjectStoragePath(f"file://{root}")
    for day in range(3):
        commit_set(
            destination, Window(day, day + 1), [Rows(day, day + 1, [hers("customers", HER)])], entity="customers"
        )
    damaged = folders(root)[1]
    [part] = damaged.glob("g*")
    part.write_bytes(b"x" * part.stat().st_size)
    report = erase(root)
    assert list(report.unreadable) == [f"file://{damaged}"]
    assert report.totals()["sets"] == 2
    assert not report.whole
    assert MARK not in str(report.unreadable)


def test_only_the_clouds_own_customer_is_erased_and_the_cloud_must_be_clear(root: Path) -> None:
    destination = ObjectStoragePath(f"file://{root}")
    commit_set(destination, Window(0, 1), [Rows(0, 1, [hers("customers", HER)])], entity="customers")
    shutil.copytree(root / str(CLOUD), root / "7")
    with pytest.raises(DotyposInputError, match=f"cloud_id: there is data of several clouds: 7, {CLOUD}"):
        erase(root)
    before = {name: data for name, data in contents(root).items() if name.startswith("7/")}
    assert erase(root, cloud_id=CLOUD).totals()["changed"] == 1
    assert {name: data for name, data in contents(root).items() if name.startswith("7/")} == before


def test_a_folder_without_sets_is_refused(root: Path) -> None:
    root.mkdir()
    with pytest.raises(DotyposInputError, match="destination: no sets lie below"):
        erase(root)
    with pytest.raises(DotyposInputError, match="destination: give"):
        Erasure(1).run()


def test_a_killed_task_ends_between_two_sets(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    destination = ObjectStoragePath(f"file://{root}")
    for day in range(2):
        commit_set(
            destination, Window(day, day + 1), [Rows(day, day + 1, [hers("customers", HER)])], entity="customers"
        )
    killed = False
    commit = Attempt.commit

    def committing(*arguments: Any, **more: Any) -> Manifest:
        nonlocal killed
        killed = True
        return commit(*arguments, **more)

    def check() -> None:
        if killed:
            raise DotyposCancelledError("killed")

    monkeypatch.setattr(Attempt, "commit", committing)
    with pytest.raises(DotyposCancelledError):
        erase(root, check=check)
    monkeypatch.setattr(Attempt, "commit", commit)
    assert len(marks_left(root)) > 0
    report = erase(root)
    assert marks_left(root) == []
    assert {place.state for place in report.places.values()} == {"erased", "already erased"}


def test_the_whole_report_is_written_as_json(root: Path, tmp_path: Path) -> None:
    destination = ObjectStoragePath(f"file://{root}")
    commit_set(destination, Window(0, 1), [Rows(0, 1, [hers("customers", HER)])], entity="customers")
    report = erase(root, dry_run=True)
    path = write_report(report, ObjectStoragePath(f"file://{tmp_path}/reports/her.json"))
    written = json.loads((tmp_path / "reports/her.json").read_text())
    assert path.endswith("reports/her.json")
    assert written == json.loads(json.dumps(report.as_mapping()))
    [place] = written["places"]
    assert (place["state"], place["rows"], place["fields"]["firstName"]) == ("to erase", 1, 1)
    assert any("backups" in text for text in written["not_searched"])
