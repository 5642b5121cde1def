"""The page *Connect Dotypos*, mounted into Airflow's API server.

A journey: the person chooses a connection and presses the button (``POST connect``), is sent on with a signed form
(``GET go``), allows access on Dotypos's pages, comes back with a refresh token in the address (``GET callback``), and
is sent to an address without one (``GET result``). Nothing of it is kept in this process: see ``seals``, ``journeys``.

https://docs.api.dotypos.com/authorization
"""

from __future__ import annotations

import logging
from dataclasses import replace
from typing import Annotated
from urllib.parse import quote

from fastapi import Depends, FastAPI, Form, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import FileResponse, RedirectResponse
from starlette.exceptions import HTTPException as AnyHTTPException
from starlette.middleware.base import RequestResponseEndpoint

from airflow_provider_dotypos.api.check import Verdict, place_of
from airflow_provider_dotypos.api.connector import connector
from airflow_provider_dotypos.api.errors import DotyposConfigurationError
from airflow_provider_dotypos.api.settings import DEFAULT_BASE_URL
from airflow_provider_dotypos.connect.grant import (
    CALLBACK,
    SIGNATURE_LIFE,
    TIME_TO_DECIDE,
    ConnectError,
    is_dotypos,
)
from airflow_provider_dotypos.connect.page import pages
from airflow_provider_dotypos.connect.page.arrival import (
    EXPIRED,
    SIGNED_OUT,
    STRANGER,
    Outcome,
    arrive,
    find,
    granted,
    require_same_host,
    store,
)
from airflow_provider_dotypos.connect.page.departure import Typed, begin, require_unused, way_out
from airflow_provider_dotypos.connect.page.seals import BrokenSealError, ExpiredSealError
from airflow_provider_dotypos.connect.page.visitor import (
    NOT_ALLOWED,
    RefusedError,
    Visitor,
    back_at,
    login,
    visitor,
)
from airflow_provider_dotypos.connections import audit, stored
from airflow_provider_dotypos.connections.checking import check_all
from airflow_provider_dotypos.connections.stored import StoredConnection, WrongConnectionError
from airflow_provider_dotypos.provider_info import CONN_FIELDS

log = logging.getLogger(__name__)

DEFAULT_CONN_ID = "dotypos_default"

app = FastAPI(docs_url=None, redoc_url=None, openapi_url=None, redirect_slashes=False)

Visit = Annotated[Visitor, Depends(visitor)]
Field = Annotated[str, Form()]


@app.get("/")
def show_connections(visit: Visit) -> Response:
    """List the connections that the visitor may edit."""
    return _overview(visit, {})


@app.post("/check")
def check_connections(visit: Visit, conn_id: Field = "", form: Field = "") -> Response:
    """Show which connections work: one, or without an id all of them."""
    visit.require_own_form(form)
    return _overview(visit, check_all([found for found in _editable(visit) if conn_id in ("", found.conn_id)]))


@app.get("/connect")
def show_journey(visit: Visit, conn_id: str | None = None) -> Response:
    """Show what connecting will do: to a connection, or (without an id) to one yet to be made."""
    if conn_id is None:
        visit.require_edit(None)
        return _departure(visit, None)
    return _departure(visit, find(visit, conn_id))


@app.post("/connect")
def begin_journey(
    visit: Visit,
    conn_id: Field = "",
    client_id: Field = "",
    client_secret: Field = "",
    host: Field = "",
    legacy: Field = "",
    new: Field = "",
    shown: Field = "",
    form: Field = "",
) -> Response:
    """Store what was typed, and send the visitor on to the signed form."""
    visit.require_own_form(form)
    typed = Typed(*(text.strip() for text in (conn_id, client_id, client_secret, host)))
    found = None if new else find(visit, typed.conn_id)
    try:
        state = begin(visit, found, typed, legacy=bool(legacy), shown=shown)
    except (WrongConnectionError, DotyposConfigurationError) as error:
        return _departure(visit, found, str(error), typed, 400)
    return RedirectResponse(f"go?state={quote(state)}", 303)


