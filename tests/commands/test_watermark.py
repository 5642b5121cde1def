"""``watermark show | set | reset`` of files. Tests `commands/watermark`, `lake/watermarks`, `lake/task_instances`.

`transfers/test_incremental` runs it beside real runs of Airflow, `transfers/sql/test_table_watermarks` for tables.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from pathlib import Path

import msgspec
import pytest
from airflow.sdk import ObjectStoragePath

from airflow_provider_dotypos import _compat
from airflow_provider_dotypos.api.errors import DotyposInputError
from airflow_provider_dotypos.api.window import iso
from airflow_provider_dotypos.lake import watermarks
from airflow_provider_dotypos.storage.store import Store
from airflow_provider_dotypos.transfers.files.pending import notes_folder
from airflow_provider_dotypos.transfers.files.watermark_files import WatermarkFiles
from airflow_provider_dotypos.transfers.watermark import Note, watermark_key
from tests.commands.conftest import Command

SHAPE = "0123abcd"
MIDNIGHT = "2026-01-02T00:00:00.000Z"
NOON = "2026-01-02T12:00:00.000Z"


class Lake:
    """A destination with lists that were read up to a watermark, kept in files."""

    def __init__(self, folder: Path) -> None:
        self.destination = f"file://{folder}/lake"
        self.folder = folder / "lake"

    def list(self, entity: str, cloud_id: int = 1, asset: str = "lake") -> WatermarkFiles:
        """Make a list's folder with a set and a note of it, and return where its watermark is kept."""
        key = watermark_key(cloud_id, entity, str(ObjectStoragePath(self.destination)), SHAPE)
        sets = self.folder / str(cloud_id) / entity
        name = f"start_20260102T000000000Z_{SHAPE}"
        (sets / name).mkdir(parents=True, exist_ok=True)
        notes = Store(ObjectStoragePath(f"file://{sets / notes_folder(asset, key)}"))
        note = Note(("dag", "run", "task", -1), 1, name, None, 1_767_312_000_000, None, (), key, asset)
        notes.put_bytes(msgspec.json.encode(note), "0123456789abcdef.json")
        return WatermarkFiles(notes, key, asset, SHAPE)


@pytest.fixture
def lake(tmp_path: Path, migrated: None) -> Lake:
    return Lake(tmp_path)


def test_show_names_each_list_and_what_is_pending(lake: Lake, command: Command) -> None:
    lake.list("orders").begin(lambda: MIDNIGHT)
    lake.list("products", cloud_id=2, asset="other").begin(lambda: None)
    orders, products = command("watermark", "show", lake.destination, "-o", "json").rows
    assert (orders["cloud"], orders["entity"], orders["of"], orders["shape"]) == ("1", "orders", "lake", SHAPE)
    assert (orders["watermark"], orders["by"], orders["kept in"]) == (MIDNIGHT, "first run", "files")
    assert orders["lag"].endswith(" days")
    assert (orders["pending"], orders["pending since"]) == ("1", MIDNIGHT)
    assert (products["cloud"], products["watermark"], products["lag"]) == ("2", "none", "")
    assert orders["key"].startswith("dotypos/1/orders/")


@pytest.mark.parametrize(
    ("options", "shown"),
    [
        (["orders"], 2),
        (["--cloud-id", "2"], 2),
        (["--asset", "lake"], 2),
        (["orders", "--cloud-id", "2"], 1),
        (["--shape", SHAPE], 4),
    ],
)
def test_lists_are_chosen(lake: Lake, command: Command, options: list[str], shown: int) -> None:
    for cloud_id, asset in ((1, "lake"), (2, "other")):
        for entity in ("orders", "products"):
            lake.list(entity, cloud_id, asset).begin(lambda: MIDNIGHT)
    assert len(command("watermark", "show", lake.destination, *options, "-o", "json").rows) == shown


