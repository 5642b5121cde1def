"""What drifts, through the operators into files and tables, and what the command says of it then.

Tests `transfers/news`, `transfers/files/first_seen`, `transfers/sql/odd_loads`, `transfers/sql/oddities`,
`transfers/sql/place` and `commands/drift`, too.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest
from airflow.sdk import ObjectStoragePath

from airflow_provider_dotypos.api.window import DAY, Window
from airflow_provider_dotypos.cli import main
from airflow_provider_dotypos.lake.compaction import ListFolder, compact_list
from airflow_provider_dotypos.lake.drift import drift_of_files, knows_field
from airflow_provider_dotypos.sandbox import Behaviour, Sandbox
from airflow_provider_dotypos.transfers.dotypos_entities_to_object_storage import (
    DotyposEntitiesToObjectStorageOperator,
)
from airflow_provider_dotypos.transfers.dotypos_to_sql import DotyposToSqlOperator
from airflow_provider_dotypos.transfers.files.first_seen import NAME, note_first_seen
from airflow_provider_dotypos.transfers.manifest import read_manifest
from airflow_provider_dotypos.transfers.news import tell_news, with_first_seen
from airflow_provider_dotypos.transfers.rows.new_fields import NewField
from airflow_provider_dotypos.transfers.sql.oddities import Oddities
from tests.lake.lakes import CLOUD, Rows, commit_set, product
from tests.transfers.conftest import SINCE, SINCE_MS, UNTIL, connection, extract  # noqa: F401

pytestmark = pytest.mark.usefixtures("connection")

Extract = Callable[..., dict[str, Any]]

DRIFTED = Behaviour(added_fields=("orders.loyaltyTier", "order-items.course2"), changed_types=("orders.itemCount",))
HOUR = timedelta(hours=1)


@pytest.fixture(autouse=True)
def sales(sandbox: Sandbox) -> None:
    cloud = sandbox.cloud_ids[0]
    for number in range(10):
        order = sandbox.shop.insert(cloud, "orders", {"versionDate": SINCE_MS + number * 1_000_000, "itemCount": 1})
        row = {"_orderId": order["id"], "versionDate": SINCE_MS + number * 1_000_000, "name": "tea"}
        sandbox.shop.insert(cloud, "order-items", row)


def drift(*arguments: str, capsys: pytest.CaptureFixture[str]) -> tuple[int, dict[str, dict[str, Any]], str]:
    """Run the command; return its code, its rows by field, and its notes."""
    capsys.readouterr()
    code = main(["drift", *arguments, "-o", "json"])
    printed = capsys.readouterr()
    return code, {row["field"]: row for row in json.loads(printed.out or "[]")}, printed.err


@pytest.mark.parametrize(
    ("file_format", "counted", "rows", "level"),
    [("jsonl", 2, "or more", "INFO"), ("parquet", 10, "", "WARNING"), ("csv", 10, "", "WARNING")],
)
def test_a_new_field_is_news_once_and_the_command_says_since_when(
    extract: Extract,  # noqa: F811
    sandbox: Sandbox,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    capsys: pytest.CaptureFixture[str],
    file_format: str,
    counted: int,
    rows: str,
    level: str,
) -> None:
    lake, shape = str(tmp_path / "lake"), {"file_format": file_format, "concurrency": 1}
    before = extract(since=SINCE - HOUR, until=SINCE, **shape)
    assert before["new_fields"] == before["misfits"] == {}
    assert read_manifest(before["manifest"]).manifest.new_fields == {}
    assert drift(lake, capsys=capsys)[:2] == (0, {})

    sandbox.behaviour = DRIFTED
    caplog.clear()
    result = extract(until=SINCE + HOUR, **shape)
    (news,) = [record for record in caplog.records if "has a new field" in record.getMessage()]
    assert news.getMessage().startswith("orders has a new field since this window: 'loyaltyTier' (text). ")
    assert news.levelname == level
    assert result["new_fields"] == {"orders": {"loyaltyTier": "text"}}
    field = (read_manifest(result["manifest"]).manifest.new_fields or {})["orders"]["loyaltyTier"]
    assert (field.kinds, field.exact) == (("text",), file_format != "jsonl")
    assert ("weren't UTF-8, in the rows that were looked at: itemCount (" in caplog.text) == (file_format == "jsonl")

    caplog.clear()
    extract(since=SINCE + HOUR, **shape)
    extract(since=SINCE + HOUR, overwrite=True, **shape)
    assert "since this window" not in caplog.text
    assert "orders has a new field that this package doesn't know: 'loyaltyTier' (text, since 2026-03-01" in caplog.text
    code, found, notes = drift(lake, "--entity", "orders", capsys=capsys)
    assert code == 3
    assert "Looked at 3 sets." in notes
    tier = found["loyaltyTier"]
    assert (tier["what"], tier["kind"], tier["sets"]) == ("new field", "text", "2")
    assert (tier["since"], tier["last"]) == ("2026-03-01T00:00:00.000Z", "2026-03-01T01:00:00.000Z")
    assert tier["rows"].endswith(rows)
    assert int(tier["rows"].split()[0]) >= counted
    if file_format != "csv":  # a cell takes any text
        assert (found["itemCount"]["what"], found["itemCount"]["kind"]) == ("misfit", "not a whole number of 32 bits")
    assert drift(lake, "--since", "2026-03-02T00:00:00Z", capsys=capsys)[0] == 0


def test_a_resumed_attempt_keeps_what_its_parts_have_met(
    extract: Extract,  # noqa: F811
    sandbox: Sandbox,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from airflow_provider_dotypos.transfers.files.sink import FileSink

    sandbox.behaviour = DRIFTED
    with monkeypatch.context() as patched:
        patched.setattr(FileSink, "commit", lambda *_: (_ for _ in ()).throw(OSError("the disk is gone")))
        with pytest.raises(OSError, match="the disk is gone"):
            extract(max_part_bytes=1000, concurrency=1)
    sandbox.behaviour = Behaviour()  # nothing new is asked for
    assert extract(max_part_bytes=1000, concurrency=1)["new_fields"] == {"orders": {"loyaltyTier": "text"}}


def test_children_and_fields_that_nobody_wants(
    extract: Extract,  # noqa: F811
    sandbox: Sandbox,
    caplog: pytest.LogCaptureFixture,
) -> None:
    sandbox.behaviour = DRIFTED
    both = {"orders": {"loyaltyTier": "text"}, "order-items": {"course2": "text"}}
    assert extract(include="orderItems", flatten=True)["new_fields"] == both
    nested = {"orders": {"loyaltyTier": "text", "orderItems.course2": "text"}}
    for file_format in ("jsonl", "parquet"):
        assert extract(include="orderItems", file_format=file_format)["new_fields"] == nested
    caplog.clear()
    for file_format in ("jsonl", "parquet", "csv"):
        result = extract(personal_data=False, file_format=file_format)
        assert result["new_fields"] == {"orders": {"loyaltyTier": "text"}}
        assert "loyaltyTier" not in Path(read_manifest(result["manifest"]).uris[0].removeprefix("file://")).read_text(
            errors="replace"
        )
    assert caplog.text.count("Such fields are omitted, as only known fields are wanted.") == 3
    assert extract(snapshot=True, since=None)["new_fields"] == {}


def test_many_lists_have_each_their_own(sandbox: Sandbox, tmp_path: Path) -> None:
    sandbox.behaviour = DRIFTED
    operator = DotyposEntitiesToObjectStorageOperator(
        task_id="t", entities=["orders", "tags"], destination=f"file://{tmp_path}/lake", since=SINCE, until=UNTIL
    )
    context: Any = {"ti": SimpleNamespace(try_number=1), "dag_run": SimpleNamespace(run_after=UNTIL)}
    results = operator.execute(context)["entities"]
    assert results["orders"]["new_fields"] == {"orders": {"loyaltyTier": "text"}}
    assert results["tags"]["new_fields"] == {}


@pytest.mark.parametrize("whole", [True, False], ids=["whole", "without personal data"])
def test_tables_say_it_of_their_loads(
    sandbox: Sandbox,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    capsys: pytest.CaptureFixture[str],
    whole: bool,
) -> None:
    monkeypatch.setenv("AIRFLOW_CONN_WAREHOUSE", json.dumps({"conn_type": "sqlite", "host": str(tmp_path / "w.db")}))

    def load(since: Any, until: Any) -> dict[str, Any]:
        arguments: dict[str, Any] = {"entity": "orders", "conn_id": "warehouse", "personal_data": whole}
        operator = DotyposToSqlOperator(task_id="t", since=since, until=until, include="orderItems", **arguments)
        ti = SimpleNamespace(try_number=1, dag_id="d", task_id="t", run_id="r", map_index=-1)
        return operator.execute({"ti": ti, "dag_run": SimpleNamespace(run_after=UNTIL), "run_id": "r"})  # type: ignore[typeddict-item]

    assert drift("--database-conn-id", "warehouse", capsys=capsys)[0] == 1  # nothing was loaded there
    assert load(SINCE - HOUR, SINCE)["new_fields"] == {}
    sandbox.behaviour = DRIFTED
    result = load(SINCE, SINCE + HOUR)
    assert result["new_fields"] == {"orders": {"loyaltyTier": "text"}, "order-items": {"course2": "text"}}
    assert "'order-items.course2' (text), 'loyaltyTier' (text)" in caplog.text
    assert load(SINCE, SINCE + HOUR) == result  # as it was noted
    load(SINCE + HOUR, UNTIL)
    assert "'loyaltyTier' (text, since 2026-03-01T00:00:00.000Z)" in caplog.text
    code, found, notes = drift("--database-conn-id", "warehouse", capsys=capsys)
    assert (code, found["loyaltyTier"]["table"], found["course2"]["table"]) == (3, "orders", "order-items")
    assert found["loyaltyTier"]["sets"] == "2"
    assert ("or more" in found["loyaltyTier"]["rows"]) is not whole
    assert "Looked at 3 loads." in notes
    assert "itemCount" in found


def test_a_set_that_was_extracted_again_since_it_was_compacted_counts(tmp_path: Path) -> None:
    destination = ObjectStoragePath(f"file://{tmp_path}/lake")
    windows = [Window(day * DAY, (day + 1) * DAY) for day in range(2)]
    for window in windows:
        rows = [product(1, window.since)]
        commit_set(destination, window, [Rows(window.since, window.until, rows)])
    folder = ListFolder(destination, CLOUD, "products")
    assert len(list(compact_list(folder, 40 * DAY))) == 1
    assert drift_of_files(destination).looked == 1  # the compacted one
    rows = [product(1, 0, novel="x")]
    commit_set(destination, windows[0], [Rows(0, DAY, rows)], overwrite=True)
    drifts = drift_of_files(destination)
    assert drifts.looked == 2
    assert [drift.subject.name for drift in drifts] == ["novel"]


def test_sets_of_earlier_versions_are_named_as_such(
    extract: Extract,  # noqa: F811
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    path = Path(extract()["manifest"].removeprefix("file://"))
    manifest = json.loads(path.read_text())
    del manifest["new_fields"]
    path.write_text(json.dumps(manifest))
    code, found, notes = drift(str(tmp_path / "lake"), capsys=capsys)
    assert (code, found) == (0, {})
    assert "1 of them were written by earlier versions, which didn't look for new fields." in notes


def test_wrong_options_are_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for arguments, code, said in (
        ([], 2, "Give DESTINATION, the folder of sets, or --database-conn-id"),
        ([str(tmp_path), "--schema", "s"], 2, "--schema is of a database"),
        ([str(tmp_path)], 1, "no sets lie below"),
        ([str(tmp_path), "--entity", "ordrs"], 1, "orders"),
        ([str(tmp_path), "ordrs"], 1, "did you mean 'orders'"),
        ([str(tmp_path), "orders", "--entity", "orders"], 2, "Give ENTITY or --entity, and not both"),
        ([str(tmp_path), "--since", "soon"], 1, "--since"),
        ([str(tmp_path), "--since", "2026-03-01"], 1, "name its zone with --timezone,"),
    ):
        ended, _, notes = drift(*arguments, capsys=capsys)
        assert (ended, said in notes) == (code, True), notes


def test_a_list_or_a_cloud_that_is_not_there_is_no_good_news(
    extract: Extract,  # noqa: F811
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    extract()
    for arguments, said in (
        (["--entity", "products"], "no products lie below"),
        (["products"], "ENTITY: no products lie below"),
        (["--cloud-id", "99"], "no data of cloud 99"),
    ):
        code, _, notes = drift(str(tmp_path / "lake"), *arguments, capsys=capsys)
        assert (code, said in notes) == (1, True), notes


def test_a_note_that_cannot_be_kept_costs_the_words_since_this_window_alone(caplog: pytest.LogCaptureFixture) -> None:
    fields = {"orders": {"a": NewField(("text",), 1)}}
    broken: Any = SimpleNamespace(read=lambda _: b"[]", put_bytes=lambda *_: pytest.fail("somebody's file"))
    assert NAME.startswith("_")
    assert note_first_seen(broken, fields, "2026-03-01T00:00:00.000Z") is None
    caplog.set_level("INFO")
    tell_news("orders", fields, "2026-03-01T00:00:00.000Z", None, "as they came")
    assert "orders has a new field that this package doesn't know: 'a' (text)." in caplog.text
    caplog.clear()
    later = {"orders": {"a": "2026-03-02T00:00:00.000Z"}}  # of a window before those that were read already
    assert with_first_seen(later, fields, "the beginning") == {"orders": {"a": "the beginning"}}
    tell_news("orders", fields, "2026-03-01T00:00:00.000Z", later, "as they came")
    assert "since this window" in caplog.text
    caplog.clear()
    tell_news("orders", {}, "the beginning", {}, "aside")
    assert not caplog.records


def test_oddities_are_read_as_they_were_written_and_as_earlier_versions_wrote_them() -> None:
    odd = Oddities({"created": 2}, {"orders": {"a": NewField(("text",), 3, exact=False)}})
    assert Oddities.read(odd.written()) == odd
    assert Oddities.read('{"created":2}') == Oddities({"created": 2})
    assert Oddities.read(None) == Oddities.read("{}") == Oddities()
    assert Oddities.sum([odd, odd]).misfits == {"created": 4}
    assert msgspec.json.decode(Oddities({"created": 2}).written()) == {"created": 2}


def test_a_field_that_a_newer_table_knows_is_known() -> None:
    assert knows_field("orders", "orderItems.name")
    assert not knows_field("orders", "loyaltyTier")
    assert not knows_field("orders", "note.name")
    assert not knows_field("nothing", "id")
