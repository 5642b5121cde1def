"""The page *Connect Dotypos* in a browser; also the maker of its screenshots.

``DOTYPOS_UPDATE_SCREENSHOTS=1`` writes ``docs/images/connect-*.png``.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import parse_qs, quote, urlsplit

import pytest

from tests.connect.conftest import ADMIN, HELD_IN_FILE, PREFIX, VIEWER, PageWorld, aged
from tests.patience import PATIENCE
from tests.ui.airflow_server import password_of

playwright = pytest.importorskip("playwright.sync_api", reason="the page's test drives a browser by playwright")
from tests.ui import test_connection_form  # noqa: E402 (it needs playwright)

expect = playwright.expect
browser = test_connection_form.browser
pytestmark = test_connection_form.pytestmark

SCREENSHOTS = Path(__file__).parents[3] / "docs" / "images"
ON_DOTYPOS = re.compile(r"/client/connect(/v2|\?|$)")
RESULT = re.compile(r"/dotypos/result$")

NewVisitor = Callable[..., "Visitor"]


class Visitor:
    """A person's browser, and what it noted: everything it asked for, and every complaint of its console."""

    def __init__(self, context: playwright.BrowserContext, world: PageWorld) -> None:
        self.context = context
        self.world = world
        self.home = f"{world.server.url}/dotypos/"
        self.asked: list[str] = []
        self.complaints: list[str] = []
        context.on("request", lambda request: self.asked.append(request.url))
        context.on("console", lambda said: said.type in ("error", "warning") and self.complaints.append(said.text))
        context.on("weberror", lambda error: self.complaints.append(str(error.error)))
        self.page = context.new_page()

    def open(self, page: str = "") -> playwright.Page:
        self.page.goto(f"{self.home}{page}")
        return self.page

    def depart(self, conn_id: str) -> playwright.Page:
        """Go to Dotypos's page to connect a connection."""
        self.open(f"connect?conn_id={conn_id}").get_by_role("button", name="Connect").click()
        self.page.wait_for_url(ON_DOTYPOS)
        return self.page

    def allow(self, cloud: int = 0, page: playwright.Page | None = None) -> None:
        page = page or self.page
        page.get_by_role("radio").nth(cloud).check()
        page.get_by_role("button", name="Allow").click()
        page.wait_for_url(RESULT)

    def sign_out(self) -> None:
        self.context.clear_cookies(name="_token")


@pytest.fixture
def new_visitor(browser: playwright.Browser, page_world: PageWorld) -> Iterator[NewVisitor]:
    """Open browsers, signed in unless there is no user."""
    opened: list[playwright.BrowserContext] = []

    def open_browser(user: str | None = ADMIN, **options: object) -> Visitor:
        given = {"viewport": {"width": 1200, "height": 800}, "color_scheme": "light", "reduced_motion": "reduce"}
        context = browser.new_context(**given | options)
        opened.append(context)
        context.set_default_timeout(PATIENCE * 1000)
        if user is not None:
            token = page_world.session_token(user)
            place = {"domain": "127.0.0.1", "path": PREFIX, "httpOnly": True, "sameSite": "Lax"}
            context.add_cookies([{"name": "_token", "value": token, **place}])
        return Visitor(context, page_world)

    yield open_browser
    for context in opened:
        context.close()


@pytest.fixture
def ada(new_visitor: NewVisitor) -> Visitor:
    return new_visitor()


def test_the_menu_opens_the_page_in_a_tab_of_its_own(ada: Visitor):
    ada.page.goto(ada.world.server.url)
    ada.page.get_by_role("button", name="Admin").click()
    with ada.context.expect_page() as opened:
        ada.page.get_by_role("menuitem", name="Connect Dotypos").click()

    tab = opened.value
    expect(tab.get_by_role("heading", name="Connect Dotypos")).to_be_visible()
    assert tab.url == ada.home
    assert tab.evaluate("window.opener") is None, "whatever it leads to must not reach back"


