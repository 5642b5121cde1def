"""The command *connect* with its listener: a browser goes to the sandbox's connector and comes back.

Tests `commands/connect`, `terminal/run`, `terminal/listener`.
"""

from __future__ import annotations

import json
import re
import signal
import socket
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest
import requests

from airflow_provider_dotypos.commands import connect as command
from airflow_provider_dotypos.connect.terminal.listener import Listener
from airflow_provider_dotypos.connect.terminal.target import ChosenTarget, UsageError
from airflow_provider_dotypos.hooks.dotypos import DotyposHook
from airflow_provider_dotypos.sandbox import Sandbox
from airflow_provider_dotypos.sandbox.api.connector import EXPIRED, UNKNOWN, sign
from demo import children
from tests.connect.terminal.command_run import PROCESS, Browser, Connect, Told, options_for, parse, starter
from tests.patience import PATIENCE
from tests.ui.airflow_server import AirflowHome


@pytest.fixture
def connect(monkeypatch: pytest.MonkeyPatch, sandbox: Sandbox) -> Connect:
    return starter(monkeypatch, sandbox)


@pytest.mark.parametrize("form", ["json", "uri"])
def test_a_connection_is_printed_and_works(
    form: str,
    connect: Connect,
    sandbox: Sandbox,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    browser, cloud_id = Browser(), sandbox.cloud_ids[1]
    run = connect(*options_for(sandbox), "--format", form)

    last = browser.connect(run.address, cloud_id)

    assert run.end() == 0, run.told.read()
    assert "Connected to cloud" in last.text
    assert f"({cloud_id})" in last.text
    value = capfd.readouterr().out.strip()
    monkeypatch.setenv("AIRFLOW_CONN_PRINTED", value)
    assert DotyposHook("printed").test_connection()[0]
    assert sandbox.client_secret not in value
    if form == "json":
        assert json.loads(value)["login"] == sandbox.client_id
        assert json.loads(value)["extra"]["cloud_id"] == str(cloud_id)


def test_secrets_stay_where_they_belong(
    connect: Connect, sandbox: Sandbox, capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("DEBUG")
    caplog.set_level("INFO", logger="urllib3")  # by which the test's own browser tells where it goes
    browser = Browser()
    run = connect(*options_for(sandbox))

    last = browser.connect(run.address, sandbox.cloud_ids[0])
    assert run.end() == 0

    given = capfd.readouterr().out
    token = json.loads(given)["extra"]["refresh_token"]
    told = run.told.read() + caplog.text
    assert sandbox.client_secret not in told + given + "".join(browser.seen)
    assert token not in told + "".join(text for text in browser.seen if "/callback?" not in text)
    assert last.url == f"{run.address}result"
    assert last.headers["Cache-Control"] == "no-store"


def test_the_first_page_says_what_will_happen_and_its_files_are_there(connect: Connect, sandbox: Sandbox) -> None:
    cloud_id = sandbox.cloud_ids[0]
    run = connect(*options_for(sandbox), "--cloud-id", cloud_id)
    browser = Browser()

    first = browser.open(run.address)

    for what in (sandbox.client_id, f"{sandbox.url}/client/connect", f"cloud {cloud_id}", "stores nothing"):
        assert what in first.text
    assert "form-action 'self'" in first.headers["Content-Security-Policy"]
    for name in re.findall(r'(?:href|src)="(static/[^"]+)"', first.text):
        assert browser.open(run.address + name).ok
    assert browser.open(run.address.rstrip("/")).url == run.address
    browser.connect(run.address, cloud_id)
    assert run.end() == 0


def test_a_refusal_ends_it(connect: Connect, sandbox: Sandbox, capfd: pytest.CaptureFixture[str]) -> None:
    browser = Browser()
    run = connect(*options_for(sandbox))

    last = browser.open(browser.return_address(browser.consent_page(run.address), decision="deny"))

    assert "gave no access" in last.text
    assert run.end() == 1
    assert "gave no access" in run.told.read()
    assert not capfd.readouterr().out


def test_another_cloud_than_the_expected_one_is_not_taken(
    connect: Connect, sandbox: Sandbox, capfd: pytest.CaptureFixture[str]
) -> None:
    expected, other = sandbox.cloud_ids
    run = connect(*options_for(sandbox), "--cloud-id", expected)

    last = Browser().connect(run.address, other)

    assert run.end() == 1
    assert f"choose cloud {expected}" in last.text
    assert f"Cloud {other} was chosen" in run.told.read()
    assert not capfd.readouterr().out


def test_a_token_that_does_not_work_is_not_taken(
    connect: Connect, sandbox: Sandbox, capfd: pytest.CaptureFixture[str]
) -> None:
    browser = Browser()
    run = connect(*options_for(sandbox))
    address = browser.return_address(
        browser.consent_page(run.address), cloud=str(sandbox.cloud_ids[0]), decision="allow"
    )
    sandbox.tokens.refresh.clear()

    last = browser.open(address)

    assert run.end() == 1
    assert "it doesn&#39;t work, so nothing was stored" in last.text
    assert "Refresh Token was refused" in run.told.read()
    assert "Connect the cloud again (run the command again)" in run.told.read()
    assert not capfd.readouterr().out


def test_a_wrong_client_is_told_by_dotypos_and_then_by_the_timeout(connect: Connect, sandbox: Sandbox) -> None:
    run = connect(*options_for(sandbox), "--client-id", "another-client", "--timeout", "1")

    assert UNKNOWN in Browser().consent_page(run.address).text

    assert run.end() == 1
    told = run.told.read()
    assert "Nobody came back from Dotypos within 1 seconds" in told
    assert "the client secret in DOTYPOS_CLIENT_SECRET" in told
    assert "NTP" in told


def test_a_stray_return_is_answered_and_ends_nothing(connect: Connect, sandbox: Sandbox) -> None:
    browser = Browser()
    run = connect(*options_for(sandbox))
    consent = browser.consent_page(run.address)
    callback = urlsplit(run.address)._replace(path="/callback").geturl()

    for query in ("", "?state=", "?token=a&cloudid=1", "?token=a&cloudid=1&state=é", "?state=" + "a" * 43):
        stray = browser.open(callback + query)
        assert stray.status_code == 400
        assert "doesn&#39;t belong" in stray.text
    address = browser.return_address(consent, cloud=str(sandbox.cloud_ids[0]), decision="allow")
    assert browser.open(address.replace("state=", "state=x")).status_code == 400

    # The first return is answered by the end of it; whoever comes with it again meanwhile, isn't.
    assert requests.get(address, timeout=PATIENCE, allow_redirects=False).status_code == 303
    again = browser.open(address)
    assert again.status_code == 400
    assert "used before" in again.text
    assert browser.open(run.address).url.endswith("/result")
    assert run.end() == 0


def test_it_answers_to_its_own_name_and_its_own_address_alone(connect: Connect, sandbox: Sandbox) -> None:
    run = connect(*options_for(sandbox))
    port = urlsplit(run.address).port
    state = parse_qs(urlsplit(Browser().return_address(Browser().consent_page(run.address), decision="deny")).query)
    callback = f"http://127.0.0.1:{port}/callback?token=a&cloudid=1&state={state['state'][0]}"

    for address in (run.address, f"{run.address}go", callback):
        for name in ("evil.example", f"evil.example:{port}", "127.0.0.1", "", f"127.0.0.1:{port}.evil.example"):
            assert requests.get(address, headers={"Host": name}, timeout=PATIENCE).status_code == 403
    for path in ("/", "/go", "/result", "/static/style.css", "//go", "/é/go"):
        assert requests.get(f"http://127.0.0.1:{port}{path}", timeout=PATIENCE).status_code == 404
        assert requests.post(f"http://127.0.0.1:{port}{path}", timeout=PATIENCE).status_code == 404
    assert requests.get(run.address, headers={"Host": f"localhost:{port}"}, timeout=PATIENCE).status_code == 200
    with pytest.raises(OSError):  # noqa: PT011 (systems call it differently)
        socket.create_connection(("127.0.0.2", port), timeout=PATIENCE)
    Browser().connect(run.address, sandbox.cloud_ids[0])
    assert run.end() == 0


def test_the_signature_is_as_old_as_the_page(connect: Connect, sandbox: Sandbox) -> None:
    browser = Browser()
    run = connect(*options_for(sandbox))
    go = browser.submit(browser.open(run.address))

    assert (
        EXPIRED in browser.submit(go, timestamp="1700000000", signature=sign(sandbox.client_secret, "1700000000")).text
    )
    assert "form-action" not in go.headers["Content-Security-Policy"]

    browser.connect(run.address, sandbox.cloud_ids[0])
    assert run.end() == 0


def test_the_deprecated_connector_is_used_when_told_to_and_warned_of(connect: Connect, sandbox: Sandbox) -> None:
    browser = Browser()
    run = connect(*options_for(sandbox), "--legacy")

    browser.connect(run.address, sandbox.cloud_ids[0])

    assert run.end() == 0
    assert "Warning: the deprecated connector" in run.told.read()
    assert "Its address holds the client secret" in browser.seen[1]
    assert [address for address in browser.seen if f"client_secret={sandbox.client_secret}" in address]
    assert sandbox.client_secret not in run.told.read()


def test_a_server_without_a_browser_is_told_of_the_tunnel(connect: Connect, sandbox: Sandbox) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
    run = connect(*options_for(sandbox), "--port", port)

    assert urlsplit(run.address).port == port
    run.told.wait_for(f"(ssh -N -L {port}:127.0.0.1:{port} you@server)")
    Browser().connect(run.address, sandbox.cloud_ids[0])
    assert run.end() == 0


def test_a_port_that_is_taken_is_told(connect: Connect, sandbox: Sandbox) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        run = connect(*options_for(sandbox), "--port", taken.getsockname()[1])
        assert run.end() == 1
    assert "Choose another one by --port" in run.told.read()


@pytest.mark.parametrize(
    ("options", "cure"),
    [
        (["--paste", "--legacy"], "--legacy and --paste don't go together"),
        (["--paste", "--port", "8799"], "--port and --paste don't go together"),
        (["--paste", "--no-browser", "--timeout", "9"], "--no-browser, --timeout and --paste don't go together"),
        (["--replace"], "name it by --conn-id"),
        (["--page", "x.html"], "--page names the file"),
        (["--host", "http://api.example.com"], "--host can't be used"),
        (["--host", "http://127.0.0.1:99999"], "--host can't be used"),
    ],
    ids=str,
)
def test_options_that_make_no_sense_are_told(options: list[str], cure: str, connect: Connect) -> None:
    run = connect(*options)
    assert run.end() == 2
    assert cure in run.told.read()


def test_options_found_wrong_on_the_return_end_as_options_that_are_wrong(
    connect: Connect, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(self: ChosenTarget, grant: object) -> None:
        raise UsageError("--cloud-id can't be used")

    monkeypatch.setattr(ChosenTarget, "require_expected", refuse)
    run = connect(*options_for(sandbox))
    browser = Browser()
    returned = browser.return_address(
        browser.consent_page(run.address), cloud=str(sandbox.cloud_ids[0]), decision="allow"
    )
    with suppress(requests.ConnectionError, requests.Timeout):  # the listener is closed, or closes without an answer
        requests.get(returned, timeout=5)
    assert run.end() == 2


@pytest.mark.parametrize("missing", ["DOTYPOS_CLIENT_ID", "DOTYPOS_CLIENT_SECRET"])
def test_without_a_terminal_nothing_is_asked(missing: str, connect: Connect, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOTYPOS_CLIENT_ID", "an-application")
    monkeypatch.delenv(missing)
    run = connect()
    assert run.end() == 2
    assert f"set {missing}" in run.told.read()


@pytest.mark.parametrize("option", ["--port=70000", "--port=-1", "--timeout=0", "--timeout=x", "--client-secret=x"])
def test_options_that_can_not_be_are_refused(option: str) -> None:
    with pytest.raises(SystemExit, match="2"):
        parse(option)


def test_a_process_opens_the_browser_and_prints_nothing_but_the_connection(sandbox: Sandbox, tmp_path: Path) -> None:
    # A browser that writes to standard output and stays, as those in a terminal do.
    script = tmp_path / "browser.py"
    script.write_text(
        "import sys\nfrom tests.connect.terminal.command_run import Browser, led_to\nprint('noise', flush=True)\n"
        f"Browser().connect(led_to(sys.argv[1]), {sandbox.cloud_ids[0]})\n"
    )
    environment = AirflowHome(tmp_path / "airflow").environment(
        BROWSER=f"{sys.executable} {script} %s",
        PYTHONPATH=str(Path(__file__).parents[3]),
        DOTYPOS_CLIENT_SECRET=sandbox.client_secret,
    )
    options = ["--host", sandbox.url, "--client-id", sandbox.client_id]
    done = children.run([*PROCESS, *options], env=environment, capture_output=True, text=True, check=False)

    assert done.returncode == 0, done.stderr
    token = json.loads(done.stdout)["extra"]["refresh_token"]
    assert token in sandbox.tokens.refresh
    assert token not in done.stderr
    assert "noise" in done.stderr


def test_ctrl_c_ends_it(sandbox: Sandbox, tmp_path: Path) -> None:
    environment = AirflowHome(tmp_path / "airflow").environment(DOTYPOS_CLIENT_SECRET=sandbox.client_secret)
    process = children.Child(
        [*PROCESS, *options_for(sandbox)],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stderr is not None
    while "Ctrl-C" not in (line := process.stderr.readline()):
        assert line
    process.send_signal(signal.SIGINT)
    out, errors = process.communicate()
    assert process.returncode == 130
    assert errors.strip() == "Not connected: interrupted."
    assert not out


def test_ctrl_c_after_leaving_for_dotypos_tells_what_its_page_may_have_told(sandbox: Sandbox, tmp_path: Path) -> None:
    environment = AirflowHome(tmp_path / "airflow").environment(DOTYPOS_CLIENT_SECRET="wrong")
    process = children.Child(
        [*PROCESS, *options_for(sandbox)],
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stderr is not None
    told = Told()
    while "Ctrl-C" not in told.read():
        assert told.write(process.stderr.readline())
    assert UNKNOWN in Browser().consent_page(told.wait_for(r"(http://127\.0\.0\.1:\d+/[\w-]+/)\n")).text

    process.send_signal(signal.SIGINT)
    _, rest = process.communicate()

    assert process.returncode == 130
    assert "correct the client id, or the client secret in DOTYPOS_CLIENT_SECRET" in rest
    assert "NTP" in rest
    assert rest.endswith("Not connected: interrupted.\n")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full on this system")
def test_a_connection_that_can_not_be_printed_is_told(sandbox: Sandbox, tmp_path: Path) -> None:
    environment = AirflowHome(tmp_path / "airflow").environment(DOTYPOS_CLIENT_SECRET=sandbox.client_secret)
    with open("/dev/full", "w") as full:
        process = children.Child(
            [*PROCESS, *options_for(sandbox)], env=environment, stdout=full, stderr=subprocess.PIPE, text=True
        )
    assert process.stderr is not None
    told = Told()
    while "Ctrl-C" not in told.read():
        assert told.write(process.stderr.readline())
    last = Browser().connect(told.wait_for(r"(http://127\.0\.0\.1:\d+/[\w-]+/)\n"), sandbox.cloud_ids[0])
    _, rest = process.communicate()

    assert process.returncode == 1
    why = "The connection can't be printed (No space left on device), and isn't stored anywhere."
    assert rest == f"Not connected. {why}\n"
    assert "isn&#39;t stored anywhere" in last.text


def test_port_80_is_left_out_of_names() -> None:
    for port, status in ((80, 404), (8799, 403)):
        listener = Listener(port, lambda *_: pytest.fail("signed"), {})
        assert listener.answer("GET", "/", "127.0.0.1").status == status
        assert listener.answer("GET", "/", "localhost").status == status
        assert listener.answer("GET", "/", f"127.0.0.1:{port}").status == 404


def test_the_options_are_light() -> None:
    code = (
        "import sys\nimport airflow_provider_dotypos\nbefore = set(sys.modules)\n"
        "from airflow_provider_dotypos.commands import connect\nconnect.options()\n"
        "print(' '.join({name.split('.')[0] for name in set(sys.modules) - before}))"
    )
    added = set(children.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout.split())
    assert added <= {"airflow_provider_dotypos"} | set(sys.stdlib_module_names)
    assert not [flags for flags, _ in command.options() if "secret" in flags[0]]
