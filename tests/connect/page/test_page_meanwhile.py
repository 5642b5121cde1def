"""The page *Connect Dotypos* while others edit its connections, send people to it, or run servers of their own.

Tests `page/departure`, `page/arrival`.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import Any
from urllib.parse import quote, urlsplit

import pytest
import requests
from cryptography.fernet import Fernet

from airflow_provider_dotypos.connect.page.seals import ExpiredSealError
from tests.connect.answering import answering
from tests.connect.conftest import (
    ADMIN,
    HELD_IN_ENVIRONMENT,
    OPERATOR,
    PageWorld,
    Person,
    aged,
    forms,
    nothing_is_written,
    shown_text,
    state_of,
    with_query,
)
from tests.patience import PATIENCE

MINUTES = 60
FOREIGN = "https://proxy.example"
IN_THE_ERROR = "5ecbe77e is in the error"


@pytest.fixture
def elsewhere(page_world: PageWorld) -> str:
    """An address that leads to the sandbox as well, and yet is another one."""
    return page_world.sandbox.url.replace("127.0.0.1", "localhost")


def alter(world: PageWorld, conn_id: str, **fields: Any) -> None:
    """Change a connection's fields as somebody else would: not by the page."""
    fernet = Fernet(world.fernet_key)
    for name in {"password", "extra"} & fields.keys():
        text = fields[name] if name == "password" else json.dumps(fields[name])
        fields[name] = fernet.encrypt(text.encode()).decode()
    with closing(world.database()) as database, database:
        for name, value in fields.items():
            database.execute(f"UPDATE connection SET {name} = ? WHERE conn_id = ?", [value, conn_id])


def stored(world: PageWorld, conn_id: str) -> dict[str, Any]:
    kept = world.stored(conn_id)
    assert kept is not None
    return kept


def noted(world: PageWorld, event: str, conn_id: str) -> list[dict[str, Any]]:
    """Return what the audit log says of a connection."""
    url, params = f"{world.server.url}/api/v2/eventLogs", {"limit": "100", "order_by": "-id", "event": event}
    lines = world.server.session.get(url, params=params, timeout=PATIENCE).json()["event_logs"]
    extras = [json.loads(line["extra"]) for line in reversed(lines) if line["event"] == event]
    return [extra for extra in extras if extra["conn_id"] == conn_id]


class TestAWayOut:
    def test_never_shows_a_secret_that_was_not_typed(self, page_world: PageWorld, ada: Person):
        page_world.add("secret_of_another")
        going = ada.begin("secret_of_another", legacy="1", client_secret="typed-by-ada")
        assert forms(going)[0].fields["client_secret"] == "typed-by-ada"

        alter(page_world, "secret_of_another", password="typed-by-another")
        again = ada.get(going.url)

        assert again.status_code == 400
        assert "was changed meanwhile" in shown_text(again)
        assert "typed-by-another" not in again.text

    @pytest.mark.parametrize("legacy", ["", "1"])
    @pytest.mark.parametrize("change", [{"login": "other"}, {"password": "other"}, {"host": FOREIGN, "port": None}])
    def test_is_of_the_application_and_the_host_that_it_began_with(
        self, page_world: PageWorld, ada: Person, legacy: str, change: dict[str, str]
    ):
        conn_id = page_world.add(f"way_out_{next(iter(change))}_{legacy}")
        going = ada.begin(conn_id, legacy=legacy, client_secret=page_world.sandbox.client_secret)
        assert ada.get(going.url).status_code == 200, "as long as nothing has changed"

        alter(page_world, conn_id, **change)
        again = ada.get(going.url)

        assert again.status_code == 400
        assert "was changed meanwhile" in shown_text(again)
        assert page_world.sandbox.client_secret not in again.text

    def test_may_be_of_a_connection_whose_other_fields_have_changed(self, page_world: PageWorld, ada: Person):
        page_world.add("way_out_timeout")
        going = ada.begin("way_out_timeout")
        alter(page_world, "way_out_timeout", extra={"timeout": 9}, description="new")

        assert ada.get(going.url).status_code == 200

    def test_does_not_move_its_deadline(self, page_world: PageWorld, ada: Person):
        page_world.add("deadline")
        state = state_of(ada.begin("deadline").url)
        old = aged(page_world.seals, "state", state, 15 * MINUTES)

        given = forms(ada.get("go", state=old))[0].fields["state"]

        with pytest.raises(ExpiredSealError):
            page_world.seals.open("state", given, life=14 * MINUTES)


