"""The page's world: an API server below a path, with two workers and users of all roles, and Dotypos's sandbox."""

from __future__ import annotations

import hashlib
import json
import re
import sqlite3
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from html import unescape
from html.parser import HTMLParser
from itertools import cycle
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, parse_qsl, urlencode, urljoin, urlsplit

import psutil
import pytest
import requests
from cryptography.fernet import Fernet

from airflow_provider_dotypos.connect.page.seals import Seals
from airflow_provider_dotypos.sandbox import Sandbox
from tests.patience import PATIENCE
from tests.ui.airflow_server import AirflowHome, AirflowServer, airflow_home, database_like_new, serve, sign_in

PREFIX = "/team/airflow"
ADMIN, OPERATOR, VIEWER = "ada", "olga", "viktor"
USERS = {ADMIN: "admin", OPERATOR: "op", VIEWER: "viewer"}
SECRET_KEY = "the API servers' own secret key"
JWT_SECRET = "what sessions are signed with, which is long enough for the longest of its hashes"
HELD_IN_ENVIRONMENT, HELD_IN_FILE = "held_in_environment", "held_in_file"


def aged(seals: Seals, purpose: str, sealed: str, seconds: int) -> str:
    """Return a seal as if it had been made some time ago."""
    content = json.dumps(seals.open(purpose, sealed, life=60)).encode()
    return seals._fernet(purpose).encrypt_at_time(content, int(time.time()) - seconds).decode()


@dataclass(frozen=True)
class Form:
    """A form of a page: what a browser would send if its button were pressed."""

    method: str
    action: str
    fields: dict[str, str]


class _Forms(HTMLParser):
    def __init__(self, address: str) -> None:
        super().__init__()
        self.address = address
        self.found: list[Form] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        if tag == "form":
            self.found.append(Form(given["method"], urljoin(self.address, given["action"]), {}))
        elif tag == "input" and self.found and "name" in given and given.get("type") != "checkbox":
            self.found[-1].fields.setdefault(given["name"], given.get("value", ""))


def forms(page: requests.Response) -> list[Form]:
    """Return the forms of a page."""
    reader = _Forms(page.url)
    reader.feed(page.text)
    return reader.found


def shown_text(page: requests.Response) -> str:
    """Return a page's text as a person reads it."""
    body = page.text.partition("<main>")[2]
    return " ".join(unescape(re.sub(r"<[^>]*>", "", body)).split())


def state_of(address: str) -> str:
    return parse_qs(urlsplit(address).query)["state"][0]


def with_query(address: str, **changes: str) -> str:
    parts = urlsplit(address)
    return parts._replace(query=urlencode(dict(parse_qsl(parts.query)) | changes)).geturl()