def test_a_new_connection_is_made_connected_checked_and_leaves_no_token_behind(ada: Visitor):
    world, page = ada.world, ada.page
    sandbox = world.sandbox
    known, seen = set(sandbox.tokens.refresh), []
    page.on("domcontentloaded", lambda page: seen.append(page.content()))
    ada.open().get_by_role("link", name="New connection").click()
    page.get_by_label("Connection ID").fill("praha_centrum")
    page.get_by_label("Client ID").fill(sandbox.client_id)
    page.get_by_label("Client Secret").fill(sandbox.client_secret)
    steps = page.get_by_role("listitem")
    expect(steps.nth(1)).to_contain_text("https://admin.dotykacka.cz/client/connect/v2")
    page.get_by_text("API base URL").first.click()
    page.get_by_label("API base URL").fill(sandbox.url)
    for step, address in ((1, "https://admin.dotykacka.cz/client/connect/v2"), (3, "https://api.dotykacka.cz")):
        expect(steps.nth(step).get_by_text("the API base URL above")).to_be_visible()
        expect(steps.nth(step).get_by_text(address)).to_be_hidden()
    page.get_by_role("button", name="Save and connect").click()
    page.wait_for_url(ON_DOTYPOS)
    ada.allow()

    expect(page).to_have_title("Connected")
    expect(page.get_by_role("status")).to_contain_text("praha_centrum works in cloud")
    assert page.url == f"{ada.home}result"
    page.get_by_role("button", name="Copy").click()
    expect(page.get_by_text("Copied", exact=True)).to_be_visible()
    page.get_by_role("button", name="Show what it may read").click()
    expect(page.get_by_role("heading", name="What praha_centrum may read")).to_be_visible()
    (token,) = set(sandbox.tokens.refresh) - known
    page.get_by_role("link", name="All connections").click()
    page.get_by_role("button", name="Check praha_centrum").click()
    row = page.get_by_role("row", name="praha_centrum")
    expect(row.get_by_role("status")).to_contain_text("working")
    expect(row.get_by_role("status")).to_contain_text(f"({sandbox.cloud_ids[0]})")

    places = history_of(page)
    assert [place for place in places if ON_DOTYPOS.search(place)]
    assert not [place for place in places if "token" in place]
    assert len(seen) >= 6
    for secret in (token, sandbox.client_secret):
        assert not [page for page in seen if secret in page]
    assert ada.complaints == []
    with_key = {"AIRFLOW__CORE__FERNET_KEY": world.fernet_key}
    printed = json.loads(world.home.cli("connections", "get", "praha_centrum", "-o", "json", **with_key))[0]
    assert (printed["conn_type"], printed["login"], printed["host"]) == ("dotypos", sandbox.client_id, sandbox.url)
    extra = printed["extra_dejson"]
    extra = extra if isinstance(extra, dict) else json.loads(extra.replace("'", '"'))
    assert (extra["refresh_token"], extra["cloud_id"]) == (token, str(sandbox.cloud_ids[0]))

    connections = test_connection_form.Connections(page, world.server.url)
    assert connections.press_test("praha_centrum")[0], "3.3.2's Test needs the stored port"
    form = connections.edit("praha_centrum")
    expect(form.field("Port")).to_have_value(str(urlsplit(sandbox.url).port))
    form.open("Advanced")
    form.field("Max concurrency").fill("2")
    form.save()
    assert connections.press_test("praha_centrum")[0]
    stored = world.stored("praha_centrum")
    assert stored is not None
    assert (stored["extra"]["max_concurrency"], stored["extra"]["refresh_token"]) == (2, token)


def history_of(page: playwright.Page) -> list[str]:
    """Return the addresses that Back could reach, from the browser's own list."""
    session = page.context.new_cdp_session(page)
    return [entry["url"] for entry in session.send("Page.getNavigationHistory")["entries"]]


def test_back_from_dotypos_comes_to_a_button_that_works_and_does_not_bounce(ada: Visitor):
    ada.world.add("browser_back")
    page = ada.depart("browser_back")

    page.go_back()

    page.get_by_role("button", name=re.compile("^Connect$|^Continue to Dotypos$")).click()
    page.wait_for_url(ON_DOTYPOS)
    ada.allow()
    expect(page.get_by_role("status")).to_contain_text("browser_back works")


