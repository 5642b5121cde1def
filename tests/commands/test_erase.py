"""``erase``: it shows first, and erases with ``--yes``."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from airflow.models.connection import Connection
from airflow.sdk import ObjectStoragePath
from airflow.utils.session import create_session

from airflow_provider_dotypos.api.window import Window
from tests.commands.conftest import Command
from tests.lake.lakes import Rows, commit_set
from tests.lake.persons import HER, MARK, marked_row, plain_row


@pytest.fixture
def lake(tmp_path: Path) -> Path:
    destination = ObjectStoragePath(f"file://{tmp_path}/lake")
    commit_set(destination, Window(0, 1), [Rows(0, 1, [marked_row("customers")])], entity="customers")
    order = marked_row("orders", id="501", _customerId=HER)
    commit_set(destination, Window(0, 1), [Rows(0, 1, [order])], entity="orders")
    return tmp_path / "lake"


def held(lake: Path) -> str:
    return "".join(file.read_text() for file in lake.rglob("g*.jsonl"))


def test_it_shows_first_and_erases_with_yes(command: Command, lake: Path, tmp_path: Path) -> None:
    shown = command("erase", "customer", HER, "--destination", str(lake), "-o", "json")
    assert (shown.code, MARK in held(lake)) == (0, True)
    assert "The same command with --yes does it." in shown.err
    (report,) = shown.rows
    assert [(place["table"], place["state"]) for place in report["places"]] == [
        ("customers", "to erase"),
        ("orders", "to erase"),
    ]
    assert report["places"][1]["fields"]["note"] == "1"
    done = command(
        "erase", "customer", HER, "--destination", str(lake), "--yes", "--report", str(tmp_path / "report.json")
    )
    assert (done.code, MARK in held(lake)) == (0, False)
    assert "erased" in done.out
    assert "backups" in done.out
    assert json.loads((tmp_path / "report.json").read_text())["changed"] == 2
    again = command("erase", "customer", HER, "--destination", str(lake), "--yes", "-o", "json")
    assert {place["state"] for place in again.rows[0]["places"]} == {"already erased"}
    assert MARK not in "".join(one.out + one.err for one in (shown, done, again))


def test_what_could_not_be_searched_ends_with_3(command: Command, lake: Path) -> None:
    destination = ObjectStoragePath(f"file://{lake}")
    row = plain_row("orders", id="502")
    commit_set(destination, Window(1, 2), [Rows(1, 2, [row])], entity="orders", columns="note")
    done = command("erase", "customer", HER, "--destination", str(lake), "--yes")
    assert done.code == 3
    assert "lacks _customerId" in done.err
    assert MARK not in held(lake)


def test_nothing_there_and_wrong_usage(command: Command, tmp_path: Path) -> None:
    done = command("erase", "customer", HER, "--destination", str(tmp_path))
    assert (done.code, "no sets lie below" in done.err) == (1, True)
    (tmp_path / "file").touch()
    done = command("erase", "customer", HER, "--destination", str(tmp_path / "file"))
    assert (done.code, "no sets lie below" in done.err) == (1, True)
    done = command("erase", "customer", HER)
    assert (done.code, "Give --destination, --database-conn-id, or both" in done.err) == (2, True)


def test_connections_are_those_of_airflows_database(
    command: Command, lake: Path, tmp_path: Path, migrated: None, recwarn: pytest.WarningsRecorder
) -> None:
    with create_session() as session:
        session.add(Connection("warehouse", conn_type="sqlite", host=str(tmp_path / "warehouse.db")))
    done = command("erase", "customer", HER, "--destination", str(lake), "--database-conn-id", "warehouse")
    assert (done.code, "_dotypos_loads" in done.err) == (1, True)
    assert not [warning for warning in recwarn if "ProvidersManager" in str(warning.message)]
    done = command("erase", "customer", HER, "--destination", str(lake), "--database-conn-id", "nowhere")
    assert (done.code, done.err.strip().count("\n")) == (1, 0)
    assert "The conn_id `nowhere` isn't defined" in done.err


def test_nothing_is_erased_if_the_report_can_not_be_written(command: Command, lake: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    report = tmp_path / "file" / "report.json"
    done = command("erase", "customer", HER, "--destination", str(lake), "--yes", "--report", str(report))
    assert (done.code, MARK in held(lake)) == (1, True)
    done = command("erase", "customer", HER, "--destination", str(lake), "--yes", "--report", str(tmp_path))
    assert (done.code, MARK in held(lake), f"--report: {tmp_path} is a folder" in done.err) == (1, True, True)
    done = command("erase", "customer", HER, "--destination", str(lake), "--yes", "--report", str(lake / "report.json"))
    assert (done.code, MARK in held(lake)) == (0, False)
    assert [file.name for file in lake.glob("report*")] == ["report.json"]


def test_a_wrong_id_is_not_taken_for_a_customer_who_is_forgotten(command: Command, lake: Path) -> None:
    done = command("erase", "customer", "12", "--destination", str(lake), "--yes")
    assert (done.code, "Are both ids right?" in done.err) == (0, True)
    done = command("erase", "customer", HER, "--destination", str(lake), "--cloud-id", "99", "--yes")
    assert (done.code, "no data of cloud 99" in done.err) == (1, True)
    assert MARK in held(lake)
