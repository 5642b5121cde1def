"""Who is looking at the page: a signed-in user of Airflow, in one browser.

Airflow's session says who the user is, its auth manager what they may do. A cookie of the page's own holds a random
value that ties forms, journeys and their results to one browser. A form or a return from Dotypos that somebody else
prepared doesn't fit it.
"""

from __future__ import annotations

import hashlib
import secrets
from contextlib import suppress
from typing import Annotated, Any, NamedTuple, TypeAlias
from urllib.parse import quote, urlsplit

import msgspec
from fastapi import Depends, HTTPException, Request, Response
from fastapi.responses import RedirectResponse

from airflow_provider_dotypos import _airflow
from airflow_provider_dotypos.connect import pages
from airflow_provider_dotypos.connect.journey import Connected, Failed, HeldElsewhere, OtherCloud
from airflow_provider_dotypos.connect.page.seals import BrokenSealError, Seals
from airflow_provider_dotypos.connect.routes import PATH
from airflow_provider_dotypos.connections import stored
from airflow_provider_dotypos.connections.errors import WrongConnectionError
from airflow_provider_dotypos.connections.stored import StoredConnection

BROWSER = "dotypos_connect_browser"
RESULT = "dotypos_connect_result"
NOTICE = "dotypos_connect_notice"

#: How long a form may lie open, and how long a result can be looked at and answered, in seconds.
_FORM_LIFE = 12 * 3600
ANSWER_LIFE = 15 * 60

#: The results that a browser keeps.
Result: TypeAlias = Connected | OtherCloud | HeldElsewhere | Failed


class RefusedError(HTTPException):
    """The visitor is signed in, and is refused something."""


class KeptResult(NamedTuple):
    """How a journey ended, as the visitor's browser keeps it.

    :param journey: the journey's random id.
    :param sealed: the text that the browser keeps. An answer brings it along, because another tab may have another
        one. It is never sealed again, so that nothing moves its deadline.
    """

    result: Result
    journey: str
    sealed: str