def test_who_refuses_access_is_told_that_nothing_was_changed_and_may_try_again(ada: Visitor):
    ada.world.add("browser_denied")
    page = ada.depart("browser_denied")
    page.get_by_role("button", name="Deny").click()

    page.wait_for_url(RESULT)
    expect(page.get_by_role("alert")).to_contain_text("Dotypos gave no access")
    page.get_by_role("link", name="Connect browser_denied again").click()
    expect(page.get_by_role("heading", name="Connect browser_denied")).to_be_visible()


def test_a_wrong_client_secret_is_told_by_dotypos_and_corrected_on_the_page(ada: Visitor):
    ada.world.add("browser_mistyped", password="mistyped")
    page = ada.depart("browser_mistyped")
    expect(page.locator("body")).to_contain_text("Unknown client application or wrong application secret")

    ada.open("connect?conn_id=browser_mistyped").get_by_text("change it, its secret").click()
    page.get_by_label("Client Secret").fill(ada.world.sandbox.client_secret)
    page.get_by_role("button", name="Connect", exact=True).click()
    page.wait_for_url(ON_DOTYPOS)
    ada.allow()
    expect(page.get_by_role("status")).to_contain_text("browser_mistyped works")


@pytest.mark.parametrize("minutes", [-2, 2])
def test_a_clock_that_is_wrong_by_two_minutes_is_told_by_dotypos(
    ada: Visitor, monkeypatch: pytest.MonkeyPatch, minutes: int
):
    conn_id = ada.world.add(f"browser_clock_{minutes + 2}")
    monkeypatch.setattr(ada.world.sandbox, "date_offset", 60.0 * minutes)
    expect(ada.depart(conn_id).locator("body")).to_contain_text("check the time settings")


def test_a_return_counts_once_and_in_time(ada: Visitor):
    ada.world.add("browser_return", cloud=ada.world.sandbox.cloud_ids[0])
    page = ada.depart("browser_return")
    addresses: list[str] = []

    def hold(route: playwright.Route) -> None:
        """Stop at Dotypos's answer, before the browser follows it."""
        addresses.append(route.fetch(max_redirects=0).headers["location"])
        route.fulfill(body="held")

    page.route("**/client/connect/decision", hold)
    page.get_by_role("radio").first.check()
    page.get_by_role("button", name="Allow").click()
    expect(page.locator("body")).to_have_text("held")
    (address,) = addresses
    state = parse_qs(urlsplit(address).query)["state"][0]

    page.goto(address.replace(quote(state, safe=""), quote(aged(ada.world.seals, "state", state, 17 * 60), safe="")))
    page.wait_for_url(RESULT)
    expect(page.get_by_role("alert")).to_contain_text("Dotypos's page has expired")
    page.goto(address)
    expect(page.get_by_role("status")).to_contain_text("browser_return works")
    page.goto(address)
    expect(page.get_by_role("alert")).to_contain_text("was used before")


@pytest.mark.parametrize("answer", ["Move", "Store as a new connection"])
def test_another_cloud_is_asked_about(ada: Visitor, answer: str):
    first, second = ada.world.sandbox.cloud_ids
    conn_id = ada.world.add(f"browser_{answer[:4].lower()}", cloud=first)
    page = ada.depart(conn_id)
    ada.allow(1)
    expect(page.get_by_role("status")).to_contain_text(f"works in cloud {first}")
    if answer == "Move":
        page.get_by_role("button", name=f"Move {conn_id}").click()
    else:
        page.get_by_label("ID of a new connection").fill("browser_second")
        page.get_by_role("button", name=answer).click()

    kept, changed = (conn_id, "browser_second") if answer != "Move" else (None, conn_id)
    expect(page.get_by_role("status")).to_contain_text(f"{changed} works")
    assert cloud_of(ada, changed) == str(second)
    if kept:
        assert cloud_of(ada, kept) == str(first)


def cloud_of(visitor: Visitor, conn_id: str) -> str:
    stored = visitor.world.stored(conn_id)
    assert stored is not None
    return str(stored["extra"]["cloud_id"])


