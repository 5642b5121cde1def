"""``clouds`` and ``entities``, and the output that all commands share (`output`, `options`)."""

from __future__ import annotations

import json

import pytest

from airflow_provider_dotypos import _airflow
from airflow_provider_dotypos.api.entities import entities
from airflow_provider_dotypos.sandbox import Sandbox
from tests.commands.conftest import Command


def test_the_connections_own_cloud_is_marked(sandbox: Sandbox, command: Command) -> None:
    done = command("clouds", "-o", "json")

    assert done.code == 0
    assert [row["id"] for row in done.rows] == [str(id) for id in sandbox.cloud_ids]
    assert [row["connection"] for row in done.rows] == ["this one", ""]
    assert [row["country"] for row in done.rows] == ["CZ", "PL"]


def test_a_connection_without_a_cloud_id_lists_clouds(
    sandbox: Sandbox, command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = sandbox.connection()
    del given["extra"]["cloud_id"]
    monkeypatch.setenv("AIRFLOW_CONN_WITHOUT", json.dumps(given))

    done = command("clouds", "--conn-id", "without", "-o", "json")

    assert done.code == 0
    assert [row["connection"] for row in done.rows] == ["", ""]


def test_marks_of_a_cloud_are_shown(sandbox: Sandbox, command: Command) -> None:
    sandbox.shop.update(0, "clouds", sandbox.cloud_ids[1], {"expired": True, "restricted": True})

    assert command("clouds", "-o", "json").rows[1]["marked"] == "expired restricted"


def test_names_are_shown_as_they_are_and_steer_no_terminal(sandbox: Sandbox, command: Command) -> None:
    sandbox.shop.update(0, "clouds", sandbox.cloud_ids[0], {"name": "[red]Bar[/red] :smile: \x1b[2J"})

    out = command("clouds").out

    assert "[red]Bar[/red] :smile:" in out
    assert "\x1b" not in out


def test_a_refused_token_is_one_line(sandbox: Sandbox, command: Command) -> None:
    sandbox.tokens.refresh.clear()

    done = command("clouds")

    assert done.code == 1
    assert done.out == ""
    (line,) = done.err.splitlines()
    assert "INVALID_REFRESH_TOKEN" in line
    assert sandbox.refresh_token not in line


def test_entities_need_no_connection(command: Command) -> None:
    done = command("entities", "-o", "json")

    assert done.code == 0
    assert [row["entity"] for row in done.rows] == list(entities())
    by_name = {row["entity"]: row for row in done.rows}
    assert by_name["orders"]["include"] == "orderItems moneyLogs"
    assert by_name["orders"]["deleted"] == ""
    assert by_name["products"]["deleted"] == "marked"
    assert by_name["products"]["writes"] == "create change delete"
    assert by_name["clouds"]["read by"] == "(snapshot)"
    assert by_name["sales-report"]["read by"] == "(one object)"
    assert by_name["warehouse-products"]["path"] == "warehouses/{warehouse_id}/products"


def test_a_narrow_terminal_shows_the_columns_that_fit(command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    narrow = _airflow.console()
    narrow._width = 80
    monkeypatch.setattr(_airflow, "console", lambda: narrow)

    out = command("entities").out

    assert "product-customizations | versionDate " in out
    assert max(map(len, out.splitlines())) <= 80


@pytest.mark.parametrize(
    ("form", "start"), [("table", "entity "), ("json", '[{"entity": '), ("yaml", "- deleted: "), ("plain", "entity ")]
)
def test_every_form_of_output_stands_alone_on_stdout(command: Command, form: str, start: str) -> None:
    done = command("entities", "--output", form)

    assert done.code == 0
    assert done.out.startswith(start)
    assert done.err == ""


@pytest.mark.parametrize("arguments", [["check", "--cloud-id", "mine"], ["clouds", "-o", "xml"], ["entities", "--all"]])
def test_wrong_usage_is_argparses(command: Command, arguments: list[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        command(*arguments)

    assert ended.value.code == 2