class Person:
    """Somebody with a browser (`requests` playing one)."""

    def __init__(self, server: AirflowServer, session_token: str | None) -> None:
        self.url = f"{server.url}/dotypos/"
        browser = requests.Session()
        browser.trust_env = False
        self.use([browser])
        self.sign_in(session_token)

    @property
    def browser(self) -> requests.Session:
        return next(self._connections)

    def sign_in(self, session_token: str | None) -> None:
        """Let the browser hold this session of Airflow alone."""
        kept = self.browser.cookies
        for cookie in [cookie for cookie in kept if cookie.name == "_token"]:
            kept.clear(cookie.domain, cookie.path, cookie.name)
        if session_token is not None:
            # As Airflow sets it, so that its answers can take it away.
            kept.set("_token", session_token, domain="127.0.0.1", path=PREFIX)

    def get(self, page: str, **query: str) -> requests.Response:
        return self.browser.get(urljoin(self.url, page), params=query, timeout=PATIENCE)

    def post(self, page: str, **fields: str) -> requests.Response:
        """Post a form; the page answered is that of the redirects' end."""
        return self.browser.post(urljoin(self.url, page), data=fields, timeout=PATIENCE)

    def submit(self, shown: Form, /, headers: dict[str, str] | None = None, **typed: str) -> requests.Response:
        """Press a form's button, as browsers do: with the Origin of the page."""
        parts = urlsplit(shown.action)
        own = {"Origin": f"{parts.scheme}://{parts.netloc}", **(headers or {})}
        return self.browser.post(shown.action, data={**shown.fields, **typed}, headers=own, timeout=PATIENCE)

    def cookie(self, name: str) -> str:
        value = self.browser.cookies.get(name)
        assert value is not None, f"no cookie {name}"
        return value

    def form_token(self) -> str:
        """The token in the forms of the pages that this person is shown."""
        return forms(self.get("./"))[0].fields["form"]

    def use(self, connections: list[requests.Session]) -> None:
        """Send each request from now on through the next one of these connections."""
        self._connections = cycle(connections)

    def begin(self, conn_id: str, **typed: str) -> requests.Response:
        """Press Connect on a connection's page; returns the page with the signed form."""
        return self.submit(forms(self.get("connect", conn_id=conn_id))[0], **typed)

    def begin_new(self, **typed: str) -> requests.Response:
        """Fill in the page of a new connection, and press Save and connect."""
        return self.submit(forms(self.get("connect"))[0], **typed)

    def consent(self, going: requests.Response) -> requests.Response:
        """Follow the signed form to Dotypos's page."""
        (form,) = forms(going)
        if form.method == "get":
            return requests.get(form.action, params=form.fields, timeout=PATIENCE)
        return requests.post(form.action, data=form.fields, timeout=PATIENCE)

    def decide(self, consent: requests.Response, cloud: int | None) -> str:
        """Choose a cloud, or none (deny); returns the address that Dotypos sends the browser to."""
        assert consent.status_code == 200, consent.text
        (form,) = forms(consent)
        given = {"decision": "deny"} if cloud is None else {"decision": "allow", "cloud": str(cloud)}
        answer = requests.post(form.action, data=form.fields | given, timeout=PATIENCE, allow_redirects=False)
        assert answer.status_code == 302, answer.text
        return answer.headers["Location"]

    def way_back(self, conn_id: str, cloud: int | None) -> str:
        """Begin a journey and go through it, up to the address that Dotypos sends the browser to."""
        return self.decide(self.consent(self.begin(conn_id)), cloud)

    def connect(self, conn_id: str, cloud: int | None) -> requests.Response:
        """Go through a whole journey; returns the page with its result."""
        return self.get(self.way_back(conn_id, cloud))


@dataclass
class PageWorld:
    """Airflow with the page, and the Dotypos that its connections lead to."""

    server: AirflowServer
    home: AirflowHome
    sandbox: Sandbox
    fernet_key: str
    seals: Seals = field(default_factory=lambda: Seals(SECRET_KEY))
    sessions: dict[str, str] = field(default_factory=dict)

    def session_token(self, user: str) -> str:
        if user not in self.sessions:
            self.sessions[user] = sign_in(self.server.url, user)
        return self.sessions[user]

    def person(self, user: str | None = ADMIN) -> Person:
        return Person(self.server, self.session_token(user) if user else None)

    def add(self, conn_id: str, *, cloud: int | str | None = None, token: str | None = None, **fields: Any) -> str:
        """Add a connection as Airflow's form does: to the sandbox, without a token unless there is a cloud."""
        extra = {"refresh_token": token or self.sandbox.refresh_token, "cloud_id": cloud} if cloud else {}
        shown_text = {**self.sandbox.connection(), "connection_id": conn_id, "extra": json.dumps(extra), **fields}
        answer = self.server.session.post(f"{self.server.url}/api/v2/connections", json=shown_text, timeout=PATIENCE)
        assert answer.status_code == 201, answer.text
        return conn_id

    def delete(self, conn_id: str) -> None:
        answer = self.server.session.delete(f"{self.server.url}/api/v2/connections/{conn_id}", timeout=PATIENCE)
        assert answer.status_code == 204, answer.text

    def stored(self, conn_id: str) -> dict[str, Any] | None:
        """Return what Airflow's database holds of a connection, decrypted."""
        with closing(self.database()) as database:
            database.row_factory = sqlite3.Row
            row = database.execute("SELECT * FROM connection WHERE conn_id = ?", [conn_id]).fetchone()
        if row is None:
            return None
        for name in ("password", "extra"):
            assert not row[name] or row[f"is_{'' if name == 'password' else 'extra_'}encrypted"]
        fernet = Fernet(self.fernet_key)
        secret, extra = (fernet.decrypt(row[name]).decode() if row[name] else None for name in ("password", "extra"))
        return {**dict(row), "password": secret, "extra": json.loads(extra or "{}")}

    def everything_stored(self) -> list[tuple[Any, ...]]:
        with closing(self.database()) as database:
            return database.execute("SELECT * FROM connection ORDER BY id").fetchall()

    def database(self) -> sqlite3.Connection:
        return sqlite3.connect(self.home.path / "airflow.db", timeout=PATIENCE)

    def mark(self, person: Person, user: str) -> str:
        """What seals a thing to a user and a browser; with it and the secret key, any seal can be made."""
        return hashlib.sha256(f"{user} {person.cookie('dotypos_connect_browser')}".encode()).hexdigest()

    def two_workers(self, person: Person) -> list[requests.Session]:
        """Return a person's browser as two connections to Airflow, each of them to another worker of the server."""
        found: dict[int, requests.Session] = {}
        with ThreadPoolExecutor(8) as threads:
            while len(found) < 2:
                # At once, because one worker alone takes what comes one by one.
                for worker, session in threads.map(lambda _: self._connected(person), range(8)):
                    found.setdefault(worker, session)
        return list(found.values())

    def _connected(self, person: Person) -> tuple[int, requests.Session]:
        """Return a new connection to Airflow with a person's cookies, and the process that answers it."""
        session = requests.Session()
        session.trust_env = False
        session.cookies = person.browser.cookies
        with session.get(urljoin(person.url, "static/style.css"), stream=True, timeout=PATIENCE) as answer:
            port = answer.raw.connection.sock.getsockname()[1]
            assert answer.content
        for process in psutil.Process(self.server.pid).children(recursive=True):
            if any(peer.raddr and peer.raddr.port == port for peer in process.net_connections("tcp4")):
                return process.pid, session
        raise AssertionError("no process of the server holds its end of the connection")

    @property
    def secrets(self) -> set[str]:
        """Everything that must not be seen anywhere: all refresh tokens ever given, and the client secret."""
        return {self.sandbox.client_secret, *self.sandbox.tokens.refresh}