def test_the_way_out_is_signed_anew_and_its_button_left_to_whoever_comes_back_to_it(ada: Visitor):
    ada.world.add("browser_reload")
    page = stay_on_the_way_out(ada, "browser_reload")
    button = page.get_by_role("button", name="Continue to Dotypos")

    def signed() -> dict[str, str]:
        return dict(page.locator("#signed input").evaluate_all("all => all.map(one => [one.name, one.value])"))

    first = signed()
    page.reload()
    while signed()["timestamp"] == first["timestamp"]:  # a second passes
        page.reload()
    second = signed()
    assert second["signature"] != first["signature"]
    assert second["state"] == first["state"], "the journey's time began once"

    button.click()
    page.wait_for_url(ON_DOTYPOS)
    page.go_back()
    expect(button).to_be_visible()
    assert len([asked for asked in ada.asked if ON_DOTYPOS.search(asked)]) == 1, "only the person has pressed it"

    button.click()
    page.wait_for_url(ON_DOTYPOS)
    ada.allow()
    expect(page.get_by_role("status")).to_contain_text("browser_reload works")


def stay_on_the_way_out(visitor: Visitor, conn_id: str) -> playwright.Page:
    """Go as far as the page with the signed form, and come to it once more: its script leaves at the first visit."""
    page = visitor.open(f"connect?conn_id={conn_id}")
    browser = visitor.context.new_cdp_session(page)
    browser.send("Emulation.setScriptExecutionDisabled", {"value": True})
    page.get_by_role("button", name="Connect").click()
    page.get_by_role("button", name="Continue to Dotypos").wait_for()
    browser.send("Emulation.setScriptExecutionDisabled", {"value": False})
    page.reload()
    return page


def test_two_tabs_may_be_on_their_way_at_once(ada: Visitor):
    for conn_id in ("browser_tab_one", "browser_tab_two"):
        ada.world.add(conn_id)
    first = ada.depart("browser_tab_one")
    ada.page = second = ada.context.new_page()
    ada.depart("browser_tab_two")

    ada.allow(page=first)
    ada.allow(cloud=1, page=second)

    expect(first.get_by_role("status")).to_contain_text("browser_tab_one works")
    expect(second.get_by_role("status")).to_contain_text("browser_tab_two works")


def test_who_is_not_signed_in_signs_in_and_comes_to_the_page(new_visitor: NewVisitor):
    visitor = new_visitor(None)
    visitor.open()
    sign_in(visitor, ADMIN)

    visitor.page.wait_for_url(visitor.home)
    expect(visitor.page.get_by_role("heading", name="Connect Dotypos")).to_be_visible()


def test_whose_session_ends_while_at_dotypos_is_told_after_signing_in(ada: Visitor):
    ada.world.add("browser_session")
    page = ada.depart("browser_session")
    ada.sign_out()
    page.get_by_role("radio").first.check()
    page.get_by_role("button", name="Allow").click()
    sign_in(ada, ADMIN)

    page.wait_for_url(RESULT)
    expect(page.get_by_role("alert")).to_contain_text("Your Airflow session had ended")
    assert not [place for place in history_of(page) if "token" in place.partition("?")[2]]


def sign_in(visitor: Visitor, user: str) -> None:
    page = visitor.page
    page.locator("input[name=username]").fill(user)
    page.locator("input[name=password]").fill(password_of(user))
    page.get_by_role("button", name="Sign in").click()


def test_who_may_not_edit_connections_is_refused(new_visitor: NewVisitor):
    visitor = new_visitor(VIEWER)
    page = visitor.open()

    expect(page.get_by_role("alert")).to_contain_text("You may not edit connections in this Airflow")
    expect(page.get_by_role("table")).to_have_count(0)


def test_no_frame_shows_the_page(ada: Visitor):
    """Not even Airflow's own: a page of the same origin is the one with the best chance."""
    page = ada.page
    page.goto(f"{ada.home}static/style.css")
    page.evaluate(
        """address => new Promise(resolve => {
            const frame = document.createElement("iframe");
            frame.onload = resolve;
            frame.src = address;
            document.documentElement.append(frame);
        })""",
        ada.home,
    )
    framed = page.frames[1]
    assert framed.url == "chrome-error://chromewebdata/"
    assert "Connect Dotypos" not in framed.content()