class TestAQuestion:
    def test_does_not_move_its_deadline(self, page_world: PageWorld, ada: Person, clouds: tuple[int, int]):
        page_world.add("old_question", cloud=clouds[0])
        ada.connect("old_question", clouds[1])
        old = aged(page_world.seals, "result", ada.cookie("dotypos_connect_result"), 14 * MINUTES)
        keep(ada, "dotypos_connect_result", old)

        asked = ada.get("result")
        again = ada.submit(forms(asked)[0], conn_id="two words", choice="new")

        for page in (asked, again):
            with pytest.raises(ExpiredSealError):
                page_world.seals.open("result", forms(page)[0].fields["question"], life=13 * MINUTES)

    def test_is_not_answered_once_the_connection_leads_elsewhere(
        self, page_world: PageWorld, ada: Person, clouds: tuple[int, int], elsewhere: str
    ):
        page_world.add("moved_question", cloud=clouds[0])
        asked = ada.connect("moved_question", clouds[1])
        alter(page_world, "moved_question", host=elsewhere, port=None)

        for form, choice in zip(forms(asked), ("new", "replace"), strict=True):
            with nothing_is_written(page_world):
                answer = ada.submit(form, conn_id="from_moved", choice=choice)
            assert answer.status_code == 400
            assert "API base URL was changed meanwhile" in shown_text(answer)

    def test_is_the_only_outcome_that_can_be_answered(
        self, page_world: PageWorld, ada: Person, clouds: tuple[int, int]
    ):
        page_world.add("no_question")
        for conn_id in ("no_question", HELD_IN_ENVIRONMENT):
            ada.connect(conn_id, clouds[0])
            question = ada.cookie("dotypos_connect_result")
            for choice in ("new", "replace"):
                with nothing_is_written(page_world):
                    answer = ada.post(
                        "result", form=ada.form_token(), question=question, choice=choice, conn_id="from_none"
                    )
                assert answer.status_code == 400


class TestAValueToStore:
    def test_shows_no_extra_of_another_kind(
        self, page_world: PageWorld, ada: Person, clouds: tuple[int, int], elsewhere: str
    ):
        page_world.add("with_extras")
        address = ada.way_back("with_extras", clouds[0])
        alter(page_world, "with_extras", extra={"timeout": 7, "private_thing": "5ecbe77e5ecbe77e"})
        with refusing(page_world, "UPDATE ON connection"):
            result = ada.get(address)

        assert "This page doesn't show the extras private_thing" in shown_text(result)
        assert "5ecbe77e" not in result.text
        assert "timeout" in result.text


