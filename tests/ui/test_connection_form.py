"""The connection form, filled in by a browser in a real Airflow; also the maker of the README's screenshot.

``DOTYPOS_UPDATE_SCREENSHOTS=1`` writes ``docs/images/connection-form.png``.
"""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from airflow_provider_dotypos.provider_info import CONN_FIELDS
from airflow_provider_dotypos.sandbox import Sandbox
from tests.patience import PATIENCE
from tests.ui.airflow_server import AirflowServer

playwright = pytest.importorskip("playwright.sync_api", reason="the form's test drives a browser by playwright")
expect = playwright.expect

SCREENSHOT = Path(__file__).parents[2] / "docs" / "images" / "connection-form.png"
CHROMIUM = os.environ.get("CHROMIUM") or next(
    filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None
)
AIRFLOW = tuple(map(int, version("apache-airflow-core").split(".")[:2]))
CLIENT_SECRET = "5ecbe77e5ecbe77e"

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium in PATH; name one in CHROMIUM")


class Form:
    """The dialog that adds or edits a connection. One section of it is open at a time."""

    def __init__(self, page: playwright.Page) -> None:
        self.page = page
        self.dialog = page.get_by_role("dialog")
        expect(self.dialog).to_be_visible()

    def choose_type(self, name: str) -> None:
        box = self.dialog.get_by_role("combobox")
        box.click()
        box.fill(name)
        self.page.get_by_role("option", name=name, exact=True).click()

    def open(self, section: str) -> playwright.Locator:
        """Unfold a section, and return it once it alone is unfolded."""
        button = self.dialog.get_by_role("button", name=section, exact=True)
        if button.get_attribute("aria-expanded") != "true":
            button.click()
        region = self.dialog.get_by_role("region", name=section, exact=True)
        expect(region).to_be_visible()
        expect(self.dialog.get_by_role("region")).to_have_count(1)
        return region

    def field(self, label: str) -> playwright.Locator:
        name = self.page.locator("label").filter(has_text=re.compile(rf"^{label}\W*$"))  # an asterisk: required
        group = self.dialog.get_by_role("group").filter(has=name)
        return group.locator("input, textarea")

    def save(self) -> None:
        self.dialog.get_by_role("button", name="Save").click()
        expect(self.dialog).to_be_hidden()


class Connections:
    """The list of connections."""

    def __init__(self, page: playwright.Page, airflow: str) -> None:
        """Open the list of the Airflow at this URL, with the fields of each connection type.

        A form that 3.2 opens before these have arrived never shows the extras of a stored connection.
        """
        self.page = page
        with page.expect_response("**/connections/hook_meta") as types:
            page.goto(f"{airflow}/connections")
        types.value.finished()

    def add(self) -> Form:
        self.page.get_by_role("button", name="Add Connection").click()
        return Form(self.page)

    def edit(self, conn_id: str) -> Form:
        self._row(conn_id).get_by_role("button", name="Edit").click()
        return Form(self.page)

    def press_test(self, conn_id: str) -> tuple[bool, str]:
        """Press Test and return what its answer says; the page shows it in a passing note."""
        with self.page.expect_response("**/connections/test") as answer:
            self._row(conn_id).get_by_role("button", name="Test").click()
        assert answer.value.status == 200, answer.value.text()
        told = answer.value.json()
        expect(self.page.get_by_text(told["message"])).to_be_visible()
        return told["status"], told["message"]

    def _row(self, conn_id: str) -> playwright.Locator:
        return self.page.get_by_role("row").filter(has=self.page.get_by_text(conn_id, exact=True))


@pytest.fixture(scope="module")
def browser() -> Iterator[playwright.Browser]:
    quiet = ("background-networking", "component-update", "sync")
    arguments = ["--no-sandbox", "--disable-gpu", "--no-first-run", *(f"--disable-{what}" for what in quiet)]
    expect.set_options(timeout=PATIENCE * 1000)
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=CHROMIUM, args=arguments)
        yield browser
        browser.close()


@pytest.fixture
def connections(browser: playwright.Browser, airflow: AirflowServer) -> Iterator[Connections]:
    """The page Admin, Connections, as it opens for the first time."""
    context = browser.new_context(
        viewport={"width": 1000, "height": 900}, device_scale_factor=2, color_scheme="light", reduced_motion="reduce"
    )
    context.set_default_timeout(PATIENCE * 1000)
    page = context.new_page()
    page.goto(airflow.url)  # signs in, and may come back to the home page
    page.get_by_role("link", name="Dags").first.wait_for()
    yield Connections(page, airflow.url)
    context.close()


