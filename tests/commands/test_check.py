"""``check`` (`check`, `api.access`): what works, what doesn't, and the exit codes that scripts use."""

from __future__ import annotations

import json
import os
from collections.abc import Callable

import pytest

from airflow_provider_dotypos import _airflow
from airflow_provider_dotypos.api import check as verdicts
from airflow_provider_dotypos.api.entities import entities
from airflow_provider_dotypos.api.retry import Patience
from airflow_provider_dotypos.commands import connection
from airflow_provider_dotypos.sandbox import Behaviour, Fault, Sandbox, Shop
from airflow_provider_dotypos.sandbox.errors import RefusedError
from tests.commands.conftest import Command

Refuse = Callable[[str, RefusedError], None]


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(verdicts, "_PATIENCE", Patience(faults=0.1, throttling=0.1))
    monkeypatch.setattr(connection, "_PATIENCE", Patience(faults=0.1, throttling=0.1))


def use(sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch, **extra: object) -> None:
    """Let the default connection say something else."""
    given = sandbox.connection()
    given["extra"] |= extra
    monkeypatch.setenv("AIRFLOW_CONN_DOTYPOS_DEFAULT", json.dumps(given))


def results(done: object) -> dict[str, str]:
    return {row["check"]: row["result"] for row in done.rows}  # type: ignore[attr-defined]


def test_a_connection_that_works_is_told_row_by_row(sandbox: Sandbox, command: Command) -> None:
    done = command("check", "--output", "json")

    assert done.code == 0
    checks = results(done)
    listed = [name for name, entity in entities().items() if entity.listed]
    assert list(checks) == ["sign-in", "cloud", "clock", *listed]
    assert checks["orders"] == checks["warehouse-products"] == "readable"
    assert checks["webhooks"] == "empty"
    details = {row["check"]: row["detail"] for row in done.rows}
    assert str(sandbox.cloud_ids[0]) in details["cloud"]
    assert "s off the server's" in details["clock"]


