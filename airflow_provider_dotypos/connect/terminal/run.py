"""One run of the command: a browser goes to Dotypos and comes back with a refresh token.

It comes back to a listener on this machine. With ``--paste`` the person copies the address at which the browser arrives
instead. The token is tried by signing in, and then stored in an Airflow connection or printed (``journey``).

https://docs.api.dotypos.com/authorization
"""

from __future__ import annotations

import argparse
import secrets
import webbrowser
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from threading import Thread
from typing import Any

from airflow_provider_dotypos.api.connector import connector
from airflow_provider_dotypos.api.errors import HOW_TO_CONNECT
from airflow_provider_dotypos.connect.grant import (
    TIME_TO_DECIDE,
    Application,
    ConnectorForm,
    Grant,
    is_dotypos,
    read_return,
)
from airflow_provider_dotypos.connect.journey import Connected, Failed, HeldElsewhere, NotStored, OtherCloud, conclude
from airflow_provider_dotypos.connect.terminal import application, paste, prompt, standalone
from airflow_provider_dotypos.connect.terminal.listener import Ending, Listener
from airflow_provider_dotypos.connect.terminal.target import ChosenTarget
from airflow_provider_dotypos.connections.errors import ConnectError


@dataclass(frozen=True)
class ConnectRun:
    """One run.

    :param args: the options.
    :param chosen: the target that they choose.
    :param say: shows the person a text.
    :param give: prints the connection.
    """

    args: argparse.Namespace
    chosen: ChosenTarget
    say: Callable[[str], None]
    give: Callable[[str], None]

    def by_listener(self) -> Ending:
        """Connect by a browser that can reach this machine.

        :raises ConnectError: if nobody came back, or the listener can't start.
        """
        connection = self.chosen.target.connection
        client_id = application.find_client_id(self.args.client_id, connection) or application.ask_client_id()
        client_secret, source = application.find_client_secret(connection, client_id)
        signer = Application(client_id, client_secret, self.chosen.base_url)

        def sign_form(redirect_uri: str, state: str) -> ConnectorForm:
            return signer.sign_form(redirect_uri, state, legacy=self.args.legacy)

        with Listener(self.args.port, sign_form, self._first_page(client_id)) as listener, self._introduced(listener):
            seconds = self.args.timeout or TIME_TO_DECIDE
            try:
                query = listener.wait(seconds)
            except TimeoutError:
                raise ConnectError(
                    f"Nobody came back from Dotypos within {seconds:g} seconds. Nothing was stored. Run the command "
                    f"again. {_cures(source)}"
                ) from None
            except KeyboardInterrupt:
                if listener.has_left:
                    self.say(f"\n{_cures(source)}")
                raise
            ending = self._conclude(query, client_id, client_secret)
            listener.show(ending)
        return ending

    def by_paste(self) -> Ending:
        """Connect by a browser on another machine, which can't reach this one.

        :raises ConnectError: if no usable address was pasted.
        """
        chosen, state = self.chosen, secrets.token_urlsafe(32)
        client_id = application.find_client_id(self.args.client_id, chosen.target.connection)
        html = standalone.render(
            "cli_paste.html",
            script="cli_paste.js",
            action=f"{connector(chosen.base_url)}/v2",
            redirect_uri=paste.REDIRECT_URI,
            state=state,
            client_id=client_id,
            **chosen.facts,
        )
        self._warn_of_host()
        with paste.written(self.args.page or Path(paste.PAGE), html) as path:
            self.say(
                f"1. Copy {path} to a machine with a browser, and open it there. It holds no secret.\n"
                "2. Type the client secret into the page, and allow access on Dotypos's page.\n"
                f"3. You arrive at {paste.REDIRECT_URI}. Copy the whole address from the address bar, and paste it "
                "here. It isn't shown.\n"
                f"Then {chosen.destination}"
            )
            query = paste.read_address(
                lambda: prompt.ask_secretly("Address: "), self.say, state, tries=3 if prompt.on_a_terminal() else 1
            )
        return self._conclude(query, client_id if chosen.target.is_new else None, None)

    def _first_page(self, client_id: str) -> Mapping[str, Any]:
        base_url, legacy = self.chosen.base_url, self.args.legacy
        return {
            **self.chosen.facts,
            "client_id": client_id,
            "connector": connector(base_url) + ("" if legacy else "/v2"),
            "base_url": base_url,
            "foreign": not is_dotypos(base_url),
            "destination": self.chosen.destination,
            "legacy": legacy,
        }

    @contextmanager
    def _introduced(self, listener: Listener) -> Iterator[None]:
        """Say where to go, and open a browser there, by a page that is kept until the block ends."""
        self._warn_of_host()
        if self.args.legacy:
            self.say(
                "Warning: the deprecated connector's address holds the client secret. It stays in the browser's "
                "history and in the logs of proxies. Change the secret afterwards."
            )
        if self.args.no_browser:
            opened: AbstractContextManager[str | None] = nullcontext()
            self.say(f"Open this address in a browser:\n  {listener.address}\n{_tunnel(listener.port)}")
        else:
            opened = standalone.lead_to(listener.address)
            self.say(f"A browser opens this address. If none does, open it yourself:\n  {listener.address}")
        with opened as page:
            if page is not None:
                # A browser that runs in the terminal returns only when it is left.
                Thread(target=self._open_browser, args=(page, listener.port), daemon=True).start()
            self.say(f"When you have allowed access, {self.chosen.destination}\nCtrl-C ends it.")
            yield

    def _open_browser(self, page: str, port: int) -> None:
        if not webbrowser.open(page):
            self.say(_tunnel(port))

    def _warn_of_host(self) -> None:
        if not is_dotypos(self.chosen.base_url):
            self.say(
                f"Warning: the new token will be sent to {self.chosen.base_url}, which is not Dotypos's own server. "
                "Continue only if you know that it is your proxy."
            )

    def _conclude(self, query: Mapping[str, str], client_id: str | None, client_secret: str | None) -> Ending:
        """Try what came back, store or print it, and say how the run ended."""
        try:
            grant = read_return(query)
            self.chosen.require_expected(grant)
            ending = self._end(grant, client_id, client_secret)
        except ConnectError as error:
            ending = Ending(1, "Not connected", str(error))
        self.say(ending.message if ending.code == 0 else f"{ending.title}. {ending.message}")
        return ending

    def _end(self, grant: Grant, client_id: str | None, client_secret: str | None) -> Ending:
        result = conclude(grant, self.chosen.with_credentials(client_id, client_secret))
        if isinstance(result, HeldElsewhere | NotStored):
            self.give(self.chosen.write_out(result.grant, client_id, self.args.format))
        match result:
            case Connected(message=message, conn_id=conn_id):
                return Ending(0, "Connected", f"{message}. Stored in Airflow's database as {conn_id}.")
            case HeldElsewhere(message=message, held_in=held_in):
                advice = f"Put it into {held_in}." if self.chosen.conn_id else "Keep it secret."
                return Ending(0, "Connected", f"{message}. The command has printed the connection. {advice}")
            case NotStored(message=message, why=why):
                advice = "The command has printed the connection. Store it yourself."
                return Ending(1, "Not stored", f"{message}, but storing it failed. {why} {advice}")
            case Failed(message=message):
                return Ending(1, "Not connected", message.replace(HOW_TO_CONNECT, "run the command again"))
            case OtherCloud():
                raise AssertionError("a command's target may change its cloud")


def _cures(source: str) -> str:
    """Return what to look at. Dotypos shows errors on its own page only.

    :param source: where the client secret came from.
    """
    now = datetime.now(timezone.utc)
    return (
        "If Dotypos's page mentioned an expired connection or time settings, set this machine's clock by NTP: it may "
        f"be wrong by a minute, and says {now:%H:%M:%S} UTC. If the page mentioned an unknown application or a wrong "
        f"secret, correct the client id, or the client secret {source}."
    )


def _tunnel(port: int) -> str:
    return (
        "No browser on this machine? Run this on yours, and open the address there:\n"
        f"  ssh -N -L {port}:127.0.0.1:{port} you@server\n"
        "(--port chooses the port. Without a tunnel: --paste.)"
    )
