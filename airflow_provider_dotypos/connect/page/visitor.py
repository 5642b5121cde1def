"""Who is looking at the page: a signed-in user of Airflow, in one browser.

Airflow's session says who the user is, its auth manager what they may do. A cookie of the page's own holds a random
value that ties forms, journeys and their results to one browser: a form or a return from Dotypos that somebody else
prepared doesn't fit it.
"""

from __future__ import annotations

import hashlib
import secrets
from contextlib import suppress
from typing import Annotated, Any
from urllib.parse import quote, urlsplit

from fastapi import Depends, HTTPException, Request, Response
from fastapi.responses import RedirectResponse

from airflow_provider_dotypos import _airflow
from airflow_provider_dotypos.connect.page import pages
from airflow_provider_dotypos.connect.page.seals import BrokenSealError, Seals
from airflow_provider_dotypos.connections import stored
from airflow_provider_dotypos.plugin import PATH

BROWSER = "dotypos_connect_browser"
RESULT = "dotypos_connect_result"
NOTICE = "dotypos_connect_notice"
#: How long a form may lie open, and how long a result can be looked at and answered, in seconds.
_FORM_LIFE = 12 * 3600
ANSWER_LIFE = 15 * 60


class RefusedError(HTTPException):
    """The visitor is signed in, and is refused something."""


class Visitor:
    """One request's visitor.

    :param user: as Airflow's session tells; ``None`` if it has ended.
    """

    def __init__(self, request: Request, user: Any) -> None:
        self.request = request
        self._user = user
        self._seals = Seals(_airflow.secret_key())
        self._browser = request.cookies.get(BROWSER) or secrets.token_urlsafe(32)

    @property
    def user_name(self) -> str:
        """The user, as the audit log calls them."""
        return str(self._user.get_name())

    def may_edit(self, conn_id: str | None) -> bool:
        """Return whether the visitor may edit a connection, or (``None``) make one."""
        team = stored.team_of(conn_id) if conn_id is not None else None
        return _airflow.may_edit_connection(self._user, conn_id, team)

    def require_edit(self, conn_id: str | None) -> None:
        """Refuse the request unless the visitor may edit a connection, or (``None``) make one."""
        if not self.may_edit(conn_id):
            raise RefusedError(403, NOT_ALLOWED)

    def require_own_form(self, form: str) -> None:
        """Refuse the request unless its form is of a page that this visitor was shown."""
        try:
            self.open("form", form, life=_FORM_LIFE)
        except BrokenSealError:
            raise RefusedError(403, "This form is not of your session, or is too old. Open the page anew.") from None

    def seal(self, purpose: str, **content: Any) -> str:
        """Return content that this visitor alone can hand back."""
        return self._seals.seal(purpose, {**content, "visitor": self._mark})

    def open(self, purpose: str, sealed: str | None, *, life: int) -> dict[str, Any]:
        """Return what was sealed for this visitor.

        :raises BrokenSealError: it wasn't, or longer than `life` seconds ago.
        """
        content = self._seals.open(purpose, sealed, life=life)
        if content.pop("visitor", None) != self._mark:
            raise BrokenSealError(purpose)
        return content

    def digest(self, purpose: str, *values: str) -> str:
        """Return a digest by which this Airflow alone can compare values with others later."""
        return self._seals.digest(purpose, *values)

    def page(self, name: str, status: int = 200, *, leaves: bool = False, **content: Any) -> Response:
        """Return a page made of a template."""
        html = pages.render(name, form=self.seal("form"), **content)
        response = Response(html, status, pages.headers(leaves=leaves), "text/html")
        self._set(response, BROWSER, self._browser, None)
        return response

    def conclude(self, outcome: dict[str, Any]) -> Response:
        """End a journey: keep its outcome in the browser, sealed, and go on to the page that shows it."""
        response = RedirectResponse("result", 303)
        self._set(response, BROWSER, self._browser, None)
        self._set(response, RESULT, self.seal("result", **outcome), ANSWER_LIFE)
        return response

    def notify(self, message: str) -> Response:
        """Go on to the page that shows a message; the outcome of a journey in this browser waits behind it.

        Anybody can send a browser to the callback, signed in or not. That must not cost what a journey brought home.
        """
        response = RedirectResponse("result", 303)
        self._set(response, NOTICE, self._seals.seal("notice", {"message": message}), ANSWER_LIFE)
        return response

    @property
    def kept_outcome(self) -> str:
        """The outcome of the last journey in this browser, as it was sealed; empty if there is none."""
        return self.request.cookies.get(RESULT, "")

    def outcome(self, sealed: str) -> dict[str, Any] | None:
        """Return an outcome of this visitor's, if it is not too old."""
        with suppress(BrokenSealError):
            return self.open("result", sealed, life=ANSWER_LIFE)
        return None

    def notice(self) -> str | None:
        """Return the message that this browser was sent on with, if there is one."""
        with suppress(BrokenSealError):
            kept = self._seals.open("notice", self.request.cookies.get(NOTICE), life=ANSWER_LIFE)
            return str(kept["message"])
        return None

    def forget_notice(self, response: Response) -> Response:
        """Let a message be shown once; returns the response."""
        self._set(response, NOTICE, "", 0)
        return response

    @property
    def _mark(self) -> str:
        return hashlib.sha256(f"{self._user.get_id()} {self._browser}".encode()).hexdigest()

    def _set(self, response: Response, name: str, value: str, life: int | None) -> None:
        secure = back_at(self.request).startswith("https:")
        # Lax: a return from Dotypos comes from another site and must bring them; a form that another site posts won't.
        response.set_cookie(
            name, value, life, path=self.request.scope["root_path"] or "/", secure=secure, httponly=True, samesite="lax"
        )


def visitor(request: Request, user: Annotated[Any, Depends(_airflow.signed_in_user())]) -> Visitor:
    """Return the visitor of a request (a dependency).

    :raises HTTPException: 401, nobody is signed in.
    """
    return Visitor(request, user)


def back_at(request: Request) -> str:
    """Return the address of the pages as the visitor's browser has it, whatever proxies stand between.

    A form's request tells it by its Origin. Others go by ``[api] base_url``, or by what the server was called; and so
    does one whose Origin is neither.
    """
    configured = urlsplit(_airflow.base_url() or str(request.base_url))
    origin = urlsplit(request.headers.get("origin", ""))
    ours = origin.scheme in ("http", "https") and origin.netloc in (configured.netloc, request.headers.get("host"))
    known = origin if ours else configured
    return f"{known.scheme}://{known.netloc}{request.scope['root_path']}"


def login(request: Request) -> str:
    """Return where to sign in to Airflow, and come back from."""
    root = request.scope["root_path"].removesuffix(PATH)
    page = "result" if request.url.path.endswith("/result") else ""
    return f"{root}/api/v2/auth/login?next={quote(f'{root}{PATH}/{page}', safe='')}"


NOT_ALLOWED = "You may not edit connections in this Airflow. Ask an admin to connect the cloud, or for the permission."