@contextmanager
def nothing_is_written(world: PageWorld) -> Iterator[None]:
    before = world.everything_stored()
    yield
    assert world.everything_stored() == before


@pytest.fixture(scope="session")
def home(tmp_path_factory: pytest.TempPathFactory) -> AirflowHome:
    return airflow_home(tmp_path_factory.getbasetemp())


@pytest.fixture
def database(tmp_path_factory: pytest.TempPathFactory, tmp_path: Path) -> Iterator[Path]:
    """A metadata database of the test's own, which this process uses."""
    with database_like_new(tmp_path_factory.getbasetemp(), tmp_path) as path:
        yield path


@pytest.fixture
def ada(page_world: PageWorld) -> Person:
    return page_world.person(ADMIN)


@pytest.fixture
def clouds(page_world: PageWorld) -> tuple[int, int]:
    first, second = page_world.sandbox.cloud_ids
    return first, second


@pytest.fixture(scope="session")
def page_world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PageWorld]:
    """Airflow and the sandbox; one for all tests, so each of them uses connection ids of its own."""
    home = airflow_home(tmp_path_factory.getbasetemp(), "connect-page")
    fernet_key = Fernet.generate_key().decode()
    with Sandbox() as sandbox:
        held = {**sandbox.connection(), "extra": {"timeout": 20}}
        environment = {
            "AIRFLOW__API__SECRET_KEY": SECRET_KEY,
            "AIRFLOW__API_AUTH__JWT_SECRET": JWT_SECRET,
            "AIRFLOW__CORE__FERNET_KEY": fernet_key,
            "AIRFLOW__DOTYPOS__WEBHOOKS": "True",
            "AIRFLOW__LOGGING__LOGGING_LEVEL": "INFO",
            f"AIRFLOW_CONN_{HELD_IN_ENVIRONMENT.upper()}": json.dumps(held),
            "AIRFLOW__SECRETS__BACKEND": "airflow.secrets.local_filesystem.LocalFilesystemBackend",
            "AIRFLOW__SECRETS__BACKEND_KWARGS": json.dumps({"connections_file_path": str(_file_of(home.path, held))}),
        }
        with serve(home, workers=2, prefix=PREFIX, users=USERS, **environment) as server:
            yield PageWorld(server, home, sandbox, fernet_key)


def _file_of(folder: Path, held: dict[str, Any]) -> Path:
    file = folder / "connections.json"
    file.write_text(json.dumps({HELD_IN_FILE: held}))
    return file
