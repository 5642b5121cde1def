"""The browser that the command *connect* starts: what its arguments show to the other users of the machine.

Tests `terminal/standalone`.
"""

from __future__ import annotations

import json
import os
import signal
import stat
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest

from airflow_provider_dotypos.sandbox import Sandbox
from demo import children
from tests.connect.terminal.command_run import PROCESS, Browser, Connect, Told, application_of, form_of, led_to, starter
from tests.ui.airflow_server import AirflowHome

#: A browser that notes the arguments it is started with, and stays for as long as somebody reads them.
NOTING = "import json, sys\nwith open({notes!r}, 'w') as notes:\n    json.dump(sys.argv, notes)\n"


@dataclass
class Started:
    """The command in a process of its own, and what its browser was started with."""

    process: subprocess.Popen[str]
    told: Told
    arguments: list[str]

    @property
    def page(self) -> Path:
        return Path(unquote(urlsplit(self.arguments[-1]).path))

    @property
    def address(self) -> str:
        return self.told.wait_for(r"(http://127\.0\.0\.1:\d+/[\w-]+/)\n")


@contextmanager
def started(sandbox: Sandbox, folder: Path, *options: str) -> Iterator[Started]:
    notes, script = folder / "notes", folder / "browser.py"
    os.mkfifo(notes)
    script.write_text(NOTING.format(notes=str(notes)))
    environment = AirflowHome(folder / "airflow").environment(
        BROWSER=f"{sys.executable} {script} %s", DOTYPOS_CLIENT_SECRET=sandbox.client_secret, TMPDIR=str(folder)
    )
    with children.Child(
        [*PROCESS, *application_of(sandbox), *options],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            arguments = json.loads(notes.read_text())
            assert process.stderr is not None
            told = Told()
            while "Ctrl-C" not in told.read():
                assert told.write(process.stderr.readline())
            yield Started(process, told, arguments)
        finally:
            process.kill()


@pytest.mark.parametrize("options", [(), ("--legacy",)], ids=str)
def test_its_arguments_lead_to_a_page_that_only_its_owner_can_open(
    options: tuple[str, ...], sandbox: Sandbox, tmp_path: Path
) -> None:
    browser = Browser()
    with started(sandbox, tmp_path, *options) as run:
        for path, mode in ((run.page, 0o600), (run.page.parent, 0o700)):
            assert stat.S_IMODE(path.stat().st_mode) == mode
            assert path.stat().st_uid == os.getuid()
        assert led_to(run.arguments[-1]) == run.address
        go = browser.submit(browser.open(run.address))
        state = form_of(go.text).fields["state"]
        shown = " ".join(run.arguments)
        for hidden in (sandbox.client_secret, state, run.address, *run.address.split("/")[2:-1]):
            assert hidden not in shown
        assert sandbox.client_secret not in run.page.read_text()

        browser.connect(run.address, sandbox.cloud_ids[0])
        out, _ = run.process.communicate()

    assert run.process.returncode == 0
    token = json.loads(out)["extra"]["refresh_token"]
    assert token in sandbox.tokens.refresh
    assert token not in shown
    assert not run.page.parent.exists()


def test_the_page_is_removed_by_ctrl_c_as_well(sandbox: Sandbox, tmp_path: Path) -> None:
    with started(sandbox, tmp_path) as run:
        assert run.page.exists()
        run.process.send_signal(signal.SIGINT)
        run.process.communicate()

    assert run.process.returncode == 130
    assert not run.page.parent.exists()


@pytest.fixture
def connect(monkeypatch: pytest.MonkeyPatch, sandbox: Sandbox) -> Connect:
    return starter(monkeypatch, sandbox)


def test_without_a_folder_for_the_page_the_cure_is_told(
    connect: Connect, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "nowhere"))
    run = connect(*application_of(sandbox))

    assert run.end() == 1
    assert "Use --no-browser, or set TMPDIR" in run.told.read()


@pytest.mark.parametrize("client_id", ["two words", "kavárna", "i" * 129, "line\nbreak", " padded"])
@pytest.mark.parametrize("how", ["option", "environment"])
@pytest.mark.parametrize("way", ["--no-browser", "--paste"])
def test_a_client_id_that_can_not_be_one_is_refused_before_anybody_leaves(
    client_id: str, how: str, way: str, connect: Connect, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DOTYPOS_CLIENT_ID", client_id)
    run = connect("--host", sandbox.url, way, *(["--client-id", client_id] if how == "option" else []))

    assert run.end() == 2
    assert "Client ID must be 1 to 128" in run.told.read()


def test_the_host_that_gets_the_token_is_named_and_warned_of(connect: Connect, sandbox: Sandbox) -> None:
    options = ["--client-id", sandbox.client_id, "--no-browser", "--timeout", "2"]
    here, foreign = sandbox.url, "https://proxy.example"
    pages, texts = {}, {}
    for host in (here, foreign):
        run = connect(*options, "--host", host)
        pages[host] = Browser().open(run.address).text
        assert run.end() == 1
        texts[host] = run.told.read()

    for host in (here, foreign):
        assert f"signing in at <code>{host}</code>" in pages[host]
    warning = "not\nDotypos's own server", "which is not Dotypos's own server"
    assert not [text for text in warning if text in pages[here] + texts[here]]
    assert warning[0] in pages[foreign]
    assert f"will be sent to {foreign}, {warning[1]}" in texts[foreign]
