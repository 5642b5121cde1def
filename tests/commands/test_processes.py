"""The commands as processes of their own, outside of any task, and what the documentation says of them.

Tests `commands/connection`, `commands/output`.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import airflow
import pytest
from packaging.version import Version

from airflow_provider_dotypos.cli import COMMANDS
from airflow_provider_dotypos.commands.probes import NOT_PROBED, PROBES
from airflow_provider_dotypos.sandbox import Fault, Sandbox
from demo import children
from tests.ui.airflow_server import AirflowHome, airflow_home

PAGE = Path(__file__).parents[2] / "docs" / "reference" / "commands.md"
BY_MODULE = [sys.executable, "-m", "airflow_provider_dotypos"]
BY_AIRFLOW = [sys.executable, "-m", "airflow", "dotypos"]


@pytest.fixture(scope="session")
def home(tmp_path_factory: pytest.TempPathFactory) -> AirflowHome:
    """An Airflow of the tests' own, migrated; other tests share it."""
    return airflow_home(tmp_path_factory.getbasetemp())


def run(command: list[str], **environment: str) -> subprocess.CompletedProcess[str]:
    return children.run(command, capture_output=True, text=True, check=False, env={**os.environ, **environment})


def test_a_process_finds_a_connection_of_the_environment(sandbox: Sandbox) -> None:
    # Even where Airflow logs everything, stdout holds the result alone.
    done = run([*BY_MODULE, "check", "-o", "json"], AIRFLOW__LOGGING__LOGGING_LEVEL="DEBUG")

    assert done.returncode == 0, done.stderr
    assert {row["check"]: row["result"] for row in json.loads(done.stdout)}["orders"] == "readable"
    assert sandbox.refresh_token not in done.stdout + done.stderr


def test_a_process_finds_a_connection_of_the_database(sandbox: Sandbox, home: AirflowHome, tmp_path: Path) -> None:
    shutil.copy(home.path / "airflow.db", tmp_path)  # other tests look into the home's own
    own = {"AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"sqlite:///{tmp_path / 'airflow.db'}"}
    fields = {"conn_id": "in_database", "is_encrypted": False, "is_extra_encrypted": False, **sandbox.connection()}
    fields["extra"] = json.dumps(fields["extra"])
    with closing(sqlite3.connect(tmp_path / "airflow.db")) as database, database:
        names, marks = ", ".join(fields), ", ".join("?" * len(fields))
        database.execute(f"INSERT INTO connection ({names}) VALUES ({marks})", [*fields.values()])

    printed = home.python(*BY_MODULE[1:], "clouds", "--conn-id", "in_database", "-o", "json", **own)

    assert json.loads(printed)[0]["connection"] == "this one"


@pytest.mark.skipif(Version(airflow.__version__) < Version("3.2"), reason="Airflow 3.1 has no provider commands")
def test_airflows_own_command_line_does_the_same_and_ends_with_the_commands_exit_code(sandbox: Sandbox) -> None:
    sandbox.date_offset = 90

    done = run([*BY_AIRFLOW, "check", "--output", "yaml"])

    assert done.returncode == 3, done.stderr
    assert done.stdout.startswith("- check: ")


def test_the_table_of_commands_is_light() -> None:
    code = (
        "import sys, airflow.cli.cli_config\n"
        "before = set(sys.modules)\n"
        "from airflow_provider_dotypos.cli import airflow_commands\n"
        "airflow_commands()\n"
        "print(' '.join({name.split('.')[0] for name in set(sys.modules) - before}))"
    )
    added = run([sys.executable, "-c", code]).stdout.split()
    assert "airflow_provider_dotypos" in added
    assert not set(added) & {"requests", "urllib3", "tenacity", "fastapi", "uvicorn", "msgspec", "airflow"}


def test_every_command_and_option_is_told() -> None:
    page = PAGE.read_text()
    for command in COMMANDS:
        assert f"airflow dotypos {command.name}" in page
        if command.name != "sandbox":  # its options are told in docs/reference/sandbox.md
            assert not [flag for flags, _ in command.options() for flag in flags if f"`{flag}" not in page]


def test_every_exit_code_and_point_is_told() -> None:
    page = PAGE.read_text()
    for code in (0, 1, 2, 3, 130):
        assert f"| {code} |" in page.split("## Exit codes")[1]
    for point in {probe.point for probe in PROBES} | {point for point, _, _ in NOT_PROBED}:
        assert f"| {point} |" in page.split("## check --probe")[1].split("## Exit codes")[0]


def test_a_database_without_tables_is_told_with_its_cure(tmp_path: Path) -> None:
    home = AirflowHome(tmp_path / "airflow")
    done = children.run([*BY_MODULE, "check"], env=home.environment(), capture_output=True, text=True, check=False)

    assert done.returncode == 1, done.stderr
    line = done.stderr.splitlines()[-1]
    assert line.startswith("Airflow's database can't be asked for the connection dotypos_default (OperationalError: no")
    assert f"AIRFLOW_HOME is {tmp_path / 'airflow'}: if that isn't your Airflow, set it" in line
    assert "run `airflow db migrate`" in line
    assert "Traceback" not in done.stderr


def test_ctrl_c_ends_a_command_in_one_line(sandbox: Sandbox) -> None:
    sandbox.faults.append(Fault("hang", times=99, path="/signin"))
    process = children.Child([*BY_MODULE, "clouds"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    while not sandbox.requests:
        assert process.poll() is None
    process.send_signal(signal.SIGINT)
    out, errors = process.communicate()

    assert process.returncode == 130
    assert out == ""
    assert errors.splitlines()[-1] == "Interrupted."  # Airflow 3.1 warns of its own things before
    assert "Traceback" not in errors


def printing(forms: Sequence[str], stdout: Any) -> list[tuple[int, str]]:
    """Print the entities in some forms; return each exit code and stderr. One process imports Airflow and forks."""
    code = """
import os, runpy, sys
from airflow.cli import simple_table
from airflow_provider_dotypos import cli
from airflow_provider_dotypos.commands import entities, output
for form in sys.argv[1:]:
    print("begins", file=sys.stderr, flush=True)  # Airflow 3.1 logs before
    if not os.fork():
        sys.argv = ["airflow_provider_dotypos", "entities", "-o", form]
        runpy.run_module("airflow_provider_dotypos", run_name="__main__")
    _, status = os.wait()
    print("exit", os.waitstatus_to_exitcode(status), file=sys.stderr, flush=True)
"""
    command = [sys.executable, "-c", code, *forms]
    done = children.run(command, stdout=stdout, stderr=subprocess.PIPE, text=True, check=False)
    return [(int(code), errors) for errors, code in re.findall(r"begins\n(.*?)exit (\d+)\n", done.stderr, re.DOTALL)]


def test_a_reader_that_has_gone_ends_it_quietly() -> None:
    reading, writing = os.pipe()
    os.close(reading)
    done = printing(["json", "plain"], writing)  # Airflow prints the other two as it prints JSON
    os.close(writing)
    assert done == [(1, "")] * 2


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full on this system")
def test_a_full_disk_is_told_in_one_line() -> None:
    with open("/dev/full", "w") as full:
        done = printing(["table", "plain"], full)
    assert done == [(1, "The result can't be written: No space left on device.\n")] * 2