class TestAHost:
    def test_at_which_a_token_will_be_tried_is_named_and_warned_of(self, page_world: PageWorld, ada: Person):
        page_world.add("named_here")
        page_world.add("named_foreign", host=FOREIGN, port=None)
        page_world.add("named_default", host=None, port=None)

        here, foreign, default, new = (
            shown_text(ada.get("connect", **query))
            for query in (*({"conn_id": f"named_{which}"} for which in ("here", "foreign", "default")), {})
        )

        assert f"signing in at {page_world.sandbox.url}the API base URL above." in here  # style.css hides one of them
        for page in (default, new):
            assert "signing in at https://api.dotykacka.czthe API base URL above." in page
        for page in (here, default, new):
            assert "not Dotypos's own server" not in page
        assert f"signing in at {FOREIGN}the API" in foreign
        assert f"The new refresh token will be sent to {FOREIGN}, which is not Dotypos's own server" in foreign
        assert f"not Dotypos's server: {FOREIGN}" in shown_text(ada.get("./"))

    def test_changed_on_the_page_makes_it_forget_the_token(
        self, page_world: PageWorld, ada: Person, clouds: tuple[int, int]
    ):
        extra = {"refresh_token": page_world.sandbox.refresh_token, "cloud_id": clouds[0], "timeout": 9}
        page_world.add("led_away", extra=json.dumps(extra))

        ada.begin("led_away", host=FOREIGN)

        extra = stored(page_world, "led_away")["extra"]
        assert (extra["refresh_token"], extra["cloud_id"], extra["timeout"]) == (None, clouds[0], 9)
        assert (stored(page_world, "led_away")["host"], stored(page_world, "led_away")["port"]) == (FOREIGN, 443)
        assert "never connected" in shown_text(ada.post("check", form=ada.form_token(), conn_id="led_away"))

    def test_typed_otherwise_is_the_same_host(self, page_world: PageWorld, ada: Person, clouds: tuple[int, int]):
        page_world.add("typed_otherwise", cloud=clouds[0])

        ada.begin("typed_otherwise", host=f"{page_world.sandbox.url}/v2/")

        assert stored(page_world, "typed_otherwise")["extra"]["refresh_token"] == page_world.sandbox.refresh_token

    def test_changed_while_somebody_is_at_dotypos_gets_no_token(
        self, page_world: PageWorld, ada: Person, clouds: tuple[int, int], elsewhere: str
    ):
        page_world.add("led_away_late")
        address = ada.way_back("led_away_late", clouds[0])
        alter(page_world, "led_away_late", host=elsewhere, port=None)
        before = len(page_world.sandbox.requests)
        with nothing_is_written(page_world):
            result = ada.get(address)

        assert "API base URL was changed meanwhile" in shown_text(result)
        assert len(page_world.sandbox.requests) == before, "the token went to a host that nobody was shown"

    def test_changed_after_the_page_was_shown_is_shown_again(self, page_world: PageWorld, ada: Person):
        page_world.add("led_away_early")
        (form,) = forms(ada.get("connect", conn_id="led_away_early"))
        alter(page_world, "led_away_early", host=FOREIGN, port=None)
        with nothing_is_written(page_world):
            answer = ada.submit(form)

        assert answer.status_code == 400
        assert f"Its API base URL is now {FOREIGN}" in shown_text(answer)
        assert "not Dotypos's own server" in shown_text(answer)
        assert ada.submit(forms(answer)[0]).ok


class TestAnEdit:
    def test_is_in_the_audit_log_field_by_field_without_secrets(
        self, page_world: PageWorld, ada: Person, clouds: tuple[int, int]
    ):
        world, sandbox = page_world, page_world.sandbox
        typed = {"client_id": sandbox.client_id, "client_secret": sandbox.client_secret, "host": sandbox.url}
        ada.get(ada.decide(ada.consent(ada.begin_new(conn_id="edited", **typed)), clouds[0]))
        ada.begin("edited", client_id="another", client_secret="another-secret", host="https://user.example")

        (made,) = noted(world, "dotypos_connect_made", "edited")
        assert made["fields"] == {
            "client_id": {"old": None, "new": sandbox.client_id},
            "client_secret": "set",
            "host": {"old": None, "new": sandbox.url},
            "port": {"old": None, "new": urlsplit(sandbox.url).port},
        }
        connected, changed = noted(world, "dotypos_connect_changed", "edited")
        assert connected["fields"] == {
            "cloud_id": {"old": None, "new": str(clouds[0])},
            "cloud_name": {"old": None, "new": sandbox.shop.cloud(clouds[0])["name"]},
            "refresh_token": "set",
        }
        assert changed["fields"] == {
            "client_id": {"old": sandbox.client_id, "new": "another"},
            "client_secret": "changed",
            "host": {"old": sandbox.url, "new": "https://user.example"},
            "port": {"old": urlsplit(sandbox.url).port, "new": 443},
            "refresh_token": "removed",
        }
        ada.begin("edited")
        assert len(noted(world, "dotypos_connect_changed", "edited")) == 2, "nothing was typed"

    def test_of_a_cloud_is_there_as_well(self, page_world: PageWorld, ada: Person, clouds: tuple[int, int]):
        page_world.add("edited_cloud", cloud=str(clouds[0]))
        asked = ada.connect("edited_cloud", clouds[1])
        ada.submit(forms(asked)[1], choice="replace")
        ada.submit(forms(ada.connect("edited_cloud", clouds[0]))[0], choice="new", conn_id="edited_cloud_too")

        (changed,) = noted(page_world, "dotypos_connect_changed", "edited_cloud")
        assert changed["fields"] == {
            "cloud_id": {"old": str(clouds[0]), "new": str(clouds[1])},
            "cloud_name": {"old": None, "new": page_world.sandbox.shop.cloud(clouds[1])["name"]},
            "refresh_token": "changed",
        }
        (made,) = noted(page_world, "dotypos_connect_made", "edited_cloud_too")
        assert (made["fields"]["client_secret"], made["fields"]["refresh_token"]) == ("set", "set")

    def test_that_the_log_does_not_take_is_not_made(self, page_world: PageWorld, ada: Person):
        page_world.add("unlogged", cloud=page_world.sandbox.cloud_ids[0])
        (form,) = forms(ada.get("connect", conn_id="unlogged"))
        with refusing(page_world, "INSERT ON log"), nothing_is_written(page_world):
            assert ada.submit(form, client_id="another").status_code == 500