@pytest.mark.parametrize(
    ("to", "follows"),
    [
        (NOON, f"12 hours are skipped: no run without a window reads from {MIDNIGHT} to {NOON}"),
        ("2026-01-01T00:00:00Z", f"24 hours are read again, from 2026-01-01T00:00:00.000Z to {MIDNIGHT}"),
        (MIDNIGHT, "nothing: it is there"),
    ],
)
def test_set_says_what_follows_and_does_it_with_yes(lake: Lake, command: Command, to: str, follows: str) -> None:
    files = lake.list("orders")
    files.begin(lambda: MIDNIGHT)
    asked = command("watermark", "set", lake.destination, "orders", "--to", to, "-o", "json")
    (row,) = asked.rows
    assert (row["from"], row["what follows"], row["done"]) == (MIDNIGHT, follows, "false")
    assert "Nothing was changed. The same command with --yes does it." in asked.err
    assert files.get(files.key) == MIDNIGHT

    done = command("watermark", "set", lake.destination, "orders", "--to", to, "--yes", "-o", "json")
    assert done.rows[0]["done"] == "true"
    assert "A task that runs now reads the window that it has begun." in done.err
    assert files.get(files.key) == row["to"]


def test_a_date_is_of_the_zone_that_is_named(lake: Lake, command: Command) -> None:
    lake.list("orders").begin(lambda: None)
    command("watermark", "set", lake.destination, "--to", "2026-01-02", "--timezone", "Europe/Prague", "--yes")
    (row,) = command("watermark", "show", lake.destination, "-o", "json").rows
    assert (row["watermark"], row["by"]) == ("2026-01-01T23:00:00.000Z", "person")


def test_reset_forgets_it_and_no_set_that_is_there_brings_it_back(lake: Lake, command: Command) -> None:
    files = lake.list("orders")
    files.begin(lambda: MIDNIGHT)
    row = command("watermark", "reset", lake.destination, "orders", "-o", "json").rows[0]
    assert (row["to"], row["what follows"]) == ("none", "the next run reads from its start again")
    assert files.get(files.key) == MIDNIGHT
    command("watermark", "reset", lake.destination, "orders", "--yes")
    assert files.get(files.key) is None
    files.begin(lambda: pytest.fail("a first run's record was made again"))
    (row,) = command("watermark", "reset", lake.destination, "--yes", "-o", "json").rows
    assert row["what follows"] == "nothing: it has none"


@pytest.mark.parametrize("seconds", [0, 3600])
def test_a_time_that_has_not_settled_is_refused(lake: Lake, command: Command, seconds: int) -> None:
    files = lake.list("orders")
    files.begin(lambda: MIDNIGHT)
    to = iso(round((datetime.now(timezone.utc) + timedelta(seconds=seconds)).timestamp() * 1000))
    done = command("watermark", "set", lake.destination, "--to", to, "--yes")
    assert (done.code, done.out) == (1, "")
    assert f"--to {to} is later than " in done.err
    assert files.get(files.key) == MIDNIGHT


def test_one_that_a_run_moves_meanwhile_is_left_alone(
    lake: Lake, command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = lake.list("orders")
    files.begin(lambda: MIDNIGHT)
    change = watermarks.ListWatermark.change

    def late(mark: watermarks.ListWatermark, value: str | None) -> None:
        files.set(files.key, NOON)
        change(mark, value)

    monkeypatch.setattr(watermarks.ListWatermark, "change", late)
    done = command("watermark", "reset", lake.destination, "--yes")
    assert (done.code, files.get(files.key)) == (1, NOON)
    assert "was moved while you looked at it. Nothing was changed: look again" in done.err


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ("show", "Give a destination or --database-conn-id, and not both"),
        ("show x --database-conn-id y", "Give a destination or --database-conn-id, and not both"),
        ("show x --table orders", "--schema and --table are for tables"),
        ("show --database-conn-id y --asset lake", "--schema and --table are for tables"),
        ("set x", "--to TIME says where to set a watermark"),
        ("reset x --to 2026-01-01T00:00:00Z", "--to TIME says where to set a watermark"),
        ("show x --yes", "--yes is for set and reset"),
    ],
)
def test_wrong_options_say_what_to_give(arguments: str, says: str, command: Command) -> None:
    done = command("watermark", *arguments.split())
    assert (done.code, done.out) == (2, "")
    assert says in done.err


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ("show x", "no sets lie below"),
        ("show x order", "did you mean 'orders'"),
        ("set x orders --to soon", "--to must be"),
        ("show --database-conn-id nowhere", "nowhere"),
    ],
)
def test_a_place_without_watermarks_says_what_to_name(
    arguments: str, says: str, command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, migrated: None
) -> None:
    monkeypatch.chdir(tmp_path)
    done = command("watermark", *arguments.split())
    assert (done.code, done.out) == (1, "")
    assert says in done.err


def test_a_list_without_one_is_told_apart(lake: Lake, command: Command) -> None:
    lake.list("orders")
    done = command("watermark", "show", lake.destination, "orders")
    assert (done.code, done.out) == (1, "")
    assert "no such watermark: a task without since and until makes it when it first runs" in done.err
    assert "with nothing but the destination" in done.err