@app.get("/go")
def leave(visit: Visit, state: str = "") -> Response:
    """Send the visitor to Dotypos by a form that is signed now."""
    try:
        journey = visit.open("state", state, life=TIME_TO_DECIDE)
    except ExpiredSealError:
        raise RefusedError(400, EXPIRED) from None
    except BrokenSealError:
        raise RefusedError(400, STRANGER) from None
    out = way_out(visit, state, journey)
    again = f"connect?conn_id={quote(str(journey['conn_id']), safe='')}"
    return visit.page(
        "go.html",
        leaves=True,
        method=out.method,
        action=out.action,
        fields=out.fields,
        again=again,
        life=SIGNATURE_LIFE,
    )


@app.get(f"/{CALLBACK}")
def come_back(visit: Visit) -> Response:
    """Take what Dotypos sent the visitor back with, and go on to an address that doesn't hold it."""
    try:
        return visit.conclude(arrive(visit, visit.request.query_params))
    except ConnectError as error:
        return visit.notify(str(error))
    except RefusedError as error:  # the connection has vanished, or is no longer the visitor's to edit
        return visit.notify(f"Nothing was stored. {error.detail}")
    except Exception as error:  # whatever it is, the token must not stay in the address
        log.error("A return from Dotypos failed by %s", place_of(error))
        return visit.notify(f"Airflow failed ({type(error).__name__}); connect again.")


@app.get("/result")
def show_result(visit: Visit) -> Response:
    """Show how a journey ended; or first, once, why somebody who came back was sent away."""
    outcome, notice = visit.outcome(visit.kept_outcome), visit.notice()
    if notice is not None:
        told = {"kind": "failed", "message": notice, "waiting": outcome is not None}
        return visit.forget_notice(_result(visit, told))
    return RedirectResponse("./", 303) if outcome is None else _result(visit, outcome, visit.kept_outcome)


@app.post("/result")
def decide(visit: Visit, choice: Field = "", conn_id: Field = "", question: Field = "", form: Field = "") -> Response:
    """Store a cloud other than the connection's own: in its place, or as another connection."""
    visit.require_own_form(form)
    outcome = visit.outcome(question)
    if outcome is None or outcome["kind"] != "other cloud":
        raise RefusedError(400, "This answer came too late, or isn't yours. Nothing was stored; connect again.")
    grant, found, at = granted(outcome), find(visit, outcome["conn_id"]), outcome.get("at")
    try:
        require_same_host(found, at)
        if choice == "replace":
            _require_first_answer(outcome)
            return visit.conclude(store(visit, found.conn_id, grant, outcome["cloud"], at))
        visit.require_edit(None)
        conn_id = conn_id.strip()
        require_unused(conn_id)
        if stored.team_of(found.conn_id) is not None:
            # A connection made here belongs to no team, so DAGs of all teams could use what this team's knows.
            raise WrongConnectionError("This connection is a team's: make the other one on Admin > Connections.")
        _require_first_answer(outcome)
        stored.create(
            conn_id,
            user=visit.user_name,
            login=found.client_id,
            password=found.client_secret,
            host=found.host,
            port=found.port,
            extra={**found.extra, **grant.extra},
        )
    except WrongConnectionError as error:
        return _result(visit, {**outcome, "problem": str(error)}, question, 400)
    audit.stored(conn_id, grant.cloud_id, visit.user_name)
    return visit.conclude({"kind": "connected", "conn_id": conn_id, "cloud": outcome["cloud"]})


@app.get("/static/{name}")
def static(name: str) -> Response:
    """Answer a file of the pages; they hold nothing that anybody may not see."""
    path = pages.STATIC.get(name)
    if path is None:
        raise RefusedError(404, "There is no such file.")
    return FileResponse(path, media_type=pages.MEDIA_TYPES[path.suffix])


