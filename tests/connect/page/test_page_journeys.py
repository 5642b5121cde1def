"""The page *Connect Dotypos*: journeys to Dotypos and back, and what is stored of them. Nobody's browser is needed.

Tests `page/web`, `page/departure`, `page/arrival`, `connect/routes`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from html import unescape
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
import requests

from airflow_provider_dotypos.api.entities import entities
from airflow_provider_dotypos.connect.page.seals import Seals
from airflow_provider_dotypos.hooks.dotypos import DotyposHook
from airflow_provider_dotypos.sandbox import Fault, Sandbox
from airflow_provider_dotypos.sandbox.errors import RefusedError
from tests.connect.conftest import (
    ADMIN,
    HELD_IN_ENVIRONMENT,
    HELD_IN_FILE,
    OPERATOR,
    SECRET_KEY,
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


@pytest.fixture
def sandbox(page_world: PageWorld) -> Sandbox:
    return page_world.sandbox


class TestAJourney:
    def test_ends_with_a_token_in_the_connection_whose_other_fields_stay(
        self, page_world: PageWorld, ada: Person, sandbox: Sandbox, clouds: tuple[int, int]
    ):
        page_world.add("stays", description="the bar", extra=json.dumps({"timeout": 25, "max_concurrency": 2}))

        result = ada.connect("stays", clouds[1])

        assert result.url.endswith("/team/airflow/dotypos/result")
        assert f"stays works in cloud {sandbox.shop.cloud(clouds[1])['name']} ({clouds[1]})" in shown_text(result)
        stored = page_world.stored("stays")
        assert stored is not None
        token = stored["extra"].pop("refresh_token")
        assert sandbox.tokens.refresh[token] == {clouds[1]}
        assert token != sandbox.refresh_token
        name = sandbox.shop.cloud(clouds[1])["name"]
        kept = {"timeout": 25, "max_concurrency": 2, "cloud_id": str(clouds[1]), "cloud_name": name}
        assert {name: value for name, value in stored["extra"].items() if value is not None} == kept
        assert (stored["description"], stored["login"]) == ("the bar", sandbox.client_id)
        assert stored["password"] == sandbox.client_secret

    def test_may_be_a_connection_typed_here(self, page_world: PageWorld, ada: Person, clouds: tuple[int, int]):
        typed = {"client_id": page_world.sandbox.client_id, "client_secret": page_world.sandbox.client_secret}
        going = ada.begin_new(conn_id=" typed_here ", host=page_world.sandbox.url + "/v2", **typed)

        result = ada.get(ada.decide(ada.consent(going), clouds[0]))

        assert "typed_here works" in shown_text(result)
        checks = (form for form in forms(ada.get("./")) if form.action.endswith("/check"))
        check = next(form for form in checks if form.fields.get("conn_id") == "typed_here")
        assert "working" in shown_text(ada.submit(check))

    def test_is_answered_by_any_worker_at_each_of_its_steps(
        self, page_world: PageWorld, ada: Person, clouds: tuple[int, int]
    ):
        page_world.add("two_workers")
        ada.get("./")
        ada.use(page_world.two_workers(ada))

        for _ in range(3):  # three requests a journey: the second one swaps the workers
            result = ada.connect("two_workers", clouds[0])
            assert "two_workers works" in shown_text(result)
            assert "two_workers works" in shown_text(ada.get("result"))

        checked = ada.post("check", form=ada.form_token(), conn_id="two_workers")
        assert "Connected to cloud" in shown_text(checked)

    def test_that_was_denied_changes_nothing(self, page_world: PageWorld, ada: Person, clouds: tuple[int, int]):
        page_world.add("denied", cloud=clouds[0])
        with nothing_is_written(page_world):
            result = ada.connect("denied", None)

        assert "Not connected" in shown_text(result)
        assert "it was refused on Dotypos's page" in shown_text(result)

    def test_is_told_as_refused_by_whatever_dotypos_sends_without_a_token(self, page_world: PageWorld, ada: Person):
        page_world.add("refused")
        address = ada.way_back("refused", None)

        result = ada.get(with_query(address, error="<script>alert(1)</script>", error_description="<b>pay us</b>"))

        assert "it was refused on Dotypos's page" in shown_text(result)
        assert "alert(1)" not in result.text
        assert "pay us" not in result.text

    @pytest.mark.parametrize("wrong", ["login", "password"])
    def test_with_a_wrong_application_ends_on_dotypos_page(self, page_world: PageWorld, ada: Person, wrong: str):
        page_world.add(f"wrong_{wrong}", **{wrong: "another's"})
        consent = ada.consent(ada.begin(f"wrong_{wrong}"))

        assert consent.status_code == 403
        assert "Unknown client application or wrong application secret" in consent.text

    @pytest.mark.parametrize("offset", [-2 * MINUTES, 2 * MINUTES])
    def test_by_a_wrong_clock_ends_on_dotypos_page_as_the_departure_said(
        self, page_world: PageWorld, ada: Person, monkeypatch: pytest.MonkeyPatch, offset: int
    ):
        page_world.add(f"clock_{offset}")
        monkeypatch.setattr(page_world.sandbox, "date_offset", offset)
        consent = ada.consent(ada.begin(f"clock_{offset}"))

        assert "The connection has expired" in consent.text
        departure = shown_text(ada.get("connect", conn_id=f"clock_{offset}"))
        assert "If Dotypos answers that the connection has expired, the clock of Airflow's server is wrong" in departure

    def test_whose_token_does_not_work_stores_nothing(
        self, page_world: PageWorld, ada: Person, clouds: tuple[int, int]
    ):
        page_world.add("meddled", cloud=clouds[0])
        address = ada.way_back("meddled", clouds[0])
        with nothing_is_written(page_world):
            result = ada.get(with_query(address, cloudid=str(clouds[1])))

        assert "nothing was stored. Refresh Token is good, but not for Cloud ID" in shown_text(result)

    @pytest.mark.parametrize(
        "meddled", [{"cloudid": "Bistro"}, {"cloudid": ""}, {"token": "two words"}, {"token": "tøken"}], ids=str
    )
    def test_that_brings_no_token_and_cloud_stores_nothing(
        self, page_world: PageWorld, ada: Person, clouds: tuple[int, int], meddled: dict[str, str]
    ):
        conn_id = page_world.add(f"brings_{'_'.join(*meddled.items()).encode().hex()}")
        address = ada.way_back(conn_id, clouds[0])
        with nothing_is_written(page_world):
            result = ada.get(with_query(address, **meddled))

        assert "is not a refresh token and a cloud's number" in shown_text(result)

    def test_while_dotypos_is_down_stores_nothing_and_says_so(
        self, page_world: PageWorld, ada: Person, sandbox: Sandbox, clouds: tuple[int, int]
    ):
        page_world.add("down", cloud=clouds[0])
        address = ada.way_back("down", clouds[0])
        sandbox.faults.append(Fault("reset", times=1000, path="/signin"))
        try:
            with nothing_is_written(page_world):
                result = ada.get(address)
        finally:
            sandbox.faults.clear()

        assert "nothing was stored. Dotypos can't be reached. " in shown_text(result)

    def test_for_a_connection_deleted_meanwhile_says_so_at_an_address_without_the_token(
        self, page_world: PageWorld, ada: Person, clouds: tuple[int, int]
    ):
        page_world.add("deleted")
        address = ada.way_back("deleted", clouds[0])
        page_world.delete("deleted")
        with nothing_is_written(page_world):
            result = ada.get(address)

        assert "There is no connection deleted in this Airflow" in shown_text(result)
        assert urlsplit(result.url).query == ""

    def test_for_a_connection_deleted_as_the_token_is_tried_makes_no_new_one(
        self, page_world: PageWorld, ada: Person, sandbox: Sandbox, clouds: tuple[int, int]
    ):
        page_world.add("deleted_late")
        address = ada.way_back("deleted_late", clouds[0])
        before = len(sandbox.requests)
        sandbox.latency = 0.5
        try:
            with ThreadPoolExecutor(1) as thread:
                coming_back = thread.submit(ada.get, address)
                while len(sandbox.requests) == before:  # signed in; the cloud is still to be read
                    assert not coming_back.done()
                page_world.delete("deleted_late")
                result = coming_back.result()
        finally:
            sandbox.latency = 0.0

        assert page_world.stored("deleted_late") is None, "without a host, a client id and a secret"
        assert "Not connected" in shown_text(result)

    @pytest.mark.parametrize("change", [{"login": None}, {"password": None}, {"host": "http://example.com"}], ids=str)
    def test_for_a_connection_changed_meanwhile_begins_anew(
        self, page_world: PageWorld, ada: Person, change: dict[str, str | None]
    ):
        conn_id = page_world.add(f"changed_{next(iter(change))}")
        going = ada.begin(conn_id)
        page_world.delete(conn_id)
        page_world.add(conn_id, **change)

        gone = ada.get(going.url)

        assert gone.status_code == 400
        assert "The connection was changed meanwhile" in shown_text(gone)

    def test_begun_twice_in_one_browser_ends_twice(self, page_world: PageWorld, ada: Person, clouds: tuple[int, int]):
        tabs = [ada.begin(page_world.add(f"tab_{cloud}")) for cloud in clouds]
        ways_back = [ada.decide(ada.consent(tab), cloud) for tab, cloud in zip(tabs, clouds, strict=True)]

        for way_back, cloud in reversed(list(zip(ways_back, clouds, strict=True))):
            assert f"tab_{cloud} works" in shown_text(ada.get(way_back))

        for cloud in clouds:
            stored = page_world.stored(f"tab_{cloud}")
            assert stored is not None
            assert stored["extra"]["cloud_id"] == str(cloud)

    def test_the_deprecated_way_is_taken_only_if_its_box_is_ticked(
        self, page_world: PageWorld, ada: Person, sandbox: Sandbox, clouds: tuple[int, int]
    ):
        page_world.add("legacy")
        departure = ada.get("connect", conn_id="legacy")
        assert "Its address holds the client secret" in shown_text(departure)

        untyped = ada.begin("legacy", legacy="1")
        assert untyped.status_code == 400
        assert "needs the Client Secret typed" in shown_text(untyped)
        assert sandbox.client_secret not in untyped.text

        usual, legacy = ada.begin("legacy"), ada.begin("legacy", legacy="1", client_secret=sandbox.client_secret)

        assert forms(usual)[0].action == f"{sandbox.url}/client/connect/v2"
        assert sandbox.client_secret not in usual.text
        assert forms(legacy)[0].action == f"{sandbox.url}/client/connect"
        assert "legacy works" in shown_text(ada.get(ada.decide(ada.consent(legacy), clouds[0])))


class TestAReturn:
    def test_counts_once(self, page_world: PageWorld, ada: Person, clouds: tuple[int, int]):
        page_world.add("once")
        address = ada.way_back("once", clouds[0])
        assert "once works" in shown_text(ada.get(address))

        with nothing_is_written(page_world):
            again = ada.get(address)

        assert "was used before" in shown_text(again)

    def test_counts_once_although_it_comes_to_two_workers_at_once(
        self, page_world: PageWorld, ada: Person, clouds: tuple[int, int]
    ):
        page_world.add("raced")
        workers = page_world.two_workers(ada)
        for _ in range(3):
            address = ada.way_back("raced", clouds[0])

            def come_back(worker: requests.Session, address: str = address) -> str:
                answer = worker.get(address, allow_redirects=False, timeout=PATIENCE)
                return str(answer.cookies.keys()[-1])

            with ThreadPoolExecutor(2) as threads:
                assert sorted(threads.map(come_back, workers)) == ["dotypos_connect_notice", "dotypos_connect_result"]
            assert "was used before" in shown_text(ada.get("result"))
            assert "raced works" in shown_text(ada.get("result"))

    def test_after_the_journey_was_denied_counts_for_nothing(
        self, page_world: PageWorld, ada: Person, clouds: tuple[int, int]
    ):
        page_world.add("denied_first")
        denied = ada.way_back("denied_first", None)
        ada.get(denied)
        with nothing_is_written(page_world):
            late = ada.get(with_query(denied, token=page_world.sandbox.refresh_token, cloudid=str(clouds[0])))

        assert "was used before" in shown_text(late)

    @pytest.mark.parametrize("stranger", ["another browser", "another user", "another user in the same browser"])
    def test_of_somebody_else_counts_for_nothing_and_spends_nothing(
        self, page_world: PageWorld, ada: Person, clouds: tuple[int, int], stranger: str
    ):
        conn_id = page_world.add(stranger.replace(" ", "_"))
        address = ada.way_back(conn_id, clouds[0])
        other = page_world.person(ADMIN if stranger == "another browser" else OPERATOR)
        if stranger == "another user in the same browser":
            other.browser.cookies.update(
                {name: ada.cookie(name) for name in ada.browser.cookies.keys() if name != "_token"}  # noqa: SIM118
            )

        with nothing_is_written(page_world):
            result = other.get(address)
        assert "doesn't belong to what you began here" in shown_text(result)

        assert f"{conn_id} works" in shown_text(ada.get(address))

    def test_that_the_database_refuses_leaves_a_value_and_a_clean_address(
        self, page_world: PageWorld, ada: Person, clouds: tuple[int, int]
    ):
        page_world.add("not_taken")
        address = ada.way_back("not_taken", clouds[0])
        refuse = "CREATE TRIGGER refuse BEFORE UPDATE ON connection BEGIN SELECT RAISE(ABORT, 'refused'); END"
        with closing(page_world.database()) as database:
            database.execute(refuse)
            try:
                result = ada.get(address)
            finally:
                database.execute("DROP TRIGGER refuse")

        assert result.url.endswith("/dotypos/result")
        assert "which refused it" in shown_text(result)
        assert json.loads(unescape(result.text.split("<textarea")[1].split(">")[1].split("<")[0]))["extra"]["cloud_id"]

    def test_to_a_connection_that_can_not_be_decrypted_keeps_no_token_in_the_address(
        self, page_world: PageWorld, ada: Person, clouds: tuple[int, int]
    ):
        page_world.add("undecryptable")
        address = ada.way_back("undecryptable", clouds[0])
        with closing(page_world.database()) as database, database:
            database.execute("UPDATE connection SET password = 'gAAAAAxx' WHERE conn_id = 'undecryptable'")
        result = ada.get(address)

        assert result.url.endswith("/dotypos/result")
        assert "can't be decrypted" in shown_text(result)
        assert ada.get("./").status_code == 200, "the others are listed all the same"
        with closing(page_world.database()) as database, database:  # Airflow itself can't delete it
            database.execute("DELETE FROM connection WHERE conn_id = 'undecryptable'")

    @pytest.mark.parametrize("spoil", ["truncated", "forged", "form", "result", "empty", "absent", "text", "not ascii"])
    def test_with_a_state_that_is_none_counts_for_nothing(
        self, page_world: PageWorld, ada: Person, clouds: tuple[int, int], spoil: str
    ):
        conn_id = page_world.add(f"spoilt_{spoil.replace(' ', '_')}")
        address = ada.way_back(conn_id, clouds[0])
        state = state_of(address)
        content = page_world.seals.open("state", state, life=MINUTES)
        spoilt = {
            "truncated": state[:-8],
            "forged": Seals(f"not {SECRET_KEY}").seal("state", content),
            "form": page_world.seals.seal("form", content),
            "result": page_world.seals.seal("result", content),
            "empty": "",
            "text": "gAAAAABstate",
            "not ascii": "stav ☂",
        }
        query = {"state": spoilt[spoil]} if spoil in spoilt else {"etats": "absent"}
        with nothing_is_written(page_world):
            result = ada.get(with_query(address.replace("state=", "etat="), **query))

        assert "doesn't belong to what you began here" in shown_text(result)
        assert f"{conn_id} works" in shown_text(ada.get(address)), "the journey itself should not be spent by that"

    def test_and_a_departure_too_late_are_told_so(self, page_world: PageWorld, ada: Person, clouds: tuple[int, int]):
        page_world.add("late", cloud=clouds[0])
        address = ada.way_back("late", clouds[0])
        late = aged(page_world.seals, "state", state_of(address), 16 * MINUTES + 2)
        in_time = aged(page_world.seals, "state", state_of(address), 16 * MINUTES - 30)

        with nothing_is_written(page_world):
            gone, back = ada.get("go", state=late), ada.get(with_query(address, state=late))
        assert gone.status_code == 400
        assert "Dotypos's page has expired" in shown_text(gone)
        assert "Dotypos's page has expired" in shown_text(back)

        assert ada.get("go", state=in_time).status_code == 200
        assert "late works" in shown_text(ada.get(with_query(address, state=in_time)))

    def test_to_a_session_that_has_ended_keeps_no_token_and_says_so_once_signed_in(
        self, page_world: PageWorld, ada: Person, clouds: tuple[int, int]
    ):
        page_world.add("ended")
        address = ada.way_back("ended", clouds[0])
        ada.sign_in(None)
        with nothing_is_written(page_world):
            answer = ada.get(address)

        places = [*(step.headers["Location"] for step in answer.history), answer.url]
        assert not any("token" in place for place in places)
        assert urlsplit(places[-1]).path == "/team/airflow/auth/login"
        assert parse_qs(urlsplit(places[-1]).query)["next"] == ["/team/airflow/dotypos/result"]
        ada.sign_in(page_world.session_token(ADMIN))
        assert "Your Airflow session had ended when you came back" in shown_text(ada.get("result"))


class TestAnotherCloud:
    def chosen(self, world: PageWorld, person: Person, conn_id: str) -> requests.Response:
        """Choose the second cloud for a connection of the first one; returns the question."""
        first, second = world.sandbox.cloud_ids
        world.add(conn_id, cloud=first)
        with nothing_is_written(world):
            asked = person.connect(conn_id, second)
        assert f"works in cloud {first}. Nothing was stored yet" in shown_text(asked)
        return asked

    def cloud_of(self, world: PageWorld, conn_id: str) -> str:
        stored = world.stored(conn_id)
        assert stored is not None
        token, cloud = stored["extra"]["refresh_token"], stored["extra"]["cloud_id"]
        assert int(cloud) in world.sandbox.tokens.refresh[token]
        return str(cloud)

    def test_may_become_another_connection(self, page_world: PageWorld, ada: Person, clouds: tuple[int, int]):
        keep_both = forms(self.chosen(page_world, ada, "both"))[0]

        result = ada.submit(keep_both, conn_id=" both_second ", choice="new")

        assert "both_second works" in shown_text(result)
        assert self.cloud_of(page_world, "both") == str(clouds[0])
        assert self.cloud_of(page_world, "both_second") == str(clouds[1])
        again = shown_text(ada.connect("both_second", clouds[1]))
        assert "both_second works" in again, "with its own client id and secret"

    def test_takes_what_else_the_connection_says_along(self, page_world: PageWorld, ada: Person):
        first, second = page_world.sandbox.cloud_ids
        extra = {"refresh_token": page_world.sandbox.refresh_token, "cloud_id": first, "requests_per_minute": 30}
        page_world.add("slow", extra=json.dumps(extra))

        ada.submit(forms(ada.connect("slow", second))[0], conn_id="slow_second", choice="new")

        stored = page_world.stored("slow_second")
        assert stored is not None
        assert stored["extra"].get("requests_per_minute") == 30

    def test_may_take_the_connection_over(self, page_world: PageWorld, ada: Person, clouds: tuple[int, int]):
        change = forms(self.chosen(page_world, ada, "over"))[1]

        result = ada.submit(change, choice="replace")

        assert "over works" in shown_text(result)
        assert self.cloud_of(page_world, "over") == str(clouds[1])

    @pytest.mark.parametrize(
        ("conn_id", "message"),
        [
            ("two words", "A connection id is"),
            ("", "A connection id is"),
            ("<b>x</b>", "A connection id is"),
            ("asked_again", "The connection asked_again already exists"),
            (HELD_IN_ENVIRONMENT, f"The connection {HELD_IN_ENVIRONMENT} already exists"),
        ],
    )
    def test_is_asked_for_again_after_a_bad_id(self, page_world: PageWorld, ada: Person, conn_id: str, message: str):
        if page_world.stored("asked_again"):
            page_world.delete("asked_again")
        keep_both = forms(self.chosen(page_world, ada, "asked_again"))[0]
        with nothing_is_written(page_world):
            asked = ada.submit(keep_both, conn_id=conn_id, choice="new")

        assert asked.status_code == 400
        assert message in shown_text(asked)
        answered = ada.submit(forms(asked)[1], choice="replace")
        assert "asked_again works" in shown_text(answered)

    @pytest.mark.parametrize("written", [float, " {} ".format, "0{}".format], ids=["number", "blanks", "zero"])
    def test_is_not_the_same_cloud_written_otherwise(
        self, page_world: PageWorld, ada: Person, clouds: tuple[int, int], written: Callable[[int], Any]
    ):
        conn_id = page_world.add(f"same_{len(str(written(1)))}_{type(written(1)).__name__}", cloud=written(clouds[0]))

        assert f"{conn_id} works" in shown_text(ada.connect(conn_id, clouds[0]))

    def test_answered_in_one_of_two_tabs_is_that_tabs(
        self, page_world: PageWorld, ada: Person, clouds: tuple[int, int]
    ):
        first_tab = self.chosen(page_world, ada, "tab_one")
        self.chosen(page_world, ada, "tab_two")

        ada.submit(forms(first_tab)[1], choice="replace")  # Let tab_one work in the new cloud

        assert self.cloud_of(page_world, "tab_two") == str(clouds[0]), "nobody said that this one may change"

    def test_cannot_be_answered_by_another_user_or_twice(
        self, page_world: PageWorld, ada: Person, clouds: tuple[int, int]
    ):
        asked = self.chosen(page_world, ada, "others")
        olga = page_world.person(OPERATOR)
        olga.browser.cookies.update(
            {name: ada.cookie(name) for name in ("dotypos_connect_browser", "dotypos_connect_result")}
        )
        with nothing_is_written(page_world):
            assert olga.get("result").url.endswith("/dotypos/")
            olga.submit(forms(asked)[1], choice="replace", form=olga.form_token())
        ada.submit(forms(asked)[1], choice="replace")
        with nothing_is_written(page_world):
            ada.submit(forms(asked)[1], choice="replace")

    def test_for_a_connection_deleted_meanwhile_is_told(self, page_world: PageWorld, ada: Person):
        asked = self.chosen(page_world, ada, "asked_and_deleted")
        page_world.delete("asked_and_deleted")
        for form, choice in zip(forms(asked), ("new", "replace"), strict=True):
            with nothing_is_written(page_world):
                answer = ada.submit(form, conn_id="from_deleted", choice=choice)
            assert answer.status_code == 404
            assert "There is no connection asked_and_deleted" in shown_text(answer)


class TestAConnectionHeldElsewhere:
    @pytest.mark.parametrize(
        ("conn_id", "place"),
        [
            (HELD_IN_ENVIRONMENT, f"the environment variable AIRFLOW_CONN_{HELD_IN_ENVIRONMENT.upper()}"),
            (HELD_IN_FILE, "the secrets backend LocalFilesystemBackend"),
        ],
    )
    def test_is_given_as_a_value_that_works(
        self,
        page_world: PageWorld,
        ada: Person,
        clouds: tuple[int, int],
        monkeypatch: pytest.MonkeyPatch,
        conn_id: str,
        place: str,
    ):
        departure = ada.get("connect", conn_id=conn_id)
        assert f"This connection is held in {place}" in shown_text(departure)
        with nothing_is_written(page_world):
            going = ada.begin(conn_id)
            result = ada.get(ada.decide(ada.consent(going), clouds[1]))

        assert f"{conn_id} is held in {place}" in shown_text(result)
        pages = departure, going, result
        assert not any(page_world.sandbox.client_secret in page.text for page in pages)
        value, first_dag = re.findall(r"<textarea[^>]*>(.*?)</textarea>", result.text, re.DOTALL)
        assert f'dotypos_conn_id="{conn_id}"' in unescape(first_dag)
        assert json.loads(unescape(value))["extra"]["timeout"] == 20, "what was there stays"
        monkeypatch.setenv("AIRFLOW_CONN_VALUE_OF_THE_PAGE", unescape(value))
        works, message = DotyposHook("value_of_the_page").test_connection()
        assert (works, str(clouds[1]) in message) == (True, True)

    def test_can_be_looked_at_by_its_visitor_alone(self, page_world: PageWorld, ada: Person, clouds: tuple[int, int]):
        ada.connect(HELD_IN_FILE, clouds[0])
        assert "refresh_token" in ada.get("result").text

        olga = page_world.person(OPERATOR)
        olga.browser.cookies.update(
            {name: ada.cookie(name) for name in ("dotypos_connect_browser", "dotypos_connect_result")}
        )
        assert "refresh_token" not in olga.get("result").text

    def test_takes_no_fields_typed_here(self, page_world: PageWorld, ada: Person):
        with nothing_is_written(page_world):
            going = ada.begin(
                HELD_IN_ENVIRONMENT, client_id="another", client_secret="another", host="https://evil.example"
            )

        (form,) = forms(going)
        assert form.action.startswith(page_world.sandbox.url)
        assert form.fields["client_id"] == page_world.sandbox.client_id

    def test_in_the_environment_is_listed(self, ada: Person):
        assert HELD_IN_ENVIRONMENT in shown_text(ada.get("./"))


class TestWhatIsTyped:
    def test_is_suggested_unless_another_connection_has_the_name(self, page_world: PageWorld, ada: Person):
        assert forms(ada.get("connect"))[0].fields["conn_id"] == "dotypos_default"
        page_world.add("dotypos_default", conn_type="postgres")
        try:
            page = ada.get("connect")
        finally:
            page_world.delete("dotypos_default")
        assert page.status_code == 200
        assert forms(page)[0].fields["conn_id"] == "dotypos_2"

    @pytest.mark.parametrize(
        ("typed", "message"),
        [
            ({"conn_id": ""}, "A connection id is"),
            ({"conn_id": "two words"}, "A connection id is"),
            ({"conn_id": "x" * 251}, "A connection id is"),
            ({"conn_id": "<script>alert(1)</script>"}, "A connection id is"),
            ({"conn_id": "line\nbreak"}, "A connection id is"),
            ({"conn_id": "taken"}, "The connection taken already exists"),
            ({"conn_id": "taken_postgres"}, "is of another type (postgres)"),
            ({"conn_id": HELD_IN_ENVIRONMENT}, f"The connection {HELD_IN_ENVIRONMENT} already exists"),
            ({"client_id": " "}, "Client ID is missing"),
            ({"client_id": "my id"}, "Client ID must be 1 to 128"),
            ({"client_id": "i" * 129}, "Client ID must be 1 to 128"),
            ({"client_id": "kavárna"}, "Client ID must be 1 to 128"),
            ({"client_secret": ""}, "Client Secret is missing"),
            ({"host": f"https://api.example.com/{'x' * 500}"}, "API base URL has at most 500 characters"),
            ({"host": "http://api.example.com"}, "API base URL must start with https://"),
            ({"host": "ftp://api.example.com"}, "API base URL must look like"),
            ({"host": "https://user:word@api.example.com"}, "must not hold a user name"),
            ({"host": "https://api.example.com:99999"}, "API base URL must look like"),
        ],
        ids=lambda given: "-".join(given)[:20] if isinstance(given, dict) else "",
    )
    def test_is_refused_with_the_reason_before_anything_is_written(
        self, page_world: PageWorld, ada: Person, typed: dict[str, str], message: str
    ):
        if page_world.stored("taken") is None:
            page_world.add("taken")
            page_world.add("taken_postgres", conn_type="postgres")
        good = {"conn_id": "typed_badly", "client_id": "my-id", "client_secret": "my secret", "host": ""}
        with nothing_is_written(page_world):
            answer = ada.begin_new(**good | typed)

        assert answer.status_code == 400
        assert message in shown_text(answer)
        assert "<script>alert" not in answer.text
        assert "my secret" not in answer.text
        kept = forms(answer)[0].fields
        assert {name: kept[name] for name in ("conn_id", "client_id", "host")} == {
            name: value.strip() for name, value in (good | typed).items() if name != "client_secret"
        }

    def test_is_an_id_that_airflows_own_form_could_edit_afterwards(self, page_world: PageWorld, ada: Person):
        given = {"client_id": "my-id", "client_secret": "my secret", "host": page_world.sandbox.url}
        for conn_id in ("with/slash", "with#hash", "x" * 250):
            ada.begin_new(conn_id=conn_id, **given)
            if page_world.stored(conn_id):
                page_world.delete(conn_id)  # by Airflow's API, as its list of connections does

    def test_twice_at_once_makes_one_connection_and_is_told_so(self, page_world: PageWorld, ada: Person):
        form = ada.form_token()
        workers = page_world.two_workers(ada)
        for attempt in range(5):
            fields = {"form": form, "new": "1", "conn_id": f"at_once_{attempt}", "client_id": "x", "client_secret": "y"}

            def press(worker: requests.Session, fields: dict[str, str] = fields) -> int:
                return worker.post(f"{ada.url}connect", fields, allow_redirects=False, timeout=PATIENCE).status_code

            with ThreadPoolExecutor(2) as threads:
                assert sorted(threads.map(press, workers)) == [303, 400]

    def test_is_required_only_where_it_is_missing(self, page_world: PageWorld, ada: Person, clouds: tuple[int, int]):
        page_world.add("half", password=None)
        (form,) = forms(ada.get("connect", conn_id="half"))
        assert form.fields["client_id"] == page_world.sandbox.client_id
        assert form.fields["client_secret"] == ""

        refused = ada.submit(form)
        assert refused.status_code == 400
        assert "Client Secret is missing" in shown_text(refused)

        going = ada.submit(form, client_secret=page_world.sandbox.client_secret)
        assert "half works" in shown_text(ada.get(ada.decide(ada.consent(going), clouds[0])))

    @pytest.mark.parametrize(
        ("conn_id", "status", "message"),
        [
            ("never_made", 404, "There is no connection never_made in this Airflow"),
            ("named_postgres", 400, "is of another type (postgres)"),
            ("", 400, "A connection id is"),
            ("<script>alert(1)</script>", 400, "A connection id is"),
            ("two words", 400, "A connection id is"),
        ],
    )
    def test_as_a_connections_name_is_refused_with_the_reason(
        self, page_world: PageWorld, ada: Person, conn_id: str, status: int, message: str
    ):
        if page_world.stored("named_postgres") is None:
            page_world.add("named_postgres", conn_type="postgres")
        form = ada.form_token()
        with nothing_is_written(page_world):
            answers = ada.get("connect", conn_id=conn_id), ada.post("connect", form=form, conn_id=conn_id)

        for answer in answers:
            assert answer.status_code == status
            assert message in shown_text(answer)
            assert "<script>alert" not in answer.text

    def test_may_be_the_name_of_any_connection_that_airflow_takes(
        self, page_world: PageWorld, ada: Person, clouds: tuple[int, int]
    ):
        page_world.add("kavárna")
        try:
            assert "kavárna works" in shown_text(ada.connect("kavárna", clouds[0]))
        finally:
            page_world.delete("kavárna")


class TestTheList:
    def test_tells_which_connections_work(self, page_world: PageWorld, ada: Person, clouds: tuple[int, int]):
        page_world.add("listed_good", cloud=clouds[0])
        page_world.add("listed_refused", cloud=clouds[0], token="0123456789abcdef" * 2)
        page_world.add("listed_never")
        page_world.add("listed_postgres", conn_type="postgres")

        checked = {
            conn_id: shown_text(ada.post("check", form=ada.form_token(), conn_id=conn_id))
            for conn_id in ("listed_good", "listed_refused", "listed_never")
        }

        assert "working Connected to cloud" in checked["listed_good"]
        assert "token refused" in checked["listed_refused"]
        assert "never connected Refresh Token is missing" in checked["listed_never"]
        for page in checked.values():
            assert "Admin > Connect Dotypos" not in page, "a cure that leads to the page itself"
        assert "Connect the cloud again (by the button on this page)" in checked["listed_refused"]
        assert "listed_postgres" not in checked["listed_good"]

    def test_names_a_cloud_as_soon_as_it_is_known(self, page_world: PageWorld, ada: Person, clouds: tuple[int, int]):
        page_world.add("names_cloud", cloud=clouds[1], login=None)
        name = page_world.sandbox.shop.cloud(clouds[1])["name"]
        row = f"names_cloudin Airflow's database {{}}{clouds[1]} not stored"
        assert row.format("") in shown_text(ada.get("./"))

        with nothing_is_written(page_world):
            checked = ada.post("check", form=ada.form_token(), conn_id="names_cloud")
        assert row.format(name) in shown_text(checked)

    def test_leads_to_what_a_connection_may_read(
        self,
        page_world: PageWorld,
        ada: Person,
        sandbox: Sandbox,
        clouds: tuple[int, int],
        refuse: Callable[[str, RefusedError], None],
    ):
        refuse("customers", RefusedError(403, "ACCESS_DENIED", "No permission for customers"))
        page_world.add("may_read", cloud=clouds[0])
        checked = ada.post("check", form=ada.form_token(), conn_id="may_read")
        (form,) = [form for form in forms(checked) if form.action.endswith("/access")]
        promised = int(re.findall(r"Takes about (\d+) requests", checked.text)[0])
        before = len(sandbox.requests)
        page = ada.submit(form)

        shown = shown_text(page)
        assert "What may_read may read" in shown
        listed = {name for name, entity in entities().items() if entity.listed}
        assert set(re.findall(r"<li><code>([\w-]+)</code>", page.text)) == listed
        assert re.search(r"Refused \(1\) customers: GET .* answered 403", shown)
        asked = sandbox.requests[before:]
        assert {request.method for request in asked if "signin" not in request.path} == {"GET"}
        assert promised - 2 <= len(asked) <= promised

    def test_says_why_what_a_connection_may_read_is_not_known(
        self, page_world: PageWorld, ada: Person, sandbox: Sandbox, clouds: tuple[int, int]
    ):
        page_world.add("may_not_read", cloud=clouds[0], token="0123456789abcdef" * 2)
        before = len(sandbox.requests)
        page = ada.post("access", form=ada.form_token(), conn_id="may_not_read")

        assert "Refresh Token was refused" in shown_text(page)
        assert len(sandbox.requests) - before == 2, "no list is asked for"
        assert "Connect may_not_read again" in shown_text(page)

    def test_hides_what_does_not_belong_on_it(self, page_world: PageWorld, ada: Person, clouds: tuple[int, int]):
        page_world.add("hides", cloud=clouds[0], login='<img src=x onerror="alert(1)">')
        page = ada.get("./")

        assert "<img" not in page.text
        assert not [secret for secret in page_world.secrets if secret in page.text]
