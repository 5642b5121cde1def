"""The page *Connect Dotypos* against those who shouldn't use it, and against what shouldn't be seen of it.

Tests `page/visitor`, `connect/pages`, `connections/audit`.
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from urllib.parse import urlsplit

import jwt
import pytest
import requests

from airflow_provider_dotypos.connect.page.seals import Seals
from tests.connect.conftest import (
    ADMIN,
    HELD_IN_FILE,
    JWT_SECRET,
    OPERATOR,
    PREFIX,
    VIEWER,
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

BROWSER, RESULT = "dotypos_connect_browser", "dotypos_connect_result"
NOT_ALLOWED = "You may not edit connections in this Airflow"
HOURS = 3600
#: How the access tokens of the sandbox begin: with two parts of JSON, in base64.
ACCESS_TOKEN = r"eyJ[\w-]+\.eyJ"


@pytest.fixture
def viktor(page_world: PageWorld) -> Person:
    """A viewer, whose seals could all be good: as if the permission had been taken away a moment ago."""
    viktor = page_world.person(VIEWER)
    viktor.browser.cookies.set(BROWSER, "viktor's browser", domain="127.0.0.1", path=f"{PREFIX}/dotypos")
    return viktor


class TestWhoMayNotEditConnections:
    def test_is_refused_and_sees_no_names(self, page_world: PageWorld, viktor: Person):
        page_world.add("not_for_viewers")
        state = page_world.seals.seal("state", sealed(page_world, viktor, conn_id="not_for_viewers"))
        for page in (
            "./",
            "connect",
            "connect?conn_id=not_for_viewers",
            "connect?conn_id=nor_this",
            f"go?state={state}",
        ):
            answer = viktor.get(page)
            assert answer.status_code == 403, page
            assert NOT_ALLOWED in shown_text(answer)
            assert "not_for_viewers" not in answer.text

    @pytest.mark.parametrize("conn_id", ["refused_form", "refused_postgres", "refused_new"])
    @pytest.mark.parametrize("new", ["", "1"])
    def test_is_refused_with_a_form_of_any_connection(
        self, page_world: PageWorld, viktor: Person, conn_id: str, new: str
    ):
        if page_world.stored("refused_form") is None:
            page_world.add("refused_form")
            page_world.add("refused_postgres", conn_type="postgres")
        form = page_world.seals.seal("form", sealed(page_world, viktor))
        typed = {"client_id": "x", "client_secret": "y", "host": page_world.sandbox.url}
        with nothing_is_written(page_world):
            connecting = viktor.post("connect", form=form, conn_id=conn_id, new=new, **typed)
            checking = viktor.post("check", form=form, conn_id=conn_id)

        for answer in (connecting, checking):
            assert answer.status_code == 403
            assert NOT_ALLOWED in shown_text(answer)
            assert "refused_" not in answer.text

    def test_cannot_end_a_journey_either_and_the_token_leaves_the_address(
        self, page_world: PageWorld, ada: Person, viktor: Person, clouds: tuple[int, int]
    ):
        page_world.add("viewers_journey")
        address = ada.way_back("viewers_journey", clouds[0])
        content = page_world.seals.open("state", state_of(address), life=60)
        state = page_world.seals.seal("state", content | {"visitor": page_world.mark(viktor, VIEWER)})
        with nothing_is_written(page_world):
            answer = viktor.get(with_query(address, state=state))

        assert urlsplit(answer.url).query == ""
        assert NOT_ALLOWED in shown_text(answer)

    def test_cannot_answer_a_question_or_see_a_value(
        self, page_world: PageWorld, viktor: Person, clouds: tuple[int, int]
    ):
        page_world.add("viewers_question", cloud=clouds[0])
        grant = {"refresh_token": page_world.sandbox.refresh_token, "cloud_id": str(clouds[1])}
        for kind in ({"kind": "other cloud", "own_cloud": "1"}, {"kind": "held elsewhere", "held_in": "x"}):
            outcome = sealed(page_world, viktor, conn_id="viewers_question", cloud="Bistro", grant=grant, **kind)
            put(viktor, RESULT, page_world.seals.seal("result", outcome))
            question = page_world.seals.seal("result", outcome)
            form = page_world.seals.seal("form", sealed(page_world, viktor))
            with nothing_is_written(page_world):
                answers = [
                    viktor.post("result", form=form, choice=choice, conn_id="x", question=question)
                    for choice in ("replace", "new")
                ]
            assert {answer.status_code for answer in answers} == {403 if kind["kind"] == "other cloud" else 400}
            assert grant["refresh_token"] not in viktor.get("result").text

    def test_is_not_who_operates(self, page_world: PageWorld, clouds: tuple[int, int]):
        page_world.add("operators")
        olga = page_world.person(OPERATOR)

        assert "operators works" in shown_text(olga.connect("operators", clouds[0]))


class TestWhoIsNotSignedIn:
    @pytest.mark.parametrize("session", ["none", "ended", "of another key", "nonsense"])
    @pytest.mark.parametrize("page", ["./", "connect", "connect?conn_id=x", "result", "go?state=x"])
    def test_is_sent_to_sign_in_and_back_to_the_page(self, page_world: PageWorld, session: str, page: str):
        answer = page_world.person(None)
        answer.sign_in(sessions(page_world)[session])
        arrived = answer.get(page)

        assert urlsplit(arrived.url).path == f"{PREFIX}/auth/login"
        assert arrived.url.startswith(page_world.server.url)
        back = "result" if page == "result" else ""
        assert arrived.history[0].headers["Location"].endswith(f"?next=%2Fteam%2Fairflow%2Fdotypos%2F{back}")

    @pytest.mark.parametrize("page", ["check", "connect", "result"])
    def test_posts_nothing(self, page_world: PageWorld, page: str):
        with nothing_is_written(page_world):
            answer = page_world.person(None).post(page, conn_id="nobodys", new="1", client_id="x", client_secret="y")
        assert urlsplit(answer.url).path == f"{PREFIX}/auth/login"

    @pytest.mark.parametrize("session", ["none", "ended", "of another key", "nonsense"])
    def test_comes_back_with_a_token_that_is_neither_kept_nor_logged(
        self, page_world: PageWorld, ada: Person, clouds: tuple[int, int], session: str
    ):
        conn_id = page_world.add(f"session_{session.replace(' ', '_')}")
        address = ada.way_back(conn_id, clouds[0])
        ada.sign_in(sessions(page_world)[session])
        with nothing_is_written(page_world), nothing_secret_is_logged(page_world, ada):
            answer = ada.get(address)

        assert answer.history, "the address with the token must not stay in the address bar"
        assert not any("token=" in step.headers["Location"] for step in answer.history)


class TestAForm:
    @pytest.fixture
    def attacks(self, page_world: PageWorld, ada: Person) -> Callable[[str], str]:
        """Tokens that an attacker, or an old page, could send in place of the form's own."""
        ada.get("./")

        def token(kind: str) -> str:
            own = sealed(page_world, ada, ADMIN)
            return {
                "none": "",
                "of another user": page_world.person(OPERATOR).form_token(),
                "of another browser": page_world.person(ADMIN).form_token(),
                "of another purpose": page_world.seals.seal("state", own),
                "of another key": Seals("another key").seal("form", own),
                "cut off": page_world.seals.seal("form", own)[:-4],
                "not ascii": "☂",
                "of yesterday": aged(page_world.seals, "form", page_world.seals.seal("form", own), 12 * HOURS + 2),
            }[kind]

        return token

    @pytest.mark.parametrize(
        "kind",
        [
            "none",
            "of another user",
            "of another browser",
            "of another purpose",
            "of another key",
            "cut off",
            "not ascii",
            "of yesterday",
        ],
    )
    def test_of_somebody_else_is_refused(
        self,
        page_world: PageWorld,
        ada: Person,
        sandbox_requests: Callable[[], int],
        attacks: Callable[[str], str],
        kind: str,
    ):
        if page_world.stored("attacked") is None:
            page_world.add("attacked", cloud=page_world.sandbox.cloud_ids[0])
        grant = {"refresh_token": "attackers", "cloud_id": "1"}
        question = {"kind": "other cloud", "own_cloud": "1", "cloud": "x", "grant": grant}
        put(
            ada, RESULT, page_world.seals.seal("result", sealed(page_world, ada, ADMIN, conn_id="attacked", **question))
        )
        form = attacks(kind)
        typed = {"client_id": "attackers", "client_secret": "attackers", "host": "https://attackers.example"}
        with nothing_is_written(page_world):
            answers = [
                ada.post("connect", form=form, conn_id="attacked", **typed),
                ada.post("connect", form=form, conn_id="attacked_new", new="1", **typed),
                ada.post("check", form=form),
                ada.post("access", form=form, conn_id="attacked"),
                ada.post("result", form=form, choice="replace"),
                ada.post("result", form=form, choice="new", conn_id="attacked_new"),
            ]
        assert [answer.status_code for answer in answers] == [403] * 6
        assert not any("attackers" in answer.text for answer in answers)
        assert sandbox_requests() == 0

    @pytest.fixture
    def sandbox_requests(self, page_world: PageWorld) -> Callable[[], int]:
        before = len(page_world.sandbox.requests)
        return lambda: len(page_world.sandbox.requests) - before

    def test_sends_the_token_to_this_airflow_only(self, page_world: PageWorld, ada: Person):
        """No browser sends a good form with a foreign Origin; whatever does must not choose where tokens go."""
        page_world.add("origins")
        (form,) = forms(ada.get("connect", conn_id="origins"))
        for origin in (
            "https://evil.example",
            "http://127.0.0.1.evil.example",
            "null",
            "file://",
            "http://127.0.0.1:1",
        ):
            going = ada.submit(form, headers={"Origin": origin, "Sec-Fetch-Site": "cross-site"})
            if going.ok:
                assert forms(going)[0].fields["redirect_uri"] == f"{page_world.server.url}/dotypos/callback", origin
            else:
                assert going.status_code == 403

    def test_may_be_sent_through_a_proxy_that_people_reach_by_another_name(self, page_world: PageWorld, ada: Person):
        """TLS ends there, and the name is kept in Host; [api] base_url was not told."""
        page_world.add("proxied")
        (form,) = forms(ada.get("connect", conn_id="proxied"))
        headers = {"Origin": "https://airflow.example", "Host": "airflow.example", "Sec-Fetch-Site": "same-origin"}
        answer = as_is(ada, "POST", "connect", headers, form.fields)

        going = ada.get(answer.headers["Location"])

        assert forms(going)[0].fields["redirect_uri"] == f"https://airflow.example{PREFIX}/dotypos/callback"

    @pytest.mark.parametrize("name", ["Host", "X-Forwarded-Host", "X-Forwarded-Proto", "Forwarded", "Referer"])
    def test_and_its_page_are_not_misled_by_headers(self, page_world: PageWorld, ada: Person, name: str):
        conn_id = page_world.add(f"misled_by_{name}".replace("-", "_"))
        evil = {name: "evil.example"}
        (form,) = forms(ada.get("connect", conn_id=conn_id))
        page = as_is(ada, "GET", f"connect?conn_id={conn_id}", evil)
        assert "evil.example" not in page.text
        assert f"{page_world.server.url}/dotypos/callback" in shown_text(page)

        answer = as_is(ada, "POST", "connect", evil, form.fields)

        assert re.fullmatch(r"go\?state=[\w%-]+", answer.headers["Location"])
        going = ada.get(answer.headers["Location"])
        assert forms(going)[0].fields["redirect_uri"] == f"{page_world.server.url}/dotypos/callback"

    @pytest.mark.parametrize("name", ["next", "back", "redirect_uri", "return_to", "url"])
    def test_leads_nowhere_else_whatever_is_asked_for(self, page_world: PageWorld, ada: Person, name: str):
        conn_id = page_world.add(f"asked_{name}")
        form = ada.form_token()
        going = ada.post(f"connect?{name}=//evil.example", form=form, conn_id=conn_id, **{name: "//evil.example"})
        result = ada.get(ada.decide(ada.consent(going), None))
        signed_out = page_world.person(None).get(f"./?{name}=//evil.example")

        for page in (going, result, signed_out):
            assert "evil.example" not in page.text
            for step in (*page.history, page):
                assert "evil.example" not in step.headers.get("Location", "")


