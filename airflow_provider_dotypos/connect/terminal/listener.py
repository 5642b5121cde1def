"""A web server on 127.0.0.1 for one person's way to Dotypos and back.

The first page's address holds a random value, so that nothing else on the machine can press its button. From there the
browser goes to Dotypos by a signed form, and comes back to ``/callback`` with a random ``state`` that is good once. The
last page shows how the run ended, once the command has tried the token.
"""

from __future__ import annotations

import logging
import secrets
from collections.abc import Callable, Mapping
from concurrent import futures
from contextlib import suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from socketserver import ThreadingTCPServer
from threading import Event, Thread
from types import TracebackType
from typing import Any
from urllib.parse import parse_qsl

from airflow_provider_dotypos.connect import pages
from airflow_provider_dotypos.connect.grant import SIGNATURE_LIFE, ConnectorForm
from airflow_provider_dotypos.connect.routes import CALLBACK
from airflow_provider_dotypos.connect.terminal import standalone
from airflow_provider_dotypos.connections.errors import ConnectError

log = logging.getLogger(__name__)

#: How long the last page waits to be looked at, in seconds. A browser that was closed meanwhile never asks for it.
_LAST_LOOK = 5.0


@dataclass(frozen=True)
class Ending:
    """How a run of the command ended, for the terminal and for the browser.

    :param code: the command's exit code.
    :param title: the verdict in a few words.
    :param message: for the person; holds no secret.
    """

    code: int
    title: str
    message: str


@dataclass(frozen=True)
class Answer:
    """The answer to a request."""

    status: int
    headers: Mapping[str, str]
    body: bytes = b""
    is_the_end: bool = False