@app.middleware("http")
async def keep_to_ourselves(request: Request, call_next: RequestResponseEndpoint) -> Response:
    """Give every answer the pages' headers: redirects, refusals and failures, too."""
    try:
        response = await call_next(request)
    except Exception as error:  # here and not in a handler of FastAPI's, whose answer would pass this by
        log.error("%s %s failed by %s", request.method, request.url.path, place_of(error))
        response = _refusal(500, f"Airflow failed ({type(error).__name__}); its log says where. Nothing more was done.")
    for name, value in pages.headers().items():
        response.headers.setdefault(name, value)
    return response


@app.exception_handler(AnyHTTPException)
def refuse(request: Request, error: AnyHTTPException) -> Response:
    """Show why a page was refused; who isn't signed in is sent to do so."""
    if isinstance(error, RefusedError) or error.status_code not in (401, 403):
        return _refusal(error.status_code, str(error.detail))
    # Neither of these is ours: Airflow doesn't know the session (any more).
    if request.url.path.endswith(f"/{CALLBACK}"):
        return Visitor(request, None).notify(SIGNED_OUT)
    return RedirectResponse(login(request), 303)


@app.exception_handler(RequestValidationError)
def refuse_nonsense(request: Request, error: RequestValidationError) -> Response:
    """Show that a request was none that the pages make, without repeating it."""
    return _refusal(400, "This request can't be read. Open the page anew.")


def _refusal(status: int, message: str) -> Response:
    return Response(pages.render("refused.html", message=message), status, media_type="text/html")


def _require_first_answer(outcome: Outcome) -> None:
    """Refuse to answer a question again: what was stored since may be newer."""
    if not audit.answer(outcome["journey"], outcome["conn_id"]):
        raise RefusedError(400, "This question was answered before. Nothing was changed.")


def _result(visit: Visitor, outcome: Outcome, sealed: str = "", status: int = 200) -> Response:
    """Show an outcome.

    :param sealed: the outcome as it was sealed when the journey ended. An answer brings it along, because another tab
        may have another one; it is never sealed anew, so that nothing moves its deadline.
    """
    shown = {"conn_id": None, "problem": None, "value": None, "waiting": False, "hidden": [], **outcome}
    shown["question"] = sealed
    if "grant" in outcome:
        found = find(visit, outcome["conn_id"])
        if outcome["kind"] == "held elsewhere":
            # The one time that a token is shown: there is nowhere that it could be stored from here. What else the
            # connection holds may be a secret that the visitor can't read elsewhere.
            own = {name: value for name, value in found.extra.items() if name in CONN_FIELDS}
            shown["value"] = replace(found, extra=own).with_grant(granted(outcome).extra)
            shown["hidden"] = sorted(found.extra.keys() - CONN_FIELDS.keys())
    return visit.page("result.html", status, **{key: value for key, value in shown.items() if key != "grant"})


def _overview(visit: Visitor, verdicts: dict[str, Verdict]) -> Response:
    shown, may_add = _editable(visit), visit.may_edit(None)
    if not shown and not may_add:
        raise RefusedError(403, NOT_ALLOWED)
    return visit.page("connections.html", connections=shown, verdicts=verdicts, may_add=may_add, is_dotypos=is_dotypos)


def _departure(
    visit: Visitor,
    found: StoredConnection | None,
    problem: str | None = None,
    typed: Typed | None = None,
    status: int = 200,
) -> Response:
    base_url = DEFAULT_BASE_URL if found is None else found.base_url
    return visit.page(
        "departure.html",
        status,
        found=found,
        problem=problem,
        typed=typed or Typed(_free_default() if found is None else ""),
        back=back_at(visit.request),
        base_url=base_url,
        goes_to=f"{connector(base_url)}/v2" if base_url else None,
        foreign=base_url is not None and not is_dotypos(base_url),
    )


def _free_default() -> str:
    """Return the id that hooks take by default, if a new connection can have it."""
    try:
        require_unused(DEFAULT_CONN_ID)
    except WrongConnectionError:
        return ""
    return DEFAULT_CONN_ID


def _editable(visit: Visitor) -> list[StoredConnection]:
    return [found for found in stored.listed() if visit.may_edit(found.conn_id)]
