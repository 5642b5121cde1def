"""The command *connect --paste*: a page that signs on another machine, and an address that is pasted.

Tests `terminal/paste`, `terminal/prompt`, `terminal/application`.
"""

from __future__ import annotations

import codecs
import json
import os
import pty
import select
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import requests

from airflow_provider_dotypos.connect.terminal import paste
from airflow_provider_dotypos.sandbox import Sandbox
from airflow_provider_dotypos.sandbox.api.connector import sign
from demo import children
from tests.connect.terminal.command_run import PROCESS, Browser, Connect, Told, application_of, form_of, starter
from tests.patience import PATIENCE
from tests.ui.airflow_server import AirflowHome

Type = Callable[[str], None]


@pytest.fixture
def connect(monkeypatch: pytest.MonkeyPatch, sandbox: Sandbox, tmp_path: Path) -> Connect:
    monkeypatch.chdir(tmp_path)
    return starter(monkeypatch, sandbox)


@pytest.fixture
def type_in(monkeypatch: pytest.MonkeyPatch) -> Iterator[Type]:
    """Write a line to the command's standard input, which is a pipe."""
    reading, writing = os.pipe()
    with os.fdopen(reading) as stdin, os.fdopen(writing, "w") as typed:
        monkeypatch.setattr("sys.stdin", stdin)
        yield lambda line: print(line, file=typed, flush=True)


def page_of(told: Told) -> Path:
    return Path(told.wait_for(r"Copy (\S+) to a machine(?:.|\n)*Then .*\n"))


def come_back(page: Path, sandbox: Sandbox, **decision: str) -> str:
    """Do what the page's script does, decide, and return the address that the browser ends up at."""
    form, timestamp = form_of(page.read_text()), str(int(time.time()))
    assert form.action == f"{sandbox.url}/client/connect/v2"
    filled = {**form.fields, "timestamp": timestamp, "signature": sign(sandbox.client_secret, timestamp)}
    consent = requests.post(form.action, filled, timeout=PATIENCE)
    address = Browser().return_address(consent, **decision)
    assert address.startswith(paste.REDIRECT_URI)
    return address


def allowed(sandbox: Sandbox) -> dict[str, str]:
    return {"cloud": str(sandbox.cloud_ids[0]), "decision": "allow"}


