"""One run of the command: a browser goes to Dotypos and comes back with a refresh token.

It comes back to a listener on this machine, or (``--paste``) the person copies the address that it ends up at. The
token is tried by signing in, and then stored in an Airflow connection, or printed.

https://docs.api.dotypos.com/authorization
"""

from __future__ import annotations

import argparse
import os
import secrets
import webbrowser
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from threading import Thread
from typing import Any

from airflow_provider_dotypos.api.check import Verdict
from airflow_provider_dotypos.api.connector import connector
from airflow_provider_dotypos.commands.connect import CLIENT_ID, CLIENT_SECRET
from airflow_provider_dotypos.connect.grant import (
    TIME_TO_DECIDE,
    Application,
    ConnectError,
    ConnectorForm,
    Grant,
    client_id_problem,
    is_dotypos,
    read_return,
)
from airflow_provider_dotypos.connect.terminal import paste, prompt, redirect
from airflow_provider_dotypos.connect.terminal.listener import Listener
from airflow_provider_dotypos.connect.terminal.outcome import Outcome
from airflow_provider_dotypos.connect.terminal.target import Target, UsageError


@dataclass(frozen=True)
class ConnectRun:
    """One run.

    :param args: the options.
    :param target: what is to be connected.
    :param say: tells the person something.
    :param give: prints the connection.
    """

    args: argparse.Namespace
    target: Target
    say: Callable[[str], None]
    give: Callable[[str], None]

    def by_listener(self) -> Outcome:
        """Connect by a browser that can reach this machine.

        :raises ConnectError: nobody came back, or there was nowhere to come back to.
        """
        client_id = self._client_id() or _checked(_asked("Client id", CLIENT_ID, prompt.ask))
        client_secret, source = self._client_secret(client_id)
        application = Application(client_id, client_secret, self.target.base_url)

        def way_out(redirect_uri: str, state: str) -> ConnectorForm:
            return application.way_out(redirect_uri, state, legacy=self.args.legacy)

        with Listener(self.args.port, way_out, self._first_page(client_id)) as listener, self._introduced(listener):
            seconds = self.args.timeout or TIME_TO_DECIDE
            try:
                query = listener.wait(seconds)
            except TimeoutError:
                raise ConnectError(_nobody_came(seconds, source)) from None
            except KeyboardInterrupt:
                if listener.has_left:
                    self.say(f"\n{_what_dotypos_tells(source)}")
                raise
            outcome = self._conclude(query, client_id, client_secret)
            listener.tell(outcome)
        return outcome

    def by_paste(self) -> Outcome:
        """Connect by a browser on another machine, which can't reach this one.

        :raises ConnectError: no usable address was pasted.
        """
        target, state = self.target, secrets.token_urlsafe(32)
        client_id = self._client_id()
        html = paste.page(
            action=f"{connector(target.base_url)}/v2",
            state=state,
            conn_id=target.conn_id,
            client_id=client_id,
            expected=target.expected,
            current=target.held.cloud_id,
        )
        self._warn_of_host()
        with paste.written(self.args.page or Path(paste.PAGE), html) as path:
            self.say(
                f"1. Copy {path} to a machine with a browser (it holds no secret), and open it there.\n"
                "2. Type the client secret into the page, and allow access on Dotypos's page.\n"
                f"3. You arrive at {paste.REDIRECT_URI}: copy the whole address from the address bar, and paste it "
                "here (it isn't shown).\n"
                f"Then {target.destination}"
            )
            address = paste.read_address(
                lambda: prompt.ask_secretly("Address: "), self.say, state, tries=3 if prompt.on_a_terminal() else 1
            )
        return self._conclude(address, client_id if target.is_new else None, None)

    def _client_id(self) -> str | None:
        client_id = self.args.client_id or self.target.held.client_id or os.environ.get(CLIENT_ID)
        return _checked(client_id) if client_id else None

    def _client_secret(self, client_id: str) -> tuple[str, str]:
        """Return the client secret and where it is from. A connection's belongs to the connection's client id."""
        held = self.target.held
        if held.client_secret and held.client_id in (None, "", client_id):
            return held.client_secret, f"held by {self.target.conn_id}"
        if from_environment := os.environ.get(CLIENT_SECRET):
            return from_environment, f"in {CLIENT_SECRET}"
        return _asked("Client secret (it isn't shown)", CLIENT_SECRET, prompt.ask_secretly), "that was typed"

    def _first_page(self, client_id: str) -> Callable[[str], Mapping[str, Any]]:
        target = self.target
        return lambda redirect_uri: {
            "conn_id": target.conn_id,
            "expected": target.expected,
            "current": target.held.cloud_id,
            "client_id": client_id,
            "connector": connector(target.base_url) + ("" if self.args.legacy else "/v2"),
            "back": redirect_uri,
            "base_url": target.base_url,
            "foreign": not is_dotypos(target.base_url),
            "destination": target.destination,
            "legacy": self.args.legacy,
        }

    @contextmanager
    def _introduced(self, listener: Listener) -> Iterator[None]:
        """Say where to go, and open a browser there, by a page that is kept until the block ends."""
        self._warn_of_host()
        if self.args.legacy:
            self.say(
                "Warning: the deprecated connector's address holds the client secret; it stays in the browser's "
                "history and in the logs of proxies. Change the secret afterwards."
            )
        if self.args.no_browser:
            opened: AbstractContextManager[str | None] = nullcontext()
            self.say(f"Open this address in a browser:\n  {listener.address}\n{_tunnel(listener.port)}")
        else:
            opened = redirect.leading_to(listener.address)
            self.say(f"A browser opens this address; if none does, open it yourself:\n  {listener.address}")
        with opened as page:
            if page is not None:
                # A browser in the terminal keeps the call until it is left.
                Thread(target=self._open_browser, args=(page, listener.port), daemon=True).start()
            self.say(f"When you have allowed access, {self.target.destination}\nCtrl-C ends it.")
            yield

    def _open_browser(self, page: str, port: int) -> None:
        if not webbrowser.open(page):
            self.say(_tunnel(port))

    def _warn_of_host(self) -> None:
        if not is_dotypos(self.target.base_url):
            self.say(
                f"Warning: the new token will be sent to {self.target.base_url}, which is not Dotypos's own server. Go "
                "on only if you know that it is a proxy of yours."
            )

    def _conclude(self, query: Mapping[str, str], client_id: str | None, client_secret: str | None) -> Outcome:
        """Try what came back, store or print it, and say how it ended."""
        try:
            grant = read_return(query)
            self.target.require_expected(grant)
            verdict = self.target.try_out(grant)
            outcome = self._keep(grant, verdict, client_id, client_secret)
        except ConnectError as error:
            outcome = Outcome(1, "Not connected", str(error))
        self.say(outcome.message if outcome.code == 0 else f"{outcome.title}. {outcome.message}")
        return outcome

    def _keep(self, grant: Grant, verdict: Verdict, client_id: str | None, client_secret: str | None) -> Outcome:
        target = self.target
        if target.is_printed:
            self.give(target.printed(grant, client_id, self.args.format))
            where = f"Put it into {target.held.held_in}." if target.conn_id else "Keep it secret."
            return Outcome(0, "Connected", f"{verdict.message}. The command has printed the connection. {where}")
        try:
            target.store(grant, client_id, client_secret)
        except ConnectError as error:
            # The token is good, and asking for another one needs the person again.
            self.give(target.printed(grant, client_id, self.args.format))
            message = f"{verdict.message}, but {error} The command has printed the connection: store it yourself."
            return Outcome(1, "Not stored", message)
        return Outcome(0, "Connected", f"{verdict.message}. Stored in Airflow's database as {target.conn_id}.")


