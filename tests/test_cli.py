"""The command line, as processes of its own.

Tests `cli`, `__main__`.
"""

from __future__ import annotations

import io
import json
import os
import re
import signal
import subprocess
import sys
import urllib.request

import airflow
import pytest
from packaging.version import Version

from airflow_provider_dotypos.cli import COMMANDS, airflow_commands, main
from airflow_provider_dotypos.sandbox.api.tokens import CLIENT_ID, CLIENT_SECRET
from demo import children
from tests.patience import PATIENCE


def test_the_sandbox_tells_how_to_reach_it_and_ends_with_ctrl_c() -> None:
    command = [sys.executable, "-u", "-m", "airflow_provider_dotypos", "sandbox", "--port", "0", "--days", "1"]
    process = children.Child(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    told = ""
    while "Ctrl-C" not in told:
        line = process.stdout.readline()
        assert line, told
        told += line
    match = re.search(r"AIRFLOW_CONN_DOTYPOS_DEFAULT='(.*)'", told)
    assert match is not None
    connection = json.loads(match[1])
    with urllib.request.urlopen(f"{connection['host']}:{connection['port']}/_sandbox", timeout=PATIENCE) as answer:
        assert json.load(answer)["rows"]
    assert (
        f"DOTYPOS_CLIENT_SECRET={CLIENT_SECRET} python -m airflow_provider_dotypos connect --conn-id dotypos_default"
        in told
    )
    assert re.search(rf" --conn-id dotypos_default --host http\S+ --client-id {CLIENT_ID}\n", told)
    process.send_signal(signal.SIGINT)
    assert process.wait() == 0
    process.stdout.close()


class Ending(io.StringIO):
    """An output whose reader ends the process as soon as it has read how: by Ctrl-C, or as a container is stopped."""

    def __init__(self, number: signal.Signals) -> None:
        super().__init__()
        self._number = number

    def write(self, text: str) -> int:
        if "Ctrl-C" in text:
            signal.raise_signal(self._number)
        return super().write(text)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=str)
def test_the_sandbox_ends_with_a_signal_that_comes_while_it_says_so(
    number: signal.Signals, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "stdout", Ending(number))
    before = {ending: signal.signal(ending, signal.SIG_IGN) for ending in (signal.SIGINT, signal.SIGTERM)}
    try:
        assert main(["sandbox", "--port", "0", "--days", "1"]) == 0
    finally:
        for ending, handler in before.items():
            signal.signal(ending, handler)


def test_both_parsers_offer_the_table_of_commands() -> None:
    (group,) = airflow_commands()
    assert group.name == "dotypos"
    assert [command.name for command in group.subcommands] == [command.name for command in COMMANDS]
    for offered, command in zip(group.subcommands, COMMANDS, strict=True):
        assert [arg.flags for arg in offered.args] == [flags for flags, _ in command.options()]

    done = children.run(
        [sys.executable, "-m", "airflow_provider_dotypos", "--help"], capture_output=True, text=True, check=True
    )
    for command in COMMANDS:
        assert re.search(rf" {command.name}\s", done.stdout)


@pytest.mark.parametrize("arguments", [[], ["nothing"], ["sandbox", "--ties", "odd"]], ids=str)
def test_a_wrong_command_says_what_there_is(arguments: list[str]) -> None:
    command = [sys.executable, "-m", "airflow_provider_dotypos", *arguments]
    done = children.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "usage:" in done.stderr


@pytest.mark.skipif(Version(airflow.__version__) < Version("3.2"), reason="Airflow 3.1 has no provider commands")
def test_airflow_offers_the_same_command() -> None:
    environment = {**os.environ, "COLUMNS": "200"}
    command = [sys.executable, "-m", "airflow", "dotypos", "sandbox", "--help"]
    done = children.run(command, capture_output=True, text=True, check=False, env=environment)
    assert done.returncode == 0, done.stderr
    for option in ("--port", "--lively", "--timestamp-precision", "--commit-lag"):
        assert option in done.stdout
