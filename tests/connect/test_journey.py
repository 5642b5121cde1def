"""How a journey ends, and that its results keep their secret."""

from __future__ import annotations

import base64
import json
import sqlite3
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import pytest

from airflow_provider_dotypos.connect.grant import Grant
from airflow_provider_dotypos.connect.journey import (
    Connected,
    Failed,
    HeldElsewhere,
    NotStored,
    OtherCloud,
    Target,
    conclude,
)
from airflow_provider_dotypos.connect.page.seals import Seals
from airflow_provider_dotypos.connections import stored
from airflow_provider_dotypos.connections.stored import DATABASE, StoredConnection
from airflow_provider_dotypos.provider_info import CONN_FIELDS
from airflow_provider_dotypos.sandbox import Sandbox

TOKEN = "fa4e70cefa4e70cefa4e70ce"
GRANT = Grant(TOKEN, 310101001)
WORKING = {"conn_id": "bar", "cloud": "Bar (310101001)", "message": "Connected to cloud Bar (310101001)"}
RESULTS = [
    Connected(**WORKING),
    OtherCloud(**WORKING, grant=GRANT, own_cloud="1", base_url="https://api.dotykacka.cz"),
    HeldElsewhere(**WORKING, grant=GRANT, held_in="a backend"),
    NotStored(**WORKING, grant=GRANT, why="Airflow's database refused it (DataError).", refused=True),
    Failed(conn_id="bar", message="it doesn't work"),
]
KEPT = [result for result in RESULTS if not isinstance(result, NotStored)]


def name_of(result: object) -> str:
    return type(result).__name__


@pytest.mark.parametrize("result", RESULTS, ids=name_of)
def test_no_result_shows_its_token(result: object) -> None:
    assert isinstance(result, msgspec.Struct)
    rich = list(result.__rich_repr__())
    target = Target(connection("x"), fields={"password": TOKEN})
    assert TOKEN not in f"{result!r} {result} {rich} {GRANT!r} {target!r}"


@pytest.mark.parametrize("result", KEPT, ids=name_of)
def test_a_result_keeps_its_token_encrypted_in_the_browser(
    result: Connected | OtherCloud | HeldElsewhere | Failed,
) -> None:
    seals = Seals("the key that all API servers share")

    sealed = seals.seal("result", msgspec.to_builtins(result))

    assert TOKEN not in sealed
    assert TOKEN.encode() not in base64.urlsafe_b64decode(sealed)
    opened = msgspec.convert(seals.open("result", sealed, life=60), type(result))
    assert opened == result
    if isinstance(result, OtherCloud | HeldElsewhere):
        assert opened.grant.refresh_token == TOKEN


def connection(conn_id: str, held_in: str = DATABASE, **fields: Any) -> StoredConnection:
    none: dict[str, Any] = {"client_id": None, "client_secret": None, "host": None, "port": None, "extra": {}}
    return StoredConnection(conn_id, held_in, **none | fields)


def granted(sandbox: Sandbox, cloud_id: int) -> Grant:
    return Grant(sandbox.tokens.connect(cloud_id), cloud_id)


def test_a_token_that_does_not_work_is_not_stored(sandbox: Sandbox) -> None:
    result = conclude(Grant(TOKEN, sandbox.cloud_ids[0]), Target(connection("bar", host=sandbox.url)))

    assert isinstance(result, Failed)
    assert "nothing was stored. Refresh Token was refused" in result.message


def test_a_token_for_a_connection_held_elsewhere_is_left_to_the_person(sandbox: Sandbox) -> None:
    grant = granted(sandbox, sandbox.cloud_ids[0])

    result = conclude(grant, Target(connection("bar", "a backend", host=sandbox.url)))

    assert isinstance(result, HeldElsewhere)
    assert (result.held_in, result.grant) == ("a backend", replace(grant, cloud_name="Bistro Pod Lípou"))