def test_a_process_reads_the_address_from_its_input(sandbox: Sandbox, tmp_path: Path) -> None:
    process = children.Child(
        [*PROCESS, "--paste", *application_of(sandbox)],
        env=AirflowHome(tmp_path / "airflow").environment(),
        cwd=tmp_path,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stderr is not None
    told = Told()
    while "Then the command" not in told.read():
        assert told.write(process.stderr.readline())
    page = page_of(told)
    assert page == tmp_path / "connect-dotypos.html"
    assert page.stat().st_mode & 0o777 == 0o600
    assert sandbox.client_secret not in page.read_text()

    out, rest = process.communicate(come_back(page, sandbox, **allowed(sandbox)) + "\n")

    assert process.returncode == 0, rest
    extra = json.loads(out)["extra"]
    assert extra["refresh_token"] in sandbox.tokens.refresh
    assert extra["cloud_id"] == str(sandbox.cloud_ids[0])
    assert extra["refresh_token"] not in rest
    assert not page.exists()


def test_the_page_asks_for_what_is_not_known(connect: Connect, sandbox: Sandbox, type_in: Type) -> None:
    run = connect("--paste", "--host", sandbox.url, "--cloud-id", sandbox.cloud_ids[0])
    page = page_of(run.told)
    form = form_of(page.read_text())
    assert form.fields["client_id"] == ""
    assert set(form.fields) == {"client_id", "timestamp", "signature", "scope", "redirect_uri", "state"}
    assert f"cloud {sandbox.cloud_ids[0]}" in page.read_text()
    type_in("")
    assert run.end() == 1


def test_a_refusal_is_told(connect: Connect, sandbox: Sandbox, type_in: Type) -> None:
    run = connect("--paste", *application_of(sandbox))
    type_in(come_back(page_of(run.told), sandbox, decision="deny"))
    assert run.end() == 1
    assert "gave no access" in run.told.read()


@pytest.mark.parametrize(
    ("address", "problem"),
    [
        ("", "isn't the whole address"),
        ("https://dotykacka.cz", "isn't the whole address"),
        ("https://[dotykacka.cz/?state=", "isn't the whole address"),
        ("https://dotykacka.cz/?token=a&cloudid=1&state=another", "another run of the command"),
        ("https://dotykacka.cz/?token=a&cloudid=1&state=é", "another run of the command"),
    ],
)
def test_an_address_of_another_kind_is_refused(
    address: str, problem: str, connect: Connect, sandbox: Sandbox, type_in: Type, capfd: pytest.CaptureFixture[str]
) -> None:
    run = connect("--paste", *application_of(sandbox))
    page = page_of(run.told)
    type_in(address)
    assert run.end() == 1
    assert problem in run.told.read()
    assert not page.exists()
    assert not capfd.readouterr().out


def test_a_file_that_is_there_is_left_alone(connect: Connect, sandbox: Sandbox, tmp_path: Path) -> None:
    mine = tmp_path / "mine.html"
    mine.write_text("mine")
    run = connect("--paste", "--page", mine, *application_of(sandbox))
    assert run.end() == 1
    assert "name another file by --page" in run.told.read()
    assert mine.read_text() == "mine"


def test_a_terminal_is_asked_again_and_shows_no_secret(sandbox: Sandbox, tmp_path: Path) -> None:
    with on_a_terminal("--paste", "--page", "page.html", *application_of(sandbox), folder=tmp_path) as process:
        told = process.answer("Address: ", "https://dotykacka.cz/")
        address = come_back(page_of(told), sandbox, **allowed(sandbox))
        process.answer("after a question mark.\nAddress: ", address)
        connection = process.end()

        token = connection["extra"]["refresh_token"]
        assert token in sandbox.tokens.refresh
        assert token not in told.read() + process.shown()


def test_a_terminal_is_asked_for_id_and_secret(sandbox: Sandbox, tmp_path: Path) -> None:
    with on_a_terminal("--host", sandbox.url, "--no-browser", folder=tmp_path) as process:
        process.answer("Client id: ", sandbox.client_id)
        told = process.answer("Client secret (it isn't shown): ", sandbox.client_secret)
        process.wait_for("Ctrl-C ends it.")
        Browser().connect(told.wait_for(r"(http://127\.0\.0\.1:\d+/[\w-]+/)\n"), sandbox.cloud_ids[0])
        connection = process.end()

        assert connection["login"] == sandbox.client_id
        shown = process.shown()
        assert sandbox.client_id in shown
        assert sandbox.client_secret not in shown + told.read()


class OnATerminal:
    """A process that asks on its standard error and is answered by its terminal."""

    def __init__(self, options: tuple[str, ...], folder: Path, terminal: int, its_end: int) -> None:
        self._terminal = terminal
        self._told = Told()
        self._decoder = codecs.getincrementaldecoder("utf-8")()
        self._process = children.Child(
            [*PROCESS, *options],
            env=AirflowHome(folder / "airflow").environment(),
            cwd=folder,
            stdin=its_end,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )

    def wait_for(self, text: str) -> Told:
        while text not in self._told.read():
            assert self._process.stderr is not None
            new = os.read(self._process.stderr.fileno(), 4096)
            assert new, self._told.read()
            self._told.write(self._decoder.decode(new))
        return self._told

    def answer(self, question: str, answer: str) -> Told:
        told = self.wait_for(question)
        os.write(self._terminal, f"{answer}\n".encode())
        return told

    def end(self) -> dict[str, Any]:
        """Return what it prints, once it is over."""
        out, rest = self._process.communicate()
        self._told.write(rest.decode())
        assert self._process.returncode == 0, rest
        connection: dict[str, Any] = json.loads(out)
        return connection

    def shown(self) -> str:
        """Return what the terminal has shown of what was typed."""
        shown = b""
        while select.select([self._terminal], [], [], 0)[0]:
            shown += os.read(self._terminal, 4096)
        return shown.decode()


@contextmanager
def on_a_terminal(*options: str, folder: Path) -> Iterator[OnATerminal]:
    terminal, its_end = pty.openpty()
    try:
        yield OnATerminal(options, folder, terminal, its_end)
    finally:
        os.close(its_end)
        os.close(terminal)