@pytest.fixture(scope="module")
def answers(page_world: PageWorld) -> dict[str, requests.Response]:
    """One of each kind, with no redirect followed."""
    cloud, ada, viktor = page_world.sandbox.cloud_ids[0], page_world.person(ADMIN), page_world.person(VIEWER)
    for conn_id in ("answers", "answers_denied"):
        page_world.add(conn_id)
    address, denied = ada.way_back("answers", cloud), ada.way_back("answers_denied", None)
    form, nobody = ada.form_token(), page_world.person(None)

    def get(person: Person, page: str) -> requests.Response:
        return person.browser.get(f"{person.url}{page}", allow_redirects=False, timeout=PATIENCE)

    def post(person: Person, page: str, **fields: str) -> requests.Response:
        return person.browser.post(f"{person.url}{page}", data=fields, allow_redirects=False, timeout=PATIENCE)

    begun = post(ada, "connect", form=form, conn_id="answers")
    return {
        "list": get(ada, ""),
        "checked": post(ada, "check", form=form, conn_id="answers"),
        "access": post(ada, "access", form=form, conn_id="answers"),
        "departure": get(ada, "connect?conn_id=answers"),
        "new": get(ada, "connect"),
        "begun": begun,
        "bad form": post(ada, "connect", form=form, conn_id="", new="1"),
        "go": get(ada, begun.headers["Location"]),
        "go expired": get(ada, "go?state=x"),
        "callback": get(ada, address.removeprefix(ada.url)),
        "result": get(ada, "result"),
        "callback again": get(ada, address.removeprefix(ada.url)),
        "denied": get(ada, denied.removeprefix(ada.url)),
        "forged form": post(ada, "connect", form="x"),
        "nothing to decide": post(ada, "result", form=form),
        "no result": get(page_world.person(OPERATOR), "result"),
        "no connection": get(ada, "connect?conn_id=never_made"),
        "not allowed": get(viktor, ""),
        "not signed in": get(nobody, ""),
        "not signed in at the callback": get(nobody, "callback?token=x"),
        "not found": get(ada, "nothing/here"),
        "method": get(ada, "check"),
        "head": ada.browser.head(f"{ada.url}callback?token=x", timeout=PATIENCE),
        "slashes": get(ada, "result/"),
        "no text": ada.browser.post(f"{ada.url}check", files={"form": ("x", b"x")}, timeout=PATIENCE),
        "style": get(ada, "static/style.css"),
        "script": get(nobody, "static/go.js"),
        "no file": get(ada, "static/nothing.js"),
        "no way out": get(ada, "static/..%2f..%2f__init__.py"),
    }


