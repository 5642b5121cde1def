"""The command *connect* with a real browser: the way to Dotypos and back, and the page that signs by itself."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest

from airflow_provider_dotypos.connect.terminal import paste
from airflow_provider_dotypos.sandbox import Sandbox
from tests.connect.terminal.command_run import Connect, options_for, starter
from tests.connect.terminal.test_command_opening import started
from tests.patience import PATIENCE

playwright = pytest.importorskip("playwright.sync_api", reason="drives a browser by playwright")
from tests.ui import test_connection_form  # noqa: E402 (it needs playwright)

expect = playwright.expect

browser = test_connection_form.browser
pytestmark = test_connection_form.pytestmark


@pytest.fixture
def page(browser: playwright.Browser) -> Iterator[playwright.Page]:
    """A page on which nothing goes wrong."""
    context = browser.new_context(viewport={"width": 900, "height": 800})
    context.set_default_timeout(PATIENCE * 1000)
    page = context.new_page()
    complaints: list[str] = []
    page.on("console", lambda message: complaints.append(message.text) if message.type == "error" else None)
    page.on("pageerror", lambda error: complaints.append(str(error)))
    yield page
    context.close()
    assert complaints == []


@pytest.fixture
def connect(monkeypatch: pytest.MonkeyPatch, sandbox: Sandbox, tmp_path: Path) -> Connect:
    monkeypatch.chdir(tmp_path)
    return starter(monkeypatch, sandbox)


def allow(page: playwright.Page, cloud_id: int) -> None:
    page.get_by_label(f"({cloud_id})").check()
    page.get_by_role("button", name="Allow").click()


def look(page: playwright.Page, name: str) -> None:
    """Keep a picture, if somebody wants to see the pages."""
    if folder := os.environ.get("DOTYPOS_LOOK"):
        page.screenshot(path=Path(folder) / f"{name}.png")


def test_a_browser_goes_to_dotypos_and_comes_back(
    page: playwright.Page, connect: Connect, sandbox: Sandbox, capfd: pytest.CaptureFixture[str]
) -> None:
    cloud_id = sandbox.cloud_ids[0]
    run = connect(*options_for(sandbox), "--cloud-id", cloud_id)

    page.goto(run.address)
    look(page, "start")
    page.get_by_role("button", name="Continue to Dotypos").click()
    expect(page).to_have_url(f"{sandbox.url}/client/connect/v2")  # the signed form went by itself
    allow(page, cloud_id)

    expect(page.get_by_role("heading", name="Connected")).to_be_visible()
    look(page, "result")
    expect(page.get_by_role("status")).to_have_css("border-left-style", "solid")  # its style is inside
    assert page.url == f"{run.address}result"
    assert run.end() == 0, run.told.read()
    token = json.loads(capfd.readouterr().out)["extra"]["refresh_token"]
    assert token in sandbox.tokens.refresh
    assert token not in page.content()


def test_the_page_that_the_browser_is_started_with_leads_on_by_itself(
    page: playwright.Page, sandbox: Sandbox, tmp_path: Path
) -> None:
    with started(sandbox, tmp_path, "--legacy") as run:
        page.goto(run.arguments[-1])
        expect(page.get_by_role("heading", name="Connect a Dotypos cloud")).to_be_visible()
        assert page.url == run.address
        assert page.evaluate("document.referrer") == ""
        page.get_by_role("button", name="Continue to Dotypos").click()
        allow(page, sandbox.cloud_ids[0])
        expect(page.get_by_role("heading", name="Connected")).to_be_visible()
        out, _ = run.process.communicate()

    assert json.loads(out)["extra"]["refresh_token"] in sandbox.tokens.refresh
    assert not run.page.exists()


def test_whoever_goes_back_from_dotypos_can_go_again(page: playwright.Page, connect: Connect, sandbox: Sandbox) -> None:
    run = connect(*options_for(sandbox))
    page.goto(run.address)
    page.get_by_role("button", name="Continue to Dotypos").click()
    expect(page.get_by_role("button", name="Deny")).to_be_visible()

    page.go_back()
    # To the first page or the one with the form, which browsers may leave out: both have the button, neither goes on
    # by itself.
    page.get_by_role("button", name="Continue to Dotypos").click()
    page.get_by_role("button", name="Deny").click()

    expect(page.get_by_role("alert")).to_contain_text("gave no access")
    assert run.end() == 1


def test_the_page_of_another_machine_signs_by_itself(
    page: playwright.Page,
    connect: Connect,
    sandbox: Sandbox,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    reading, writing = os.pipe()
    with os.fdopen(reading) as stdin, os.fdopen(writing, "w") as typed:
        monkeypatch.setattr("sys.stdin", stdin)
        run = connect("--paste", "--host", sandbox.url)
        path = Path(run.told.wait_for(r"Copy (\S+) to a machine"))
        arrived = []

        def stay(route: playwright.Route) -> None:
            # Dotypos's own web site, where the browser would arrive now, is none of a test's business.
            arrived.append(route.fetch(max_redirects=0).headers["location"])
            route.fulfill(body="Arrived", content_type="text/html")

        page.route("**/client/connect/decision", stay)

        page.goto(path.as_uri())
        page.get_by_label("Client ID").fill(sandbox.client_id)
        page.get_by_label("Client Secret").fill(sandbox.client_secret)
        look(page, "paste")
        with page.expect_request(f"{sandbox.url}/client/connect/v2") as posted:
            page.get_by_role("button", name="Continue to Dotypos").click()
        assert sandbox.client_secret not in (posted.value.post_data or "")
        allow(page, sandbox.cloud_ids[1])
        expect(page.get_by_text("Arrived")).to_be_visible()
        assert arrived[0].startswith(paste.REDIRECT_URI)
        print(arrived[0], file=typed, flush=True)

        assert run.end() == 0, run.told.read()
    (token,) = parse_qs(urlsplit(arrived[0]).query)["token"]
    extra = json.loads(capfd.readouterr().out)["extra"]
    cloud = sandbox.allowed_clouds()[1]
    assert extra == {"refresh_token": token, "cloud_id": str(cloud["id"]), "cloud_name": cloud["name"]}