def _asked(what: str, variable: str, ask: Callable[[str], str]) -> str:
    """Return what the person types, if there is one.

    :param variable: the environment variable to name if there is none.
    """
    typed = ask(f"{what}: ") if prompt.on_a_terminal() else ""
    if not typed:
        raise UsageError(f"{what.partition(' (')[0]} is missing: set {variable}, or run on a terminal to be asked.")
    return typed


def _checked(client_id: str) -> str:
    if problem := client_id_problem(client_id):
        raise UsageError(problem)
    return client_id


def _nobody_came(seconds: float, source: str) -> str:
    return (
        f"Nobody came back from Dotypos within {seconds:g} seconds; nothing was stored. Run the command again. "
        f"{_what_dotypos_tells(source)}"
    )


def _what_dotypos_tells(source: str) -> str:
    """Return what to look at. Dotypos tells the person only, on its page."""
    now = datetime.now(timezone.utc)
    return (
        "If Dotypos's page spoke of an expired connection or of time settings, set this machine's clock by NTP (it may "
        f"be wrong by a minute, and says {now:%H:%M:%S} UTC). If it spoke of an unknown application or a wrong secret, "
        f"correct the client id, or the client secret {source}."
    )


def _tunnel(port: int) -> str:
    return (
        "No browser on this machine? Run this on yours, and open the address there:\n"
        f"  ssh -N -L {port}:127.0.0.1:{port} you@server\n"
        "(--port chooses the port. Without a tunnel: --paste.)"
    )
