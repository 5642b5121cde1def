"""Where the command *connect* puts a connection: a real metadata database, or to standard output.

Tests `terminal/target`, `connect/credentials`, `connections/stored`.
"""

from __future__ import annotations

import json
import shutil
import sqlite3
import subprocess
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_dotypos.connections import stored
from airflow_provider_dotypos.connections.stored import StoredConnection
from airflow_provider_dotypos.hooks.dotypos import DotyposHook
from airflow_provider_dotypos.provider_info import CONN_FIELDS
from airflow_provider_dotypos.sandbox import Sandbox
from demo import children
from tests.connect.terminal.command_run import PROCESS, Browser, Connect, Told, options_for, starter
from tests.ui.airflow_server import AirflowHome, empty_database


@pytest.fixture
def connect(monkeypatch: pytest.MonkeyPatch, sandbox: Sandbox) -> Connect:
    return starter(monkeypatch, sandbox)


def found(conn_id: str) -> StoredConnection:
    held = stored.find(conn_id)
    assert held is not None
    return held


def assert_works(held: StoredConnection, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIRFLOW_CONN_STORED", held.with_grant({}))
    works, message = DotyposHook("stored").test_connection()
    assert works, message


@pytest.mark.usefixtures("database")
def test_a_connection_is_made(
    connect: Connect,
    sandbox: Sandbox,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    cloud_id = sandbox.cloud_ids[1]
    run = connect("--conn-id", "dotypos_default", "--cloud-id", cloud_id, *options_for(sandbox))

    last = Browser().connect(run.address, cloud_id)

    assert run.end() == 0, run.told.read()
    assert "Stored in Airflow&#39;s database as dotypos_default" in last.text
    held = found("dotypos_default")
    assert (held.client_id, held.client_secret) == (sandbox.client_id, sandbox.client_secret)
    assert (held.host, f"{held.host}:{held.port}") == ("http://127.0.0.1", sandbox.url)
    assert held.cloud_id == str(cloud_id)
    assert_works(held, monkeypatch)
    assert not capfd.readouterr().out


def test_connecting_again_changes_the_token_and_nothing_else(
    connect: Connect, sandbox: Sandbox, database: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("DOTYPOS_CLIENT_SECRET")  # the connection has it
    cloud_id, fields = sandbox.cloud_ids[0], {**sandbox.connection(), "description": "the till", "schema": "kept"}
    add("dotypos_default", **{**fields, "extra": {"cloud_id": cloud_id, "refresh_token": "old", "timeout": 7}})
    run = connect("--conn-id", "dotypos_default", "--no-browser")
    browser = Browser()

    assert f"cloud {cloud_id}" in browser.open(run.address).text
    browser.connect(run.address, cloud_id)

    assert run.end() == 0, run.told.read()
    held = found("dotypos_default")
    assert held.extra["refresh_token"] in sandbox.tokens.refresh
    kept = {name: value for name, value in held.extra.items() if name != "refresh_token" and value is not None}
    assert kept == {"cloud_id": str(cloud_id), "cloud_name": "Bistro Pod Lípou", "timeout": 7}
    assert held.extra.keys() == CONN_FIELDS.keys()
    assert (held.client_id, held.client_secret) == (sandbox.client_id, sandbox.client_secret)
    with sqlite3.connect(database) as stored:
        assert stored.execute("select description, schema, host from connection").fetchall() == [
            ("the till", "kept", fields["host"])
        ]


@pytest.mark.parametrize(
    ("host", "port", "stored_port"),
    [
        (None, None, 443),
        ("https://api.dotykacka.cz", None, 443),
        ("api.dotykacka.cz", 0, 443),
        ("https://proxy.example:8443/dotypos", None, 8443),
        ("https://proxy.example", 9443, 9443),
        ("http://127.0.0.1", None, 80),
    ],
)
def test_a_stored_connection_has_what_airflows_ui_needs_and_keeps_the_rest(
    database: Path, host: str | None, port: int | None, stored_port: int
) -> None:
    stored.create("bar", host=host, port=port, extra={"timeout": 7, "theirs": "kept"})
    made = found("bar")
    assert (made.host, made.port) == (host, stored_port)
    assert made.extra == {**dict.fromkeys(CONN_FIELDS), "timeout": 7, "theirs": "kept"}

    alter = "UPDATE connection SET port = NULL, extra = '{\"timeout\": 9}', is_extra_encrypted = 0"
    with sqlite3.connect(database) as older:  # as earlier versions stored it
        older.execute(alter)
    granted = {"refresh_token": "fa4e70ce", "cloud_id": "310101001", "cloud_name": "Bar"}
    stored.update("bar", extra=granted, base_url=None if port else made.base_url)

    renewed = found("bar")
    assert renewed.port == (443 if port else stored_port)
    assert renewed.extra == {**dict.fromkeys(CONN_FIELDS), "timeout": 9, **granted}


def test_a_connection_keeps_its_cloud_unless_told_otherwise(
    connect: Connect, sandbox: Sandbox, database: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    own, other = sandbox.cloud_ids
    add("dotypos_default", **sandbox.connection(own))

    run = connect("--conn-id", "dotypos_default", "--no-browser", "--cloud-id", other)
    assert run.end() == 2
    assert f"dotypos_default works in cloud {own}. Add --replace" in run.told.read()

    run = connect("--conn-id", "dotypos_default", "--no-browser")
    Browser().connect(run.address, other)
    assert run.end() == 1
    assert "or let dotypos_default change its cloud by --replace" in run.told.read()
    assert found("dotypos_default").extra == sandbox.connection(own)["extra"]

    run = connect("--conn-id", "dotypos_default", "--no-browser", "--replace")
    browser = Browser()
    browser.connect(run.address, other)
    assert f"works in cloud Bistro Pod Lípou ({own})" in browser.seen[1]
    assert run.end() == 0, run.told.read()
    assert found("dotypos_default").cloud_id == str(other)
    assert not capfd.readouterr().out


def test_the_secret_of_another_application_is_not_used(
    connect: Connect, sandbox: Sandbox, database: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    add("dotypos_default", **{**sandbox.connection(), "login": "another", "password": "anothers-secret"})
    run = connect("--conn-id", "dotypos_default", *options_for(sandbox))

    Browser().connect(run.address, sandbox.cloud_ids[0])

    assert run.end() == 0, run.told.read()
    held = found("dotypos_default")
    assert (held.client_id, held.client_secret) == (sandbox.client_id, sandbox.client_secret)


@pytest.mark.parametrize("conn_id", ["postgres", "no blanks"])
def test_what_is_no_connection_of_ours_is_refused(conn_id: str, connect: Connect, database: Path) -> None:
    add("postgres", conn_type="postgres")
    run = connect("--conn-id", conn_id)
    assert run.end() == 1
    assert "onnection" in run.told.read().removeprefix("Not connected")


def test_what_is_held_in_the_environment_is_printed(
    connect: Connect,
    sandbox: Sandbox,
    database: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    cloud_id, value = sandbox.cloud_ids[0], sandbox.connection()
    value["extra"] = {"timeout": 7, "cloud_id": str(cloud_id), "refresh_token": None}
    monkeypatch.setenv("AIRFLOW_CONN_DOTYPOS_DEFAULT", json.dumps(value))
    run = connect("--conn-id", "dotypos_default", "--no-browser")

    last = Browser().connect(run.address, cloud_id)

    assert run.end() == 0, run.told.read()
    assert "Put it into the environment variable AIRFLOW_CONN_DOTYPOS_DEFAULT" in last.text
    printed = capfd.readouterr().out
    assert json.loads(printed)["extra"]["timeout"] == 7
    assert sandbox.client_secret not in printed
    monkeypatch.setenv("AIRFLOW_CONN_DOTYPOS_DEFAULT", printed)
    assert DotyposHook().test_connection()[0]
    with sqlite3.connect(database) as stored:
        assert stored.execute("select count(*) from connection").fetchone() == (0,)


@pytest.mark.usefixtures("database")
def test_a_sandbox_on_another_host_is_connected_by_the_connections_switch(
    connect: Connect, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    with Sandbox(host="0.0.0.0") as sandbox:
        value = sandbox.connection()
        del value["extra"]["refresh_token"]
        monkeypatch.setenv("AIRFLOW_CONN_DOTYPOS_DEFAULT", json.dumps(value))
        run = connect("--conn-id", "dotypos_default", "--no-browser")
        Browser().connect(run.address, sandbox.cloud_ids[0])
        assert run.end() == 0, run.told.read()
        printed = json.loads(capfd.readouterr().out)
        assert printed["extra"]["allow_http"] is True
        assert printed["extra"]["refresh_token"] in sandbox.tokens.refresh


def test_a_token_that_can_not_be_stored_is_printed(
    connect: Connect, sandbox: Sandbox, database: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    run = connect("--conn-id", "dotypos_default", *options_for(sandbox))
    browser = Browser()
    address = browser.return_address(
        browser.consent_page(run.address), cloud=str(sandbox.cloud_ids[0]), decision="allow"
    )
    with sqlite3.connect(database) as stored:
        stored.execute("drop table connection")

    last = browser.open(address)

    assert run.end() == 1
    token = json.loads(capfd.readouterr().out)["extra"]["refresh_token"]
    assert "no such table: connection" in last.text
    assert token not in last.text + run.told.read()
    assert sandbox.client_secret not in last.text + run.told.read()


def test_without_a_database_nobody_is_sent_to_dotypos(connect: Connect, sandbox: Sandbox, database: Path) -> None:
    database.unlink()
    run = connect("--conn-id", "dotypos_default", *options_for(sandbox))
    assert run.end() == 1
    told = run.told.read()
    assert "Airflow's database can't be asked for the connection dotypos_default" in told
    assert "AIRFLOW_HOME is /" in told
    assert "run `airflow db migrate`" in told
    assert not sandbox.requests


@pytest.mark.usefixtures("database")
def test_an_id_that_airflow_could_not_edit_is_refused_before_anybody_leaves(connect: Connect, sandbox: Sandbox) -> None:
    run = connect("--conn-id", "a:b", *options_for(sandbox))
    assert run.end() == 1
    assert "Not connected. A connection id is 1 to 200 letters" in run.told.read()
    assert not sandbox.requests


def test_a_process_stores_what_airflow_then_finds(
    home: AirflowHome, sandbox: Sandbox, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = tmp_path / "airflow.db"  # in the home's, other tests may have left the sandbox's secrets
    shutil.copy(empty_database(tmp_path_factory.getbasetemp()), path)
    database = {"AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"sqlite:///{path}"}
    environment = home.environment(DOTYPOS_CLIENT_SECRET=sandbox.client_secret, **database)
    process = children.Child(
        [*PROCESS, "--conn-id", "from_a_process", *options_for(sandbox)],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stderr is not None
    told = Told()
    while "Ctrl-C" not in told.read():
        assert told.write(process.stderr.readline())
    Browser().connect(told.wait_for(r"(http://127\.0\.0\.1:\d+/[\w-]+/)\n"), sandbox.cloud_ids[0])
    out, rest = process.communicate()

    assert (process.returncode, out) == (0, ""), rest
    code = (
        "from airflow.models.connection import Connection\n"
        "held = Connection.get_connection_from_secrets('from_a_process')\n"
        "print(held.login, held.extra_dejson['cloud_id'])"
    )
    assert f"{sandbox.client_id} {sandbox.cloud_ids[0]}" in home.python("-c", code, **database)
    stored = path.read_bytes()
    for secret in (sandbox.client_secret, *sandbox.tokens.refresh):
        assert secret.encode() not in stored


def add(conn_id: str, **fields: Any) -> None:
    """Store a connection as Airflow does."""
    from airflow.models.connection import Connection
    from airflow.utils.session import create_session

    with create_session() as session:
        session.add(Connection(conn_id=conn_id, **fields))