@contextmanager
def refusing(world: PageWorld, what: str) -> Iterator[None]:
    """Let the database refuse something by an error that holds a secret."""
    with closing(world.database()) as database:
        database.execute(f"CREATE TRIGGER refuse BEFORE {what} BEGIN SELECT RAISE(ABORT, '{IN_THE_ERROR}'); END")
        try:
            yield
        finally:
            database.execute("DROP TRIGGER refuse")


class TestAFailure:
    def test_has_the_headers_of_every_answer_and_is_logged_without_secrets(self, page_world: PageWorld, ada: Person):
        page_world.add("failing")
        (form,) = forms(ada.get("connect", conn_id="failing"))
        begin = page_world.server.log.stat().st_size
        with refusing(page_world, "INSERT ON log"):
            answer = ada.submit(form)

        assert answer.status_code == 500
        assert "Airflow failed (IntegrityError)" in shown_text(answer)
        usual = ada.get("connect", conn_id="failing")
        for name in (
            "X-Frame-Options",
            "X-Content-Type-Options",
            "Cache-Control",
            "Referrer-Policy",
            "Content-Security-Policy",
        ):
            assert answer.headers.get(name) == usual.headers[name], name
        log = page_world.server.log.read_bytes()[begin:].decode()
        assert "POST /team/airflow/dotypos/connect failed by IntegrityError at " in log
        assert IN_THE_ERROR not in log + answer.text

    def test_of_one_connection_costs_no_other_one_its_verdict(
        self, page_world: PageWorld, ada: Person, clouds: tuple[int, int]
    ):
        page_world.add("checked_good", cloud=clouds[0])
        with answering(b"[" * 200_000) as deep, answering(b'{"accessToken": ' + b"9" * 5_000 + b"}") as long:
            page_world.add("checked_deep", cloud=1, host=deep, port=None)
            page_world.add("checked_long", cloud=1, host=long, port=None)
            for conn_id, extra in {
                "checked_list": [1, 2],
                "checked_text": "text",
                "checked_timeout": {"refresh_token": "x", "cloud_id": 1, "timeout": 1e308},
            }.items():
                page_world.add(conn_id)
                alter(page_world, conn_id, extra=extra)
            page_world.add("checked_undecryptable")
            with closing(page_world.database()) as database, database:
                database.execute("UPDATE connection SET password = 'gAAAAAxx' WHERE conn_id = 'checked_undecryptable'")
            try:
                answer = ada.post("check", form=ada.form_token())
            finally:
                with closing(page_world.database()) as database, database:
                    database.execute("DELETE FROM connection WHERE conn_id LIKE 'checked_%'")

        assert answer.status_code == 200
        lines = {row.split("</code>")[0]: row for row in answer.text.split('<th scope="row"><code>')[1:]}
        assert "Connected to cloud" in lines.pop("checked_good")
        bad = {conn_id: row for conn_id, row in lines.items() if conn_id.startswith("checked_")}
        assert len(bad) == 6
        for conn_id, row in bad.items():
            assert "not working" in row, conn_id
        assert "must be a JSON object" in bad["checked_list"]
        assert "can&#39;t be decrypted" in bad["checked_undecryptable"]

    @pytest.mark.parametrize("extra", [[1], "text", 7], ids=str)
    def test_of_an_extra_that_is_no_object_is_told_before_a_journey(
        self, page_world: PageWorld, ada: Person, extra: object
    ):
        conn_id = page_world.add(f"extra_{type(extra).__name__}")
        alter(page_world, conn_id, extra=extra)
        try:
            for answer in (
                ada.get("connect", conn_id=conn_id),
                ada.post("connect", form=ada.form_token(), conn_id=conn_id),
            ):
                assert answer.status_code == 400
                assert "must be a JSON object" in shown_text(answer)
        finally:
            page_world.delete(conn_id)


