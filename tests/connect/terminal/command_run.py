"""The command in a thread of the test, and a browser of the simplest kind to go with it."""

from __future__ import annotations

import argparse
import io
import queue
import re
import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urljoin, urlsplit

import pytest
import requests

from airflow_provider_dotypos.commands import connect
from airflow_provider_dotypos.sandbox import Sandbox
from tests.patience import PATIENCE

#: The command as a process of its own.
PROCESS = [sys.executable, "-m", "airflow_provider_dotypos", "connect"]


def parse(*options: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="connect")
    for flags, told in connect.options():
        parser.add_argument(*flags, **told)
    return parser.parse_args(options)


class Told(io.TextIOBase):
    """A standard error that can be waited on."""

    def __init__(self) -> None:
        self._new: queue.Queue[str] = queue.Queue()
        self.text = ""

    def write(self, text: str) -> int:
        self._new.put(text)
        return len(text)

    def wait_for(self, pattern: str) -> str:
        """Return the match's first group, once it has been told."""
        while not (match := re.search(pattern, self.read())):
            try:
                self.text += self._new.get(timeout=PATIENCE)
            except queue.Empty:
                raise AssertionError(f"{pattern} was never told, but {self.text!r}") from None
        return match[1]

    def read(self) -> str:
        while not self._new.empty():
            self.text += self._new.get()
        return self.text


@dataclass
class Run:
    """A run of the command, started at once."""

    options: tuple[str, ...]
    told: Told
    code: int | None = None

    def __post_init__(self) -> None:
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        self.code = connect.run(parse(*self.options))

    @property
    def address(self) -> str:
        return self.told.wait_for(r"(http://127\.0\.0\.1:\d+/[\w-]+/)\n")

    def end(self) -> int:
        """Return the exit code once the run is over."""
        self._thread.join(PATIENCE)
        assert self.code is not None, self.told.read()
        return self.code


@dataclass
class Form:
    action: str
    method: str
    fields: dict[str, str] = field(default_factory=dict)


class _Forms(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.found: list[Form] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        if tag == "form":
            self.found.append(Form(given.get("action") or "", given.get("method") or "get"))
        if tag == "input" and given.get("name") and self.found:
            self.found[-1].fields[str(given["name"])] = given.get("value") or ""


def form_of(html: str) -> Form:
    """Return a page's only form."""
    parser = _Forms()
    parser.feed(html)
    (form,) = parser.found
    return form


@dataclass
class Browser:
    """Goes where it is sent, and keeps what it saw."""

    session: requests.Session = field(default_factory=requests.Session)
    seen: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.session.trust_env = False

    def open(self, address: str) -> requests.Response:
        return self._keep(self.session.get(address, timeout=PATIENCE))

    def submit(self, page: requests.Response, *, follow: bool = True, **fields: str) -> requests.Response:
        """Submit a page's form, and arrive wherever it leads."""
        form = form_of(page.text)
        kind = "data" if form.method == "post" else "params"
        sent = {kind: {**form.fields, **fields}}
        url = urljoin(page.url, form.action)
        return self._keep(self.session.request(form.method, url, timeout=PATIENCE, allow_redirects=follow, **sent))  # type: ignore[arg-type]

    def return_address(self, consent: requests.Response, **decision: str) -> str:
        """Decide on the consent page, and return the address that Dotypos sends the browser to."""
        return self.submit(consent, follow=False, **decision).headers["Location"]

    def consent_page(self, address: str) -> requests.Response:
        """Go from the first page to Dotypos's."""
        return self.submit(self.submit(self.open(address)))

    def connect(self, address: str, cloud_id: int) -> requests.Response:
        """Go all the way, and return the last page."""
        return self.open(self.return_address(self.consent_page(address), cloud=str(cloud_id), decision="allow"))

    def _keep(self, response: requests.Response) -> requests.Response:
        self.seen += [earlier.url for earlier in response.history] + [response.url, response.text]
        return response


def options_for(sandbox: Sandbox) -> list[str]:
    """Return how to connect to the sandbox; the client secret comes by the environment."""
    return [*application_of(sandbox), "--no-browser"]


def application_of(sandbox: Sandbox) -> list[str]:
    """Return the options that name the sandbox and its client application."""
    return ["--host", sandbox.url, "--client-id", sandbox.client_id]


def led_to(page: str) -> str:
    """Return the address to which a page leads that a browser is started with."""
    path = Path(unquote(urlsplit(page).path))
    (address,) = re.findall(r'http-equiv="refresh" content="0; url=([^"]+)"', path.read_text())
    return str(address)


Connect = Callable[..., Run]


def starter(monkeypatch: pytest.MonkeyPatch, sandbox: Sandbox) -> Connect:
    """Return what runs the command, in an environment that has the sandbox's client secret."""
    monkeypatch.setenv("DOTYPOS_CLIENT_SECRET", sandbox.client_secret)

    def begin(*options: object) -> Run:
        told = Told()
        monkeypatch.setattr("sys.stderr", told)  # now: fixtures that capture it were set up meanwhile
        return Run(tuple(map(str, options)), told)

    return begin