class TestAnswers:
    def test_are_kept_to_themselves(self, answers: dict[str, requests.Response]):
        required = {
            "X-Frame-Options": "DENY",
            "X-Content-Type-Options": "nosniff",
            "Cache-Control": "no-store",
        }
        problems = []
        for name, answer in answers.items():
            problems += [f"{name}: {key}" for key, value in required.items() if answer.headers.get(key) != value]
            policy = answer.headers.get("Content-Security-Policy", "")
            directives = dict(part.strip().partition(" ")[::2] for part in policy.split(";"))
            needed = {
                "default-src": "'none'",
                "frame-ancestors": "'none'",
                "base-uri": "'none'",
                "script-src": "'self'",
            }
            problems += [f"{name}: {key}" for key, value in needed.items() if directives.get(key) != value]
            if (directives.get("form-action") != "'self'") != (name == "go"):
                problems.append(f"{name}: form-action")
            if answer.headers.get("Referrer-Policy") != ("strict-origin" if name == "go" else "same-origin"):
                problems.append(f"{name}: referrer policy")
        assert problems == []

    def test_say_what_they_are(self, answers: dict[str, requests.Response]):
        statuses = {name: answer.status_code for name, answer in answers.items()}
        assert statuses.pop("no text") in (400, 422)
        assert statuses == {
            "list": 200,
            "checked": 200,
            "access": 200,
            "departure": 200,
            "new": 200,
            "begun": 303,
            "bad form": 400,
            "go": 200,
            "go expired": 400,
            "callback": 303,
            "result": 200,
            "callback again": 303,
            "denied": 303,
            "forged form": 403,
            "nothing to decide": 400,
            "no result": 303,
            "no connection": 404,
            "not allowed": 403,
            "not signed in": 303,
            "not signed in at the callback": 303,
            "not found": 404,
            "method": 405,
            "head": 405,
            "slashes": 404,
            "style": 200,
            "script": 200,
            "no file": 404,
            "no way out": 404,
        }
        types = {name: answer.headers.get("Content-Type") for name, answer in answers.items() if not answer.is_redirect}
        assert types.pop("style") == "text/css; charset=utf-8"
        assert types.pop("script") == "text/javascript; charset=utf-8"
        assert set(types.values()) == {"text/html; charset=utf-8"}

    def test_set_cookies_that_scripts_and_other_sites_do_not_get(
        self, page_world: PageWorld, answers: dict[str, requests.Response]
    ):
        cookies = {
            name: answer.headers["Set-Cookie"] for name, answer in answers.items() if "Set-Cookie" in answer.headers
        }
        assert {"list", "departure", "go", "callback", "result", "denied"} <= cookies.keys()
        for cookie in cookies.values():
            parts = {part.strip().lower() for part in cookie.split(";")[1:]}
            assert {"httponly", "samesite=lax", f"path={PREFIX}/dotypos"} <= parts
            assert "secure" not in parts, "this Airflow is reached by http"
            assert not any(part.startswith("domain") for part in parts)
            assert len(cookie.partition(";")[0]) < 4096
            assert not [secret for secret in page_world.secrets if secret in cookie]
        assert "Max-Age=900" in cookies["callback"]
        assert "Max-Age" not in cookies["list"]

    def test_set_cookies_for_tls_alone_where_there_is_tls(self, page_world: PageWorld, ada: Person):
        headers = {"Origin": "https://airflow.example", "Host": "airflow.example"}
        answer = as_is(ada, "POST", "check", headers, {"form": ada.form_token(), "conn_id": "none"})
        assert answer.status_code == 200
        assert "Secure" in answer.headers["Set-Cookie"]

    def test_hold_no_token_and_no_client_secret(self, page_world: PageWorld, answers: dict[str, requests.Response]):
        for name, answer in answers.items():
            seen = f"{answer.headers} {answer.text}"
            assert not [secret for secret in page_world.secrets if secret in seen], name
            # The whole beginning of a token: a seal, which is random text, has three given letters now and then.
            assert not re.search(ACCESS_TOKEN, seen), name


