"""A stored connection whose extra isn't a JSON object: commands and page report it, and never overwrite it.

Tests `connections/stored`, `connections/lookup`.
"""

from __future__ import annotations

import json

import pytest
from airflow.models.connection import Connection
from airflow.utils.session import create_session

from airflow_provider_dotypos.connections import stored
from airflow_provider_dotypos.connections.errors import WrongConnectionError
from tests.commands.conftest import Command

TOKEN = "0123456789abcdef0123456789abcdef"
ODD = [json.dumps(json.dumps({"refresh_token": TOKEN})), json.dumps([{"refresh_token": TOKEN}]), "5", "true", "no JSON"]

pytestmark = pytest.mark.usefixtures("migrated")


def store(conn_id: str, extra: str) -> None:
    """Store a connection as another tool may have, past Airflow's own checks."""
    with create_session() as session:
        connection = Connection(conn_id=conn_id, conn_type="dotypos")
        connection._extra, connection.is_extra_encrypted = extra, False
        session.add(connection)


@pytest.mark.parametrize("extra", ODD)
def test_a_command_names_extra_and_the_cure(command: Command, extra: str) -> None:
    store("odd", extra)

    done = command("check", "--conn-id", "odd")

    assert done.code != 0
    assert "Extra in the Airflow connection must be a JSON object" in done.out + done.err
    assert TOKEN not in done.out + done.err


def test_it_hides_no_other_connection_and_is_not_written_over() -> None:
    store("odd", ODD[0])
    store("good", json.dumps({"cloud_id": "1"}))

    problems = {held.conn_id: held.problem for held in stored.list_all()}
    assert problems.keys() == {"good", "odd"}
    assert problems["good"] is None
    assert "Extra in the Airflow connection must be a JSON object" in (problems["odd"] or "")
    with pytest.raises(WrongConnectionError, match="Extra in the Airflow connection"):
        stored.update("odd", extra={"refresh_token": "x" * 32})
    with create_session() as session:
        kept = session.query(Connection).filter_by(conn_id="odd").one()
        assert kept._extra == ODD[0]


def test_one_in_the_environment_is_told_as_what_it_must_be(command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIRFLOW_CONN_ODD", json.dumps({"conn_type": "dotypos", "extra": ODD[0]}))

    done = command("check", "--conn-id", "odd")

    assert done.code != 0
    assert "its extra as a JSON object (encoded once)" in done.out + done.err
    assert TOKEN not in done.out + done.err