def test_a_place_without_any_does_not_ask_for_what_was_given(lake: Lake, command: Command) -> None:
    lake.list("orders")
    done = command("watermark", "show", lake.destination)
    assert (done.code, done.out) == (1, "")
    assert "tasks with a window make none" in done.err
    assert "nothing but the destination" not in done.err


def test_without_airflows_database_pending_sets_are_those_that_may_be(
    lake: Lake, command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_compat, "asset_states", lambda prefix: [])
    for entity in ("orders", "products"):
        lake.list(entity).begin(lambda: MIDNIGHT)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("airflow_provider_dotypos.lake.task_instances.create_session", _no_database)
        done = command("watermark", "show", lake.destination, "-o", "json")
    assert [row["pending"] for row in done.rows] == ["up to 1", "up to 1"]
    assert done.err.count("Which sets are pending isn't known: Airflow's database can't be asked (RuntimeError)") == 1


def _no_database() -> None:
    raise RuntimeError


@pytest.mark.skipif(not _compat.has_state_store(), reason="Airflow keeps watermarks since 3.3")
class TestKeptByAirflow:
    @pytest.fixture
    def keep(self, lake: Lake) -> Callable[[str, object], None]:
        """Have Airflow's database hold a watermark of orders."""
        from airflow.models.asset import AssetModel
        from airflow.models.asset_state_store import AssetStateStoreModel
        from airflow.utils.session import create_session

        def write(asset: str, value: object) -> None:
            key = lake.list("orders", asset=asset).key
            with create_session() as session:
                model = AssetModel(name=asset, uri=f"x://{asset}", group="asset")
                session.add(model)
                session.flush()
                session.add(AssetStateStoreModel(asset_id=model.id, key=key, value=json.dumps(value)))

        return write

    def test_it_is_shown_set_and_forgotten(
        self, lake: Lake, command: Command, keep: Callable[[str, object], None]
    ) -> None:
        keep("lake", MIDNIGHT)
        (row,) = command("watermark", "show", lake.destination, "-o", "json").rows
        assert (row["of"], row["watermark"], row["kept in"], row["shape"]) == ("lake", MIDNIGHT, "Airflow", SHAPE)
        assert command("watermark", "set", lake.destination, "--to", NOON, "--yes").code == 0
        (row,) = command("watermark", "show", lake.destination, "-o", "json").rows
        assert (row["watermark"], row["by"]) == (NOON, "api")
        assert command("watermark", "reset", lake.destination, "--yes").code == 0
        assert "no such watermark" in command("watermark", "show", lake.destination).err

    def test_one_whose_address_was_written_otherwise_is_found_by_its_notes(
        self, lake: Lake, command: Command, keep: Callable[[str, object], None]
    ) -> None:
        keep("lake", MIDNIGHT)
        (row,) = command("watermark", "show", f"{lake.destination}/", "-o", "json").rows
        assert (row["watermark"], row["shape"]) == (MIDNIGHT, SHAPE)

    def test_one_that_is_kept_elsewhere_is_no_time(
        self, lake: Lake, command: Command, keep: Callable[[str, object], None]
    ) -> None:
        keep("lake", {"__ref": "s3://state/1"})
        (row,) = command("watermark", "show", lake.destination, "-o", "json").rows
        assert (row["watermark"], row["lag"]) == ("no time", "")

    def test_one_that_moved_meanwhile_is_left_alone(
        self, lake: Lake, command: Command, keep: Callable[[str, object], None]
    ) -> None:
        keep("lake", MIDNIGHT)
        (state,) = _compat.asset_states("dotypos/")
        assert _compat.write_asset_state(state, NOON)
        assert not _compat.write_asset_state(state, None)
        assert [each.value for each in _compat.asset_states("dotypos/")] == [NOON]

    def test_another_backend_is_named(
        self, keep: Callable[[str, object], None], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        keep("lake", MIDNIGHT)
        (state,) = _compat.asset_states("dotypos/")
        monkeypatch.setattr("airflow.state.resolve_state_backend", lambda: Elsewhere)
        with pytest.raises(DotyposInputError, match=r"in Elsewhere \(\[state_store\] backend\)"):
            _compat.write_asset_state(state, NOON)


class Elsewhere:
    """A backend that isn't Airflow's database."""