def test_a_connection_is_made_by_keyboard_alone(ada: Visitor):
    sandbox, page = ada.world.sandbox, ada.page
    ada.open()
    press_tab_to(page, "New connection")
    page.keyboard.press("Enter")
    expect(page.get_by_label("Connection ID")).to_be_focused()
    page.keyboard.press("Control+A")
    for text in ("by_keyboard", sandbox.client_id, sandbox.client_secret):
        page.keyboard.type(text)
        page.keyboard.press("Tab")
    assert focused(page) == "API base URL"
    page.keyboard.press("Enter")
    page.keyboard.press("Tab")
    page.keyboard.type(sandbox.url)
    press_tab_to(page, "Save and connect")
    page.keyboard.press("Enter")
    page.wait_for_url(ON_DOTYPOS)
    page.get_by_role("radio").first.focus()
    page.keyboard.press("Space")
    press_tab_to(page, "Allow")
    page.keyboard.press("Enter")
    page.wait_for_url(RESULT)
    expect(page.get_by_role("status")).to_contain_text("by_keyboard works")
    press_tab_to(page, "All connections")
    page.keyboard.press("Enter")
    page.wait_for_url(ada.home)
    press_tab_to(page, "Check by_keyboard")
    page.keyboard.press("Enter")
    expect(page.get_by_role("row", name="by_keyboard").get_by_role("status")).to_contain_text("working")


def press_tab_to(page: playwright.Page, name: str) -> None:
    """Press Tab until a control of this name has the focus, and see that it shows."""
    page.wait_for_load_state("load")
    page.bring_to_front()
    for _ in range(2000):
        page.keyboard.press("Tab")
        if focused(page) == name:
            outline = page.evaluate("getComputedStyle(document.activeElement).outlineStyle")
            assert outline != "none", "nobody sees where the focus is"
            return
    raise AssertionError(f"Tab doesn't come to {name}")


def focused(page: playwright.Page) -> str:
    name: str = page.evaluate(
        "(at => at.getAttribute('aria-label') || at.innerText || at.name || '')(document.activeElement)"
    )
    return name.strip()


def test_it_works_without_scripts(new_visitor: NewVisitor):
    visitor = new_visitor(java_script_enabled=False)
    visitor.world.add("without_scripts")
    page = visitor.open("connect?conn_id=without_scripts")
    page.get_by_role("button", name="Connect").click()
    expect(page.locator("meta[http-equiv=refresh]")).to_have_count(1)  # the signature is made anew in time
    page.get_by_role("button", name="Continue to Dotypos").click()
    page.wait_for_url(ON_DOTYPOS)
    visitor.allow()

    expect(page.get_by_role("status")).to_contain_text("without_scripts works")


def pages_of_a_journey(visitor: Visitor, conn_id: str) -> Iterator[str]:
    """Go through all kinds of pages, one after the other; yields each one's name."""
    world, page = visitor.world, visitor.page
    if world.stored(conn_id) is None:
        world.add(conn_id, cloud=world.sandbox.cloud_ids[0])
        world.add(f"{conn_id}_refused", cloud=world.sandbox.cloud_ids[0], token="0123456789abcdef" * 2)
        world.add(f"{conn_id}_never")
    visitor.open()
    for checked in (conn_id, f"{conn_id}_refused", f"{conn_id}_never"):
        page.get_by_role("button", name=f"Check {checked}", exact=True).click()
        page.get_by_role("row", name=checked).get_by_role("status").first.wait_for()
        yield f"list with {checked}"
    visitor.open("connect")
    page.evaluate("for (const part of document.querySelectorAll('details')) part.open = true")
    yield "new connection"
    page.locator("form").evaluate("form => { form.noValidate = true; form.submit(); }")
    page.get_by_role("alert").wait_for()
    yield "new connection refused"
    visitor.open(f"connect?conn_id={HELD_IN_FILE}")
    yield "departure"
    stay_on_the_way_out(visitor, conn_id)
    yield "going"
    visitor.depart(conn_id)
    visitor.allow(1)
    yield "another cloud"
    visitor.depart(HELD_IN_FILE)
    visitor.allow()
    yield "held elsewhere"
    visitor.depart(conn_id)
    visitor.allow()
    yield "connected"
    page.get_by_role("button", name="Show what it may read").click()
    page.get_by_role("heading", name=f"What {conn_id} may read").wait_for()
    yield "access"
    visitor.open().get_by_role("button", name=f"Webhooks of {conn_id}", exact=True).click()
    page.get_by_role("button", name="Register orders").click()
    page.get_by_role("row", name="orders").get_by_text("registered", exact=True).wait_for()
    yield "webhooks"
    visitor.open("callback")
    yield "failed"
    visitor.open("connect?conn_id=never_made")
    yield "no connection"