def test_an_extra_that_nothing_reads_is_told(
    sandbox: Sandbox, command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    use(sandbox, monkeypatch, timeuot=5)
    (cloud,) = [row["detail"] for row in command("check", "-o", "json").rows if row["check"] == "cloud"]
    assert cloud.startswith("Connected to cloud")
    assert "holds 'timeuot' (did you mean 'timeout'?), which nothing reads" in cloud


def test_a_cloud_given_as_an_option_isnt_the_connections(sandbox: Sandbox, command: Command) -> None:
    assert "Refresh Token is good, but not for --cloud-id 390909009" in command("check", "--cloud-id", "390909009").err


def test_it_reads_and_no_more(sandbox: Sandbox, command: Command) -> None:
    assert command("check").code == 0

    asked = [request for request in sandbox.requests if "signin" not in request.path]
    assert {request.method for request in asked} == {"GET"}
    assert len(asked) <= len(entities()) + 3
    assert {request.query.get("limit", "1") for request in asked} == {"1"}


def test_another_cloud_takes_the_place_of_the_connections(sandbox: Sandbox, command: Command) -> None:
    done = command("check", "--cloud-id", str(sandbox.cloud_ids[1]), "-o", "json")

    assert done.code == 0
    assert str(sandbox.cloud_ids[1]) in done.rows[1]["detail"]


def test_the_table_fits_a_terminal_of_80_columns(
    sandbox: Sandbox, command: Command, refuse: Refuse, monkeypatch: pytest.MonkeyPatch
) -> None:
    refuse("customers", RefusedError(403, "ACCESS_DENIED", "No permission for customers"))
    wide = _airflow.console()
    wide._width = 80
    monkeypatch.setattr(_airflow, "console", lambda: wide)

    done = command("check")

    assert max(map(len, done.out.splitlines())) <= 80
    assert "customers              | refused  | GET " in done.out
    assert "ACCESS_DENIED" in done.out


def test_a_refused_list_has_an_exit_code_of_its_own(sandbox: Sandbox, command: Command, refuse: Refuse) -> None:
    refuse("customers warehouses", RefusedError(403, "ACCESS_DENIED", "No permission"))

    done = command("check", "-o", "json")

    assert done.code == 3
    checks = results(done)
    assert checks["customers"] == checks["warehouses"] == checks["warehouse-products"] == "refused"
    assert checks["orders"] == "readable"
    assert "look at: customers, warehouse-products, warehouses." in done.err
    assert "ACCESS_DENIED" in next(row["detail"] for row in done.rows if row["check"] == "customers")


@pytest.mark.usefixtures("impatient")
def test_a_list_that_fails_does_not_hide_the_others(sandbox: Sandbox, command: Command) -> None:
    sandbox.faults.append(Fault("500", times=99, path="/orders"))

    done = command("check", "-o", "json")

    assert done.code == 3
    assert results(done)["orders"] == "failed"
    assert results(done)["products"] == "readable"


@pytest.mark.parametrize(("seconds", "side"), [(90, "behind"), (-90, "ahead of")])
def test_a_clock_that_is_off_is_told(sandbox: Sandbox, command: Command, seconds: int, side: str) -> None:
    sandbox.date_offset = seconds

    done = command("check", "-o", "json")

    assert done.code == 3
    clock = done.rows[2]
    assert clock["result"] == "off"
    assert f" s {side} the server" in clock["detail"]
    assert any(f"{about} s" in clock["detail"] for about in (89, 90, 91))


def test_a_clock_that_is_nearly_right_is_well(sandbox: Sandbox, command: Command) -> None:
    sandbox.date_offset = 25

    assert command("check").code == 0


def test_a_cloud_without_warehouses_has_nowhere_to_look(
    sandbox: Sandbox, command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    shop = Shop.empty()
    for row in shop.rows(shop.cloud_ids[0], "warehouses"):
        shop.remove(shop.cloud_ids[0], "warehouses", row["id"])
    with Sandbox(shop) as bare:
        use(bare, monkeypatch)
        done = command("check", "-o", "json")

    assert done.code == 0
    assert results(done)["warehouse-products"] == "skipped"


@pytest.mark.parametrize(
    ("extra", "cure"),
    [
        ({"refresh_token": "0123456789abcdef" * 2}, "Refresh Token was refused"),
        ({"cloud_id": "390909009"}, "not for Cloud ID 390909009. The token may use: "),
        ({"cloud_id": None}, "Cloud ID is missing. The token may use: "),
        ({"refresh_token": None}, "Refresh Token is missing"),
        ({"cloud_id": "abc"}, "Cloud ID must be the cloud's number"),
        (
            {"refresh_token": None, "refreshtoken": "x"},
            "holds 'refreshtoken' (did you mean 'refresh_token'?), which nothing reads",
        ),
        ({"cloud_id": None, "cloudid": 5}, "holds 'cloudid' (did you mean 'cloud_id'?), which nothing reads"),
    ],
    ids=lambda given: str(given)[:20],
)
def test_what_is_wrong_is_one_line_with_its_cure(
    sandbox: Sandbox,
    command: Command,
    monkeypatch: pytest.MonkeyPatch,
    extra: dict[str, object],
    cure: str,
) -> None:
    use(sandbox, monkeypatch, **extra)

    done = command("check", "-o", "json")

    assert done.code == 1
    assert done.out == ""
    (line,) = done.err.splitlines()
    assert cure in line
    assert sandbox.refresh_token not in line
    assert str(extra.get("refresh_token")) not in line


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize("name", ["check", "clouds"])
def test_a_host_that_does_not_answer_is_told(command: Command, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    with Sandbox() as gone:
        use(gone, monkeypatch)

    done = command(name)

    assert done.code == 1
    assert done.out == ""
    assert "Connection refused" in done.err.splitlines()[-1]
    assert "Traceback" not in done.err


@pytest.mark.usefixtures("migrated")
@pytest.mark.parametrize("name", ["check", "check --probe", "clouds"])
def test_a_missing_connection_is_told_with_its_cure(command: Command, name: str) -> None:
    before = dict(os.environ)

    done = command(*name.split(), "--conn-id", "nowhere")

    assert done.code == 1
    assert done.out == ""
    (line,) = done.err.splitlines()
    assert line.startswith("There is no connection 'nowhere' in this Airflow")
    assert "Connect a cloud (in Airflow: Admin > Connect Dotypos;" in line
    assert dict(os.environ) == before


@pytest.mark.usefixtures("migrated")
@pytest.mark.parametrize(
    ("value", "why"),
    [
        ('{"conn_type": "http"}', "is of another type (http), not dotypos"),
        ('{"conn_type": "dotypos", ', "AIRFLOW_CONN_ODD is set but can't be read"),
    ],
)
@pytest.mark.parametrize("name", ["check", "clouds"])
def test_a_connection_that_can_not_be_used_is_told(
    command: Command, monkeypatch: pytest.MonkeyPatch, name: str, value: str, why: str
) -> None:
    monkeypatch.setenv("AIRFLOW_CONN_ODD", value)

    done = command(name, "--conn-id", "odd")

    assert done.code == 1
    assert done.out == ""
    assert why in done.err.splitlines()[-1]
    assert "Traceback" not in done.err


def test_secrets_of_a_connection_are_masked(
    sandbox: Sandbox, command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    masked: list[str] = []
    monkeypatch.setattr(_airflow, "mask_secret", masked.append)

    assert command("clouds").code == 0

    assert {sandbox.refresh_token, sandbox.client_secret} < set(masked)  # and the access token


class TestSave:
    """``check --probe --save``: the finding goes into a connection in Airflow's database, and into its audit log."""

    @pytest.fixture
    def stored_connection(self, migrated: None, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> str:
        from airflow_provider_dotypos.connections import stored

        monkeypatch.delenv("AIRFLOW_CONN_DOTYPOS_DEFAULT")
        given = sandbox.connection()
        stored.create("kept", host=sandbox.url, extra=given["extra"] | {"cloud_id": str(sandbox.cloud_ids[0])})
        return "kept"

    @pytest.mark.parametrize(("deleted_null", "finding"), [("live", "shows_null"), ("excluded", "hides_null")])
    def test_what_the_probe_saw_is_written_with_a_line_in_the_audit_log(
        self, stored_connection: str, sandbox: Sandbox, command: Command, deleted_null: str, finding: str
    ) -> None:
        from airflow.models.log import Log
        from airflow.utils.session import create_session

        from airflow_provider_dotypos.connections import audit, stored

        sandbox.behaviour = Behaviour(deleted_null=deleted_null)
        done = command("check", "--probe", "--save", "--conn-id", stored_connection, "-o", "json")

        assert done.code == 0
        assert f"Deleted filter is {finding}" in done.err
        connection = stored.find(stored_connection)
        assert connection is not None
        assert connection.extra["deleted_filter"] == finding
        assert connection.extra["refresh_token"] == sandbox.refresh_token
        assert connection.settings().deleted_filter == finding
        with create_session() as session:
            (line,) = [json.loads(log.extra) for log in session.query(Log).where(Log.event == audit.CHANGED)]
        assert line == {"conn_id": "kept", "fields": {"deleted_filter": {"old": None, "new": finding}}}

    def test_where_nothing_was_seen_nothing_is_written(
        self, stored_connection: str, sandbox: Sandbox, command: Command
    ) -> None:
        from airflow_provider_dotypos.connections import stored

        for name in ("products", "warehouse-products"):
            for row in sandbox.shop.rows(sandbox.cloud_ids[0], name):
                row["deleted"] = bool(row["deleted"])
        done = command("check", "--probe", "--save", "--conn-id", stored_connection)

        assert "Nothing was saved" in done.err
        connection = stored.find(stored_connection)
        assert connection is not None
        assert connection.extra["deleted_filter"] is None

    @pytest.mark.parametrize(
        ("options", "message"),
        [
            (["--probe"], "is held in the environment variable AIRFLOW_CONN_DOTYPOS_DEFAULT"),
            ([], "--save goes with --probe"),
            (["--probe", "--cloud-id", "320202002"], "omit --cloud-id"),
        ],
    )
    def test_what_can_not_be_saved_is_refused_before_anything_is_asked_for(
        self, sandbox: Sandbox, command: Command, options: list[str], message: str
    ) -> None:
        done = command("check", "--save", *options)

        assert done.code == 1
        assert message in done.err
        assert not sandbox.requests