@dataclass
class Listener:
    """Listens while its block runs.

    :param port: 0 for any free one.
    :param sign_form: signs a form, given the address to come back to and a state.
    :param first_page: the first page's content, but for the address to come back to.
    :raises ConnectError: if the port can't be used, on entering.
    """

    port: int
    sign_form: Callable[[str, str], ConnectorForm]
    first_page: Mapping[str, Any]
    _path: str = field(default_factory=lambda: secrets.token_urlsafe(16), repr=False)
    _state: str = field(default_factory=lambda: secrets.token_urlsafe(32), repr=False)
    _return: futures.Future[dict[str, str]] = field(default_factory=futures.Future, repr=False)
    _ending: futures.Future[Ending] = field(default_factory=futures.Future, repr=False)
    _left: Event = field(default_factory=Event, repr=False)
    _looked: Event = field(default_factory=Event, repr=False)

    def __enter__(self) -> Listener:
        try:
            self._server = _Server(self)
        except OSError as error:
            raise ConnectError(
                f"Port {self.port} of 127.0.0.1 can't be used ({error.strerror}). Choose another one by --port, or 0 "
                "for any free one."
            ) from None
        self.port = self._server.server_address[1]
        Thread(target=self._server.serve_forever, args=(0.05,), name="dotypos-connect", daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        # All is done by now. Ctrl-C only cuts the last look short.
        with suppress(KeyboardInterrupt):
            if self._ending.done():
                self._looked.wait(_LAST_LOOK)
        self._server.shutdown()
        self._server.server_close()

    @property
    def address(self) -> str:
        """Where the person begins."""
        return f"http://127.0.0.1:{self.port}/{self._path}/"

    @property
    def redirect_uri(self) -> str:
        """Where Dotypos sends the person back to."""
        return f"http://127.0.0.1:{self.port}/{CALLBACK}"

    @property
    def has_left(self) -> bool:
        """Whether the person was sent on to Dotypos."""
        return self._left.is_set()

    @property
    def _names(self) -> tuple[str, ...]:
        names = (f"127.0.0.1:{self.port}", f"localhost:{self.port}")
        # Browsers leave out the port that http has anyway.
        return (*names, "127.0.0.1", "localhost") if self.port == 80 else names

    def wait(self, seconds: float) -> dict[str, str]:
        """Return the query with which the person comes back from Dotypos.

        :raises TimeoutError: if nobody came.
        """
        if not futures.wait([self._return], seconds).done:
            raise TimeoutError
        return self._return.result()

    def show(self, ending: Ending) -> None:
        """Show the person how the run ended."""
        self._ending.set_result(ending)

    def answer(self, method: str, target: str, host: str) -> Answer:
        """Answer a request.

        :param target: the path and query that it asks for.
        :param host: the name that it calls this server by.
        """
        # A page elsewhere whose name was made to lead here (DNS rebinding) calls us by that name.
        if host not in self._names:
            return _stray("This address answers to 127.0.0.1 only.", 403)
        path, _, query = target.partition("?")
        if (method, path) == ("GET", f"/{CALLBACK}"):
            return self._come_back(dict(parse_qsl(query)))
        first, slash, name = path.removeprefix("/").partition("/")
        if not secrets.compare_digest(first.encode(), self._path.encode()):
            return _stray("There is nothing here. Open the whole address that the command shows.", 404)
        return self._page(method, name) if slash else _redirect(f"/{first}/")

    def _page(self, method: str, name: str) -> Answer:
        """Return one of the pages below the random address."""
        if (method, name) == ("GET", "result") and self._return.done():
            return self._end()
        if name.startswith("static/") and name.removeprefix("static/") in pages.STATIC:
            return _static(name.removeprefix("static/"))
        if self._return.done():
            return _redirect("result")
        if (method, name) == ("GET", ""):
            return _html(pages.render("cli_start.html", **self.first_page, back=self.redirect_uri), pages.headers())
        if (method, name) == ("POST", "go"):
            return _redirect("go")
        if (method, name) == ("GET", "go"):
            return self._leave()
        return _redirect("./") if method == "GET" else _stray("There is nothing here.", 404)

    def _leave(self) -> Answer:
        self._left.set()
        signed = self.sign_form(self.redirect_uri, self._state)
        html = pages.render("go.html", signed=signed, again="./", life=SIGNATURE_LIFE)
        return _html(html, pages.headers(leaves=True))

    def _come_back(self, query: dict[str, str]) -> Answer:
        """Take what Dotypos sends the browser back with, and redirect to an address that doesn't hold it."""
        if not secrets.compare_digest(query.get("state", "").encode(), self._state.encode()):
            return _stray(_STRANGER, 400)
        try:
            self._return.set_result(query)
        except futures.InvalidStateError:
            return _stray("This return from Dotypos was used before. Nothing was changed.", 400)
        return _redirect(f"/{self._path}/result")

    def _end(self) -> Answer:
        ending = self._ending.result()
        kind = "bad" if ending.code else "good"
        html = standalone.render("cli_result.html", title=ending.title, kind=kind, message=ending.message, next=_CLOSE)
        return Answer(200, {"Content-Type": _HTML, **standalone.headers()}, html.encode(), is_the_end=True)

    def looked(self) -> None:
        """Note that the last page was shown."""
        self._looked.set()


class _Server(ThreadingTCPServer):
    """The sockets. ``HTTPServer`` isn't used, because it first looks up the machine's name, which can take long."""

    allow_reuse_address = True  # a fixed port is free again at once
    daemon_threads = True  # a browser that keeps its connection open holds up nothing

    def __init__(self, listener: Listener) -> None:
        self.listener = listener
        super().__init__(("127.0.0.1", listener.port), _Handler)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Log that a request failed, without what it asked for. Mostly the browser hung up."""
        log.debug("A request from %s failed", client_address)


class _Handler(BaseHTTPRequestHandler):
    server: _Server
    server_version = "dotypos-connect"
    sys_version = ""
    timeout = 10  # seconds; then an idle connection is closed

    def do_GET(self) -> None:
        self._respond()

    def do_POST(self) -> None:
        self._respond()

    def _respond(self) -> None:
        answer = self.server.listener.answer(self.command, self.path, self.headers.get("Host", ""))
        self.send_response(answer.status)
        for name, value in answer.headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(answer.body)))
        self.end_headers()
        self.wfile.write(answer.body)
        if answer.is_the_end:
            self.server.listener.looked()

    def log_message(self, format: str, *args: Any) -> None:
        """Log nothing: the address holds the refresh token."""


_HTML = "text/html; charset=utf-8"
_CLOSE = "You can close this tab."
_STRANGER = (
    "This return from Dotypos doesn't belong to the command that waits here, so nothing was changed. Connect from the "
    "address that the command shows. If you refused access on Dotypos's page, end the command with Ctrl-C."
)


def _html(html: str, headers: Mapping[str, str], status: int = 200) -> Answer:
    return Answer(status, {"Content-Type": _HTML, **headers}, html.encode())


def _redirect(location: str) -> Answer:
    return Answer(303, {"Location": location, **pages.headers()})


def _static(name: str) -> Answer:
    path = pages.STATIC[name]
    return Answer(200, {"Content-Type": pages.MEDIA_TYPES[path.suffix], **pages.headers()}, path.read_bytes())


def _stray(message: str, status: int) -> Answer:
    html = standalone.render("cli_result.html", title="Connect Dotypos", kind="bad", message=message, next="")
    return _html(html, standalone.headers(), status)