CONTRASTS = """() => {
    const channels = colour => colour.match(/[\\d.]+/g).map(Number);
    const over = (top, below) => top.slice(0, 3).map((one, i) => one * (top[3] ?? 1) + below[i] * (1 - (top[3] ?? 1)));
    const light = colour => colour.map(one => (one /= 255) <= .04045 ? one / 12.92 : ((one + .055) / 1.055) ** 2.4)
        .reduce((sum, one, i) => sum + one * [.2126, .7152, .0722][i], 0);
    const ground = at => {
        const own = at ? channels(getComputedStyle(at).backgroundColor) : [255, 255, 255, 1];
        return (own[3] ?? 1) === 1 ? own : over(own, ground(at.parentElement));
    };
    const poor = [];
    const texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
    while (texts.nextNode()) {
        const text = texts.currentNode, at = text.parentElement;
        if (!text.data.trim() || !at.checkVisibility({visibilityProperty: true})) continue;
        const below = ground(at);
        const lights = [light(over(channels(getComputedStyle(at).color), below)), light(below)];
        const contrast = (Math.max(...lights) + .05) / (Math.min(...lights) + .05);
        if (contrast < 4.5) poor.push(`${contrast.toFixed(2)} ${text.data.trim()}`);
    }
    return poor;
}"""


#: Every control that a person can use must have a name, and every page a language, a title and one heading on top.
NAMELESS = """() => [
    ...[...document.querySelectorAll("a, button, summary, input:not([type=hidden]), textarea, select")].filter(at =>
        !(at.getAttribute("aria-label") || (at.labels ? [...at.labels].map(one => one.textContent).join("") : "")
          || at.innerText || "").trim()).map(at => at.outerHTML),
    ...[...document.querySelectorAll("[aria-describedby]")].filter(at =>
        !document.getElementById(at.getAttribute("aria-describedby"))).map(at => at.outerHTML),
    ...[...document.querySelectorAll("[id]")].filter(at => document.querySelectorAll(`#${at.id}`).length > 1)
        .map(at => at.outerHTML),
    ...(document.documentElement.lang ? [] : ["no language"]),
    ...(document.title ? [] : ["no title"]),
    ...(document.querySelectorAll("h1").length === 1 ? [] : ["not one h1"]),
    ...(document.querySelectorAll("main").length === 1 ? [] : ["not one main"]),
]"""


LONG_NAME = "dotypos_production_restaurace_praha_stare_mesto_2026"


@pytest.mark.parametrize(("chosen", "system"), [("dark", "light"), ("light", "dark")])
def test_on_a_narrow_screen_everything_can_be_read_and_named_and_comes_from_here(
    new_visitor: NewVisitor, chosen: str, system: str
):
    """Through all kinds of pages, of connections with long names, in both of Airflow's themes."""
    visitor = new_visitor(viewport={"width": 400, "height": 800}, color_scheme=system)
    visitor.context.add_init_script(f"localStorage.setItem('theme', '{chosen}')")
    problems = []
    for name in pages_of_a_journey(visitor, LONG_NAME):
        if is_dark(visitor.page) != (chosen == "dark"):
            problems.append(f"{name}: not {chosen}")
        wide, high = visitor.page.evaluate("[document.documentElement.scrollWidth, innerWidth]")
        if wide > high:
            problems.append(f"{name}: {wide} wide")
        problems += [f"{name}: {nameless}" for nameless in visitor.page.evaluate(NAMELESS)]
        problems += [f"{name}: {poor}" for poor in visitor.page.evaluate(CONTRASTS)]
    assert problems == []
    ours = {urlsplit(visitor.home).netloc, urlsplit(visitor.world.sandbox.url).netloc}
    assert {urlsplit(address).netloc for address in visitor.asked} == ours
    assert [said for said in visitor.complaints if "status of 40" not in said] == []


@pytest.mark.parametrize("chosen", [None, "system"])
@pytest.mark.parametrize("system", ["dark", "light"])
def test_without_a_chosen_theme_it_has_the_systems(new_visitor: NewVisitor, chosen: str | None, system: str):
    visitor = new_visitor(color_scheme=system)
    if chosen:
        visitor.context.add_init_script(f"localStorage.setItem('theme', '{chosen}')")
    assert is_dark(visitor.open()) == (system == "dark")