class TestAStranger:
    @pytest.mark.parametrize("how", ["foreign state", "no state", "no session", "own return, once more", "too late"])
    def test_at_the_callback_does_not_cost_a_pending_result(
        self, page_world: PageWorld, ada: Person, clouds: tuple[int, int], how: str
    ):
        conn_id = page_world.add(f"pending_{how.replace(' ', '_').replace(',', '')}", cloud=clouds[0])
        address = ada.way_back(conn_id, clouds[1])
        late = aged(page_world.seals, "state", state_of(address), 17 * MINUTES)
        ada.get(address)
        own = ada.cookie("dotypos_connect_browser")

        query = {"token": "fa4e70cefa4e70ce", "cloudid": "1", "state": "x"}
        if how == "no session":
            ada.sign_in(None)
        if how == "own return, once more":
            visited = ada.get(address)
        elif how == "too late":
            visited = ada.get(with_query(address, state=late))
        else:
            visited = ada.get("callback", **({} if how == "no state" else query))
        assert urlsplit(visited.url).query == "" or how == "no session"
        ada.sign_in(page_world.session_token(ADMIN))
        if how == "no session":
            visited = ada.get("result")

        assert "Not connected" in shown_text(visited)
        assert "Show how your own journey ended" in shown_text(visited)
        assert ada.cookie("dotypos_connect_browser") == own
        asked = ada.get("result")
        assert "Nothing was stored yet" in shown_text(asked), "a message is shown once"
        assert f"{conn_id} works" in shown_text(ada.submit(forms(asked)[1], choice="replace"))

    def test_is_not_offered_the_result_of_another_user(
        self, page_world: PageWorld, ada: Person, clouds: tuple[int, int]
    ):
        ada.connect(HELD_IN_ENVIRONMENT, clouds[0])
        olga = page_world.person(OPERATOR)
        olga.browser.cookies.update(
            {name: ada.cookie(name) for name in ("dotypos_connect_browser", "dotypos_connect_result")}
        )
        visited = olga.get("callback", token="x", state="x")

        assert "doesn't belong to what you began here" in shown_text(visited)
        assert "your own journey" not in shown_text(visited)
        assert "refresh_token" not in visited.text

    def test_makes_no_message_of_theirs(self, ada: Person):
        for notice in ("hello", quote("<script>alert(1706)</script>"), "x" * 3000):
            keep(ada, "dotypos_connect_notice", notice)
            answer = ada.get("result")
            assert answer.url.endswith("/dotypos/")
            assert "alert(1706)" not in answer.text


def keep(person: Person, name: str, value: str) -> None:
    jar: requests.cookies.RequestsCookieJar = person.browser.cookies
    paths = {cookie.path for cookie in jar if cookie.name.startswith("dotypos_connect")} or {"/team/airflow/dotypos"}
    jar.set(name, value, domain="127.0.0.1", path=paths.pop())
