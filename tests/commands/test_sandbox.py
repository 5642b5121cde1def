"""The command that runs the sandbox; as a process of its own in ``tests/test_cli.py``."""

from __future__ import annotations

import argparse
import json
import shlex

import pytest
import requests

from airflow_provider_dotypos.commands import sandbox as sandbox_command
from airflow_provider_dotypos.sandbox import Limit, Sandbox
from tests.commands.conftest import Command
from tests.patience import PATIENCE


@pytest.fixture
def parsed(command: Command, monkeypatch: pytest.MonkeyPatch) -> list[argparse.Namespace]:
    """The options that the command is given, in place of a sandbox that runs."""
    seen: list[argparse.Namespace] = []
    monkeypatch.setattr(sandbox_command, "run", lambda args: seen.append(args) or 0)
    return seen


def test_every_switch_is_an_option(command: Command, parsed: list[argparse.Namespace]) -> None:
    switches = [
        "--ties",
        "shuffled",
        "--commit-lag",
        "2",
        "--order-version-moves-with-items",
        "--timestamp-zone=+01:00",
        "--nested-lists=3",
    ]
    command("sandbox", *switches, "--order-version-moves-with-items")
    (args,) = parsed
    assert (args.ties, args.commit_lag, args.order_version_moves_with_items) == ("shuffled", 2.0, True)
    assert (args.timestamp_zone, args.nested_lists, args.port, args.days) == ("+01:00", 3, 8765, 60)


def test_help_is_whole_sentences(command: Command, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        command("sandbox", "--help")
    assert " ." not in capsys.readouterr().out.replace(" ...", "")


def test_it_takes_a_limit(
    command: Command, parsed: list[argparse.Namespace], capsys: pytest.CaptureFixture[str]
) -> None:
    command("sandbox", "--limit", "150/1800")
    command("sandbox")
    assert [args.limit for args in parsed] == [Limit(), None]
    with pytest.raises(SystemExit):
        command("sandbox", "--limit", "150")
    assert "REQUESTS/SECONDS, such as 150/1800" in capsys.readouterr().err


def test_it_says_how_airflow_gets_there_and_runs_until_interrupted(
    command: Command, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    answered = []

    def interrupt(seconds: float) -> None:
        if seconds >= 1:
            line = next(part for part in capsys.readouterr().out.splitlines() if "--conn-json" in part)
            connection = json.loads(shlex.split(line)[-1])
            answered.append(
                requests.get(f"{connection['host']}:{connection['port']}/_sandbox", timeout=PATIENCE).json()
            )
            raise KeyboardInterrupt

    monkeypatch.setattr("airflow_provider_dotypos.commands.sandbox.time.sleep", interrupt)
    arguments = ["--port", "0", "--days", "1", "--orders-per-day", "5", "--numbers", "number"]
    assert command("sandbox", *arguments).code == 0
    assert answered[0]["behaviour"]["numbers"] == "number"


def test_other_hosts_get_a_connection_that_works_from_there(command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(seconds: float) -> None:
        if seconds >= 1:
            raise KeyboardInterrupt

    monkeypatch.setattr("airflow_provider_dotypos.commands.sandbox.time.sleep", interrupt)
    done = command("sandbox", "--port", "0", "--days", "0", "--host", "0.0.0.0")
    line = next(part for part in done.out.splitlines() if "--conn-json" in part)
    connection = json.loads(shlex.split(line)[-1])
    assert connection["extra"]["allow_http"] is True
    assert "0.0.0.0" not in connection["host"]
    assert "connect --conn-id dotypos_default\n" in done.out


def test_a_host_of_another_machine_is_told(command: Command) -> None:
    done = command("sandbox", "--port", "0", "--days", "0", "--host", "192.0.2.77")
    assert done.code == 1
    assert "192.0.2.77, port 0 can't be used (" in done.err
    assert "--host" in done.err


def test_a_taken_port_is_told(command: Command, sandbox: Sandbox) -> None:
    port = sandbox.url.rpartition(":")[2]
    done = command("sandbox", "--port", port, "--days", "1", "--orders-per-day", "1")
    assert done.code == 1
    assert f"127.0.0.1, port {port} can't be used (" in done.err
    assert "--port" in done.err