class Visitor:
    """One request's visitor.

    :param user: the user of Airflow's session. ``None`` if it has ended.
    """

    def __init__(self, request: Request, user: Any) -> None:
        self.request = request
        self._user = user
        self._seals = Seals(_airflow.secret_key())
        self._browser = request.cookies.get(BROWSER) or secrets.token_urlsafe(32)

    @property
    def user_name(self) -> str:
        """The user's name in the audit log."""
        return str(self._user.get_name())

    def may_edit(self, conn_id: str | None) -> bool:
        """Return whether the visitor may edit a connection, or (``None``) create one."""
        team = stored.find_team(conn_id) if conn_id is not None else None
        return _airflow.may_edit_connection(self._user, conn_id, team)

    def require_edit(self, conn_id: str | None) -> None:
        """Refuse the request unless the visitor may edit a connection, or (``None``) create one."""
        if not self.may_edit(conn_id):
            raise RefusedError(
                403,
                "You may not edit connections in this Airflow. Ask an admin to connect the cloud, or for permission.",
            )

    def find(self, conn_id: str) -> StoredConnection:
        """Return a connection that the visitor may edit, or refuse the request."""
        try:
            stored.check_id(conn_id)
            self.require_edit(conn_id)
            connection = stored.find(conn_id)
        except WrongConnectionError as error:
            raise RefusedError(400, str(error)) from None
        if connection is None:
            raise RefusedError(
                404,
                f"There is no connection {conn_id} in this Airflow. Create it with New connection. For a secrets "
                "backend, python -m airflow_provider_dotypos connect prints the value to store.",
            )
        return connection

    def require_own_form(self, token: str) -> None:
        """Refuse the request unless its form is on a page that this visitor was shown."""
        try:
            self.open("form", token, life=_FORM_LIFE)
        except BrokenSealError:
            raise RefusedError(403, "This form is too old or not of your session. Open the page again.") from None

    def seal(self, purpose: str, **content: Any) -> str:
        """Return content as text that only this visitor can hand back."""
        return self._seals.seal(purpose, {**content, "visitor": self._mark})

    def open(self, purpose: str, sealed: str | None, *, life: int) -> dict[str, Any]:
        """Return what was sealed for this visitor.

        :param life: seconds after which a seal counts as expired.
        :raises BrokenSealError: if it wasn't sealed for this visitor, or too long ago.
        """
        content = self._seals.open(purpose, sealed, life=life)
        if content.pop("visitor", None) != self._mark:
            raise BrokenSealError(purpose)
        return content

    def digest(self, purpose: str, *values: str) -> str:
        """Return a digest by which only this Airflow can compare values with others later."""
        return self._seals.digest(purpose, *values)

    def page(self, name: str, status: int = 200, *, leaves: bool = False, **content: Any) -> Response:
        """Return a page made from a template."""
        html = pages.render(name, csrf_token=self.seal("form"), **content)
        response = Response(html, status, pages.headers(leaves=leaves), "text/html")
        self._set(response, BROWSER, self._browser, None)
        return response

    def keep(self, result: Result, journey: str) -> Response:
        """End a journey: keep its result in the browser, sealed, and redirect to the page that shows it."""
        response = RedirectResponse("result", 303)
        self._set(response, BROWSER, self._browser, None)
        sealed = self.seal("result", **msgspec.to_builtins(result), journey=journey)
        self._set(response, RESULT, sealed, ANSWER_LIFE)
        return response

    def notify(self, message: str) -> Response:
        """Go on to the page that shows a message. The browser keeps its last journey's result.

        Anybody can send a browser to the callback, signed in or not. That must not cost what a journey brought home.
        """
        response = RedirectResponse("result", 303)
        self._set(response, NOTICE, self._seals.seal("notice", {"message": message}), ANSWER_LIFE)
        return response

    def last_result(self) -> KeptResult | None:
        """Return the result of this browser's last journey, unless it is too old or another user's."""
        return self.open_result(self.request.cookies.get(RESULT, ""))

    def open_result(self, sealed: str) -> KeptResult | None:
        """Return a result that was sealed for this visitor, unless it is too old."""
        with suppress(BrokenSealError, msgspec.ValidationError):
            content = self.open("result", sealed, life=ANSWER_LIFE)
            return KeptResult(msgspec.convert(content, Result, strict=False), str(content.get("journey")), sealed)
        return None

    def notice(self) -> str | None:
        """Return the message that this browser is to be shown, if there is one."""
        with suppress(BrokenSealError):
            kept = self._seals.open("notice", self.request.cookies.get(NOTICE), life=ANSWER_LIFE)
            return str(kept["message"])
        return None

    def forget_notice(self, response: Response) -> Response:
        """Let the response take the message away, so that it is shown once."""
        self._set(response, NOTICE, "", 0)
        return response

    @property
    def _mark(self) -> str:
        return hashlib.sha256(f"{self._user.get_id()} {self._browser}".encode()).hexdigest()

    def _set(self, response: Response, name: str, value: str, life: int | None) -> None:
        secure = back_at(self.request).startswith("https:")
        # Lax: a return from Dotypos comes from another site and must bring the cookies. A form that another site posts
        # must not.
        response.set_cookie(
            name, value, life, path=self.request.scope["root_path"] or "/", secure=secure, httponly=True, samesite="lax"
        )


def visitor(request: Request, user: Annotated[Any, Depends(_airflow.signed_in_user())]) -> Visitor:
    """Return a request's visitor (a dependency).

    :raises HTTPException: if nobody is signed in.
    """
    return Visitor(request, user)


def back_at(request: Request) -> str:
    """Return the page's address in the visitor's browser, whatever proxies stand between.

    A form's request names it in its Origin. Without one, or with a foreign one, ``[api] base_url`` does, or else the
    name by which the server was called.
    """
    configured = urlsplit(_airflow.base_url() or str(request.base_url))
    origin = urlsplit(request.headers.get("origin", ""))
    ours = origin.scheme in ("http", "https") and origin.netloc in (configured.netloc, request.headers.get("host"))
    known = origin if ours else configured
    return f"{known.scheme}://{known.netloc}{request.scope['root_path']}"


def login(request: Request) -> str:
    """Return the address to sign in to Airflow at, which leads back to the page."""
    root = request.scope["root_path"].removesuffix(PATH)
    page = "result" if request.url.path.endswith("/result") else ""
    return f"{root}/api/v2/auth/login?next={quote(f'{root}{PATH}/{page}', safe='')}"