def fill_in(form: Form, sandbox: Sandbox, conn_id: str, refresh_token: str | None = None) -> None:
    form.choose_type("Dotypos")
    form.field("Connection ID").fill(conn_id)
    form.open("Standard Fields")
    form.field("API base URL").fill("http://127.0.0.1")
    form.field("Port").fill(str(urlsplit(sandbox.url).port))
    form.field("Client ID").fill(sandbox.client_id)
    form.field("Client Secret").fill(CLIENT_SECRET)
    form.open("Cloud")
    form.field("Refresh Token").fill(refresh_token or sandbox.refresh_token)
    form.field("Cloud ID").fill(str(sandbox.cloud_ids[0]))


def assert_connected(connections: Connections, cloud_id: int) -> None:
    status, message = connections.press_test("dotypos_default")
    assert status is True
    assert re.fullmatch(rf"Connected to cloud .+ \({cloud_id}\)", message)


def test_the_form_shows_what_the_provider_declares(connections: Connections):
    form = connections.add()
    form.choose_type("Dotypos")

    standard = form.open("Standard Fields").locator("label")
    expect(standard).to_have_text(["Description", "API base URL", "Client ID", "Client Secret", "Port"])
    expect(form.field("API base URL")).to_have_attribute("placeholder", "https://api.dotykacka.cz")
    expect(form.field("Client Secret")).to_have_attribute("type", "password")

    for section, names in {
        "Cloud": ["refresh_token", "cloud_id", "cloud_name"],
        "Advanced": [
            "timeout",
            "requests_per_minute",
            "request_budget",
            "max_concurrency",
            "deleted_filter",
            "webhook_secret",
            "allow_http",
        ],
    }.items():
        region = form.open(section)
        labels = region.locator("label").filter(has_text=re.compile(r"\S"))  # a switch is a label, too, without text
        expect(labels).to_have_text([CONN_FIELDS[name]["label"] for name in names])
        for name in names:
            expect(region.get_by_text(CONN_FIELDS[name]["description"])).to_be_visible()
    form.open("Cloud")
    # The forms of 3.1 and 3.2 hide no extra while it is typed; stored ones are masked there as well.
    if AIRFLOW >= (3, 3):
        expect(form.field("Refresh Token")).to_have_attribute("type", "password")


def test_a_connection_is_filled_in_saved_tested_and_edited(connections: Connections, sandbox: Sandbox):
    form = connections.add()
    fill_in(form, sandbox, "dotypos_default")
    take_screenshot(form)
    form.save()

    assert_connected(connections, sandbox.cloud_ids[0])

    form = connections.edit("dotypos_default")
    expect(form.field("Client ID")).to_have_value(sandbox.client_id)
    expect(form.field("Client Secret")).to_have_value("***")
    form.open("Cloud")
    expect(form.field("Refresh Token")).to_have_value("***")
    expect(form.field("Cloud ID")).to_have_value(str(sandbox.cloud_ids[0]))
    assert sandbox.refresh_token not in connections.page.content()

    form.field("Cloud ID").fill(str(sandbox.cloud_ids[1]))
    form.open("Advanced")
    form.field("Max concurrency").fill("2")
    form.save()
    assert_connected(connections, sandbox.cloud_ids[1])


def test_a_wrong_token_is_told_on_the_page(connections: Connections, sandbox: Sandbox):
    form = connections.add()
    fill_in(form, sandbox, "dotypos_wrong", refresh_token="0123456789abcdef" * 2)
    form.save()

    status, message = connections.press_test("dotypos_wrong")

    assert status is False
    assert message.startswith("Refresh Token was refused")


def take_screenshot(form: Form) -> None:
    if os.environ.get("DOTYPOS_UPDATE_SCREENSHOTS") != "1":
        return
    form.dialog.get_by_role("heading", name="Add Connection").click()  # no cursor in a field
    SCREENSHOT.parent.mkdir(parents=True, exist_ok=True)
    form.dialog.screenshot(path=SCREENSHOT, animations="disabled")