class TestWhatOthersWrote:
    def test_as_a_clouds_name_stays_text(
        self, page_world: PageWorld, ada: Person, clouds: tuple[int, int], renamed: Callable[[int, str], None]
    ):
        html = "<img src=x onerror='alert(1)'>\"&"
        page_world.add("named", cloud=clouds[0])
        renamed(clouds[1], html)

        asked = ada.connect("named", clouds[1])
        result = ada.submit(forms(asked)[1], choice="replace")
        checked = ada.post("check", form=ada.form_token(), conn_id="named")

        for page in (asked, result, checked):
            assert "<img" not in page.text
            assert "&lt;img" in page.text

    @pytest.fixture
    def renamed(self, page_world: PageWorld) -> Iterator[Callable[[int, str], None]]:
        shop = page_world.sandbox.shop
        names = {cloud: shop.cloud(cloud)["name"] for cloud in page_world.sandbox.cloud_ids}

        def rename(cloud: int, name: str) -> None:
            shop.update(0, "clouds", cloud, {"name": name})

        yield rename
        for cloud, name in names.items():
            rename(cloud, name)


class TestWhatIsRecorded:
    def test_is_in_the_audit_log_without_secrets(self, page_world: PageWorld, ada: Person, clouds: tuple[int, int]):
        page_world.add("audited")
        ada.connect("audited", clouds[0])

        url = f"{page_world.server.url}/api/v2/eventLogs"
        answer = page_world.server.session.get(url, params={"limit": 50, "order_by": "-id"}, timeout=PATIENCE)
        lines = [line for line in answer.json()["event_logs"] if "audited" in (line["extra"] or "")]

        events = {line["event"]: line for line in lines if line["event"].startswith("dotypos")}
        kinds = {f"dotypos_connect_{what}" for what in ("gone", "back", "changed", "stored")}
        assert events.keys() == kinds | {"dotypos_connect_ticket_home"}
        assert events["dotypos_connect_gone"]["when"] < events["dotypos_connect_back"]["when"]
        assert {line["owner"] for line in events.values()} == {ADMIN}
        assert json.loads(events["dotypos_connect_stored"]["extra"]) == {"conn_id": "audited", "cloud_id": clouds[0]}
        assert not [secret for secret in page_world.secrets if secret in answer.text]

    def test_in_the_list_of_plugins_is_harmless(self, page_world: PageWorld):
        answer = page_world.server.session.get(f"{page_world.server.url}/api/v2/plugins", timeout=PATIENCE)
        (plugin,) = [plugin for plugin in answer.json()["plugins"] if plugin["name"] == "dotypos"]

        (view,) = plugin["external_views"]
        assert (view["name"], view["href"], view["destination"]) == ("Connect Dotypos", "dotypos/", "nav")
        assert not view.get("url_route")
        assert not [secret for secret in page_world.secrets if secret in answer.text]

    def test_in_the_servers_log_holds_no_secret_whatever_the_end(
        self, page_world: PageWorld, ada: Person, clouds: tuple[int, int]
    ):
        """Both workers write this log, at INFO, with a line for each request."""
        page_world.add("logged", cloud=clouds[0])
        ada.get("./")
        for worker in page_world.two_workers(ada):
            ada.use([worker])
            with nothing_secret_is_logged(page_world, ada):
                address = ada.way_back("logged", clouds[0])
                ada.get(address)  # connected
                ada.get(address)  # used before
                ada.get(with_query(ada.way_back("logged", clouds[0]), cloudid=str(clouds[1])))  # doesn't work
                ada.get(ada.way_back("logged", clouds[1]))  # another cloud
                ada.get(ada.way_back(HELD_IN_FILE, clouds[1]))  # held elsewhere
                ada.get(with_query(ada.way_back("logged", clouds[0]), state="x"))  # not of a journey
                ada.post("check", form=ada.form_token())
        assert f"{PREFIX}/dotypos/callback" in page_world.server.log.read_text()

    @pytest.mark.parametrize(
        ("method", "page"),
        [
            ("HEAD", "callback"),
            ("POST", "callback"),
            ("OPTIONS", "callback"),
            ("GET", "callback/"),
            ("HEAD", "callback/"),
        ],
    )
    def test_in_the_servers_log_holds_no_token_that_came_astray(
        self, page_world: PageWorld, ada: Person, method: str, page: str
    ):
        """Something looks at a link before the person does, or adds a slash."""
        query = {"token": page_world.sandbox.tokens.connect(page_world.sandbox.cloud_ids[0]), "cloudid": "1"}
        with nothing_secret_is_logged(page_world, ada):
            ada.browser.request(method, f"{ada.url}{page}", params=query, allow_redirects=False, timeout=PATIENCE)