def test_another_cloud_is_a_question_unless_it_was_answered_before(sandbox: Sandbox) -> None:
    own, other = sandbox.cloud_ids
    bar = connection("bar", host=sandbox.url, extra={"cloud_id": own, "cloud_name": "Bar"})

    asked = conclude(granted(sandbox, other), Target(bar, base_url=sandbox.url))
    assert isinstance(asked, OtherCloud)
    assert (asked.own_cloud, asked.base_url) == (f"Bar ({own})", sandbox.url)
    assert f"({other})" in asked.cloud


@pytest.mark.parametrize("write", [int, str, float, lambda number: f"{number}.0", lambda number: f" {number} "])
def test_the_same_cloud_written_in_another_way_is_no_question(
    sandbox: Sandbox, database: Path, write: Callable[[int], object]
) -> None:
    cloud_id = sandbox.cloud_ids[0]
    stored.create("bar", host=sandbox.url, extra={"cloud_id": write(cloud_id)})
    bar = stored.find("bar")
    assert bar is not None

    assert isinstance(conclude(granted(sandbox, cloud_id), Target(bar, base_url=sandbox.url)), Connected)


@pytest.mark.parametrize("user", ["ada", None])
def test_a_token_is_stored_and_noted_if_there_is_a_user(sandbox: Sandbox, database: Path, user: str | None) -> None:
    cloud_id = sandbox.cloud_ids[0]
    new = Target(connection("bar", host=sandbox.url), user, is_new=True, fields={"host": sandbox.url})
    assert isinstance(conclude(granted(sandbox, cloud_id), new), Connected)

    grant, bar = granted(sandbox, cloud_id), stored.find("bar")
    assert bar is not None
    assert isinstance(conclude(grant, Target(bar, user, base_url=sandbox.url)), Connected)

    after = stored.find("bar")
    assert after is not None
    filled_in = {"refresh_token": grant.refresh_token, "cloud_id": str(cloud_id), "cloud_name": "Bistro Pod Lípou"}
    assert after.extra == {**dict.fromkeys(CONN_FIELDS), **filled_in}
    assert f"http://127.0.0.1:{after.port}" == sandbox.url
    with sqlite3.connect(database) as log:
        noted = log.execute("SELECT owner, event, extra FROM log WHERE event LIKE 'dotypos%' ORDER BY id").fetchall()
    events = ["made", "stored", "changed", "stored"] if user else []
    assert [(owner, event) for owner, event, _ in noted] == [("ada", f"dotypos_connect_{event}") for event in events]
    assert not [extra for *_, extra in noted if grant.refresh_token in json.dumps(extra)]


def test_a_token_that_can_not_be_stored_is_kept(sandbox: Sandbox, database: Path) -> None:
    grant = granted(sandbox, sandbox.cloud_ids[0])
    target = Target(connection("never_made", host=sandbox.url), base_url=sandbox.url)

    deleted = conclude(grant, target)
    with sqlite3.connect(database) as dropping:
        dropping.execute("DROP TABLE connection")
    dropped = conclude(grant, target)

    assert isinstance(deleted, NotStored)
    assert (deleted.why, deleted.refused) == ("The connection never_made has been deleted meanwhile.", False)
    assert isinstance(dropped, NotStored)
    assert dropped.refused
    assert "no such table" in dropped.why
    assert deleted.grant == dropped.grant == replace(grant, cloud_name="Bistro Pod Lípou")
    assert grant.refresh_token not in f"{dropped!r} {list(dropped.__rich_repr__())}"


def test_a_bug_while_storing_is_no_refusal_of_the_database(sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*arguments: object, **fields: object) -> None:
        raise KeyError("a bug")

    monkeypatch.setattr(stored, "update", fail)
    with pytest.raises(KeyError, match="a bug"):
        conclude(granted(sandbox, sandbox.cloud_ids[0]), Target(connection("bar", host=sandbox.url)))