def is_dark(page: playwright.Page) -> bool:
    red: int = page.evaluate("Number(getComputedStyle(document.body).backgroundColor.match(/\\d+/)[0])")
    return red < 128


def test_airflows_own_choice_of_a_theme_is_where_the_page_looks_for_it(ada: Visitor):
    page = ada.page
    page.goto(ada.world.server.url)
    page.get_by_role("button", name="User").click()
    page.get_by_role("menuitem", name=re.compile("Appearance|Dark")).click()
    dark = page.get_by_role("menuitemradio", name="Dark").or_(page.get_by_role("menuitem", name="Dark"))
    if page.evaluate("localStorage.getItem('theme')") != "dark":
        dark.first.click()
    page.wait_for_function("localStorage.getItem('theme') === 'dark'")

    ada.open()

    assert page.evaluate("document.documentElement.dataset.theme") == "dark"


def test_what_the_browser_tells_other_places_of_where_it_comes_from_holds_no_token(ada: Visitor):
    referers: list[str] = []
    ada.context.on("request", lambda request: referers.append(request.headers.get("referer", "")))
    ada.world.add("browser_referer")
    ada.depart("browser_referer")
    ada.allow()
    ada.page.get_by_role("link", name="All connections").click()
    expect(ada.page.get_by_role("table")).to_be_visible()

    assert referers
    assert not [referer for referer in referers if "token" in referer or "state" in referer]


def test_screenshots_for_the_documentation(ada: Visitor, page_world: PageWorld):
    """Only of the two connections that a reader should see; taken where nothing else is, or not at all."""
    if os.environ.get("DOTYPOS_UPDATE_SCREENSHOTS") != "1":
        pytest.skip("DOTYPOS_UPDATE_SCREENSHOTS is not 1")
    page = ada.page
    page_world.add("dotypos_praha", cloud=page_world.sandbox.cloud_ids[0])
    page_world.add("dotypos_brno")
    ada.open().get_by_role("button", name="Check dotypos_praha").click()
    page.get_by_role("row", name="dotypos_praha").get_by_role("status").wait_for()
    page.evaluate(
        """for (const row of document.querySelectorAll("tbody tr"))
               if (!/^dotypos_(praha|brno)$/.test(row.querySelector("code").innerText)) row.remove()"""
    )
    take_screenshot(page, "connect-page")
    ada.open("connect?conn_id=dotypos_brno")
    # The address that a reader would have, not the test's.
    page.evaluate(
        """for (const code of document.querySelectorAll("code"))
               code.innerText = code.innerText
                   .replace(/^http:.*?\\/dotypos/, "https://airflow.example.com/dotypos")
                   .replace(/^http:.*?\\/client/, "https://admin.dotykacka.cz/client")
                   .replace(/^http:\\/\\/127[.\\d:]+$/, "https://api.dotykacka.cz")"""
    )
    take_screenshot(page, "connect-departure")
    ada.depart("dotypos_brno")
    ada.allow(1)
    take_screenshot(page, "connect-result")
    ada.open().get_by_role("button", name="Webhooks of dotypos_praha").click()
    for entity in ("orders", "products"):
        page.get_by_role("button", name=f"Register {entity}").click()
        page.get_by_role("row", name=entity).get_by_text("registered", exact=True).wait_for()
    page.evaluate(
        """for (const code of document.querySelectorAll("td code"))
               code.innerHTML = code.innerHTML
                   .replace(/^http:.*(?=dotypos-webhooks)/, "https://airflow.example.com/<wbr>")"""
    )
    take_screenshot(page, "connect-webhooks")


def take_screenshot(page: playwright.Page, name: str) -> None:
    SCREENSHOTS.mkdir(parents=True, exist_ok=True)
    height = page.evaluate(
        "Math.ceil(document.querySelector('main').lastElementChild.getBoundingClientRect().bottom) + 24"
    )
    clip = {"x": 0, "y": 0, "width": 1200, "height": height}
    page.screenshot(path=SCREENSHOTS / f"{name}.png", clip=clip, full_page=True, animations="disabled")