def sealed(world: PageWorld, person: Person, user: str = VIEWER, **content: object) -> dict[str, object]:
    """Return content as the page would seal it for a person."""
    return {"back": person.url, "journey": "x", "legacy": False, "visitor": world.mark(person, user), **content}


def as_is(
    person: Person, method: str, page: str, headers: dict[str, str], fields: dict[str, str] | None = None
) -> requests.Response:
    """Send a request with these headers, and all of a person's cookies whatever Host says; no redirect is followed."""
    cookies = "; ".join(f"{cookie.name}={cookie.value}" for cookie in person.browser.cookies)
    sent = {"Cookie": cookies, **headers}
    return requests.request(
        method, f"{person.url}{page}", headers=sent, data=fields, allow_redirects=False, timeout=PATIENCE
    )


def put(person: Person, name: str, value: str) -> None:
    person.browser.cookies.set(name, value, domain="127.0.0.1", path=f"{PREFIX}/dotypos")


def sessions(world: PageWorld) -> dict[str, str | None]:
    """Return sessions of Airflow that are none."""
    good = world.session_token(ADMIN)
    claims = jwt.decode(good, options={"verify_signature": False})
    algorithm = jwt.get_unverified_header(good)["alg"]
    then = int(time.time()) - HOURS
    return {
        "none": None,
        "ended": jwt.encode({**claims, "iat": then, "nbf": then, "exp": then + 60}, JWT_SECRET, algorithm),
        # As after a restart of an Airflow without a secret of its own in its configuration.
        "of another key": jwt.encode(claims, JWT_SECRET[::-1], algorithm),
        "nonsense": "nonsense",
    }


@contextmanager
def nothing_secret_is_logged(world: PageWorld, person: Person) -> Iterator[None]:
    """Read what both workers write to the server's log meanwhile: at INFO, with a line for each request."""
    begin = world.server.log.stat().st_size
    yield
    # Whatever was answered before this on the same connection has been written when this is.
    marker = f"marker-{time.monotonic_ns()}"
    person.get(marker)
    deadline = time.monotonic() + PATIENCE
    while marker not in (lines := world.server.log.read_bytes()[begin:].decode()):
        assert time.monotonic() < deadline, "the server writes no log"
    secrets = re.compile("|".join([*map(re.escape, world.secrets), ACCESS_TOKEN]))
    assert not [line for line in lines.splitlines() if secrets.search(line)]
