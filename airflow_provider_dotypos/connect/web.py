"""The page *Connect Dotypos*, mounted into Airflow's API server.

A journey: the person chooses a connection and presses the button (``POST connect``), is sent on with a signed form
(``GET go``), allows access on Dotypos's pages, comes back with a refresh token in the address (``GET callback``), and
is sent to an address without one (``GET result``). Nothing of it is kept in this process: see ``seals``, ``journeys``.

https://docs.api.dotypos.com/authorization
"""

from __future__ import annotations

import logging
import secrets
from concurrent.futures import ThreadPoolExecutor
from typing import Annotated, Any
from urllib.parse import quote

from fastapi import Depends, FastAPI, Form, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import FileResponse, RedirectResponse
from starlette.exceptions import HTTPException as AnyHTTPException
from starlette.middleware.base import RequestResponseEndpoint

from airflow_provider_dotypos import _compat
from airflow_provider_dotypos.api.auth import connector
from airflow_provider_dotypos.api.check import Verdict, check
from airflow_provider_dotypos.api.errors import DotyposConfigurationError
from airflow_provider_dotypos.api.settings import Settings, read_base_url
from airflow_provider_dotypos.connect import connections, journeys, pages
from airflow_provider_dotypos.connect.arrival import (
    EXPIRED,
    SIGNED_OUT,
    STRANGER,
    Outcome,
    arrive,
    find,
    granted,
    store,
)
from airflow_provider_dotypos.connect.connections import Found, WrongConnectionError
from airflow_provider_dotypos.connect.grant import (
    CALLBACK,
    SIGNATURE_LIFE,
    TIME_TO_DECIDE,
    Application,
    ConnectError,
)
from airflow_provider_dotypos.connect.seals import BrokenSealError, ExpiredSealError
from airflow_provider_dotypos.connect.visitor import (
    ANSWER_LIFE,
    NOT_ALLOWED,
    RefusedError,
    Visitor,
    back_at,
    login,
    visitor,
)

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
    chosen = [found for found in _editable(visit) if conn_id in ("", found.conn_id)]
    with ThreadPoolExecutor(max_workers=8) as threads:
        verdicts = threads.map(_verdict, chosen)
    return _overview(visit, dict(zip((found.conn_id for found in chosen), verdicts, strict=True)))


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
    form: Field = "",
) -> Response:
    """Store what was typed, and send the visitor on to the signed form."""
    visit.require_own_form(form)
    conn_id, client_id, client_secret, host = (text.strip() for text in (conn_id, client_id, client_secret, host))
    found = None if new else find(visit, conn_id)
    try:
        _require_application(found, client_id, client_secret)
        if legacy and not (client_secret and (found is None or found.writable)):
            # Its address holds the secret: whoever may edit a connection doesn't get to see that of another person.
            raise WrongConnectionError(
                "The deprecated connector needs the Client Secret typed in: its address holds it."
            )
        read_base_url(host or (found and found.host), None if host else found and found.port)
        if found is None:
            visit.require_edit(None)
            _require_unused(conn_id)
            connections.create(conn_id, login=client_id, password=client_secret, host=host or None)
        elif found.writable:
            connections.update(conn_id, **_changes(client_id, client_secret, host))
    except (WrongConnectionError, DotyposConfigurationError) as error:
        typed = {"conn_id": conn_id, "client_id": client_id, "host": host}
        return _departure(visit, found, str(error), typed, 400)
    journey = secrets.token_urlsafe(16)
    journeys.begin(journey, conn_id, visit.user_name)
    state = visit.seal("state", conn_id=conn_id, journey=journey, back=back_at(visit.request), legacy=bool(legacy))
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
    found = find(visit, journey["conn_id"])
    try:
        _require_application(found)
        base_url = read_base_url(found.host, found.port)
    except (WrongConnectionError, DotyposConfigurationError) as error:
        raise RefusedError(400, f"The connection was changed meanwhile. {error}") from None
    application = Application(str(found.client_id), str(found.client_secret), base_url)
    # Dotypos's page stays open for its time from now on, so the state does, too.
    fresh = visit.seal("state", **journey)
    out = application.way_out(f"{journey['back']}/{CALLBACK}", fresh, legacy=journey["legacy"])
    again = f"connect?conn_id={quote(found.conn_id, safe='')}"
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
        outcome = arrive(visit, visit.request.query_params)
    except (ConnectError, WrongConnectionError) as error:
        outcome = {"kind": "failed", "message": str(error)}
    except RefusedError as error:  # the connection has vanished, or is no longer the visitor's to edit
        outcome = {"kind": "failed", "message": f"Nothing was stored. {error.detail}"}
    except Exception as error:  # whatever it is, the token must not stay in the address
        log.error("A return from Dotypos failed: %s", type(error).__name__)
        outcome = {"kind": "failed", "message": f"Airflow failed ({type(error).__name__}); connect again."}
    return visit.conclude(outcome)


@app.get("/result")
def show_result(visit: Visit) -> Response:
    """Show how a journey ended."""
    outcome = visit.outcome()
    return RedirectResponse("./", 303) if outcome is None else _result(visit, outcome)


@app.post("/result")
def decide(visit: Visit, choice: Field = "", conn_id: Field = "", question: Field = "", form: Field = "") -> Response:
    """Store a cloud other than the connection's own: in its place, or as another connection."""
    visit.require_own_form(form)
    try:
        outcome = visit.open("question", question, life=ANSWER_LIFE)
    except BrokenSealError:
        raise RefusedError(
            400, "This answer came too late, or isn't yours. Nothing was stored; connect again."
        ) from None
    grant, found = granted(outcome), find(visit, outcome["conn_id"])
    try:
        if choice == "replace":
            _require_first_answer(outcome)
            return visit.conclude(store(visit, found.conn_id, grant, outcome["cloud"]))
        visit.require_edit(None)
        conn_id = conn_id.strip()
        _require_unused(conn_id)
        if connections.team_of(found.conn_id) is not None:
            # A connection made here belongs to no team, so DAGs of all teams could use what this team's knows.
            raise WrongConnectionError("This connection is a team's: make the other one on Admin > Connections.")
        _require_first_answer(outcome)
        connections.create(
            conn_id,
            login=found.client_id,
            password=found.client_secret,
            host=found.host,
            port=found.port,
            extra={**found.extra, **grant.extra},
        )
    except WrongConnectionError as error:
        return _result(visit, {**outcome, "problem": str(error)}, 400)
    journeys.stored(conn_id, grant.cloud_id, visit.user_name)
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
    """Give every answer the pages' headers, redirects and refusals, too."""
    response = await call_next(request)
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
        return Visitor(request, None).conclude({"kind": "failed", "message": SIGNED_OUT})
    return RedirectResponse(login(request), 303)


@app.exception_handler(RequestValidationError)
def refuse_nonsense(request: Request, error: RequestValidationError) -> Response:
    """Show that a request was none that the pages make, without repeating it."""
    return _refusal(400, "This request can't be read. Open the page anew.")


def _refusal(status: int, message: str) -> Response:
    return Response(pages.render("refused.html", message=message), status, media_type="text/html")


def _changes(client_id: str, client_secret: str, host: str) -> dict[str, Any]:
    """Return the fields that were typed; one that was left empty stays as it is."""
    typed: dict[str, Any] = {"login": client_id, "password": client_secret, "host": host}
    changes = {name: text for name, text in typed.items() if text}
    return {**changes, "port": None} if host else changes  # the port belongs to the host before


def _require_unused(conn_id: str) -> None:
    """Raise unless a new connection can have this id: there is none of it, be it in another place."""
    connections.check_new_id(conn_id)
    if connections.find(conn_id) is not None:
        raise WrongConnectionError(f"There is a connection {conn_id} already; choose another id, or connect that one.")


def _require_first_answer(outcome: Outcome) -> None:
    """Refuse to answer a question again: what was stored since may be newer."""
    if not journeys.answer(outcome["journey"], outcome["conn_id"]):
        raise RefusedError(400, "This question was answered before. Nothing was changed.")


def _require_application(found: Found | None, client_id: str = "", client_secret: str = "") -> None:
    """Raise unless there is a client id and a client secret to sign with, held or typed."""
    writable = found is None or found.writable
    for name, typed, held in (
        ("Client ID", client_id, found and found.client_id),
        ("Client Secret", client_secret, found and found.client_secret),
    ):
        if not held and not (typed and writable):
            where = "" if writable or found is None else f" in {found.held_in}; add it there first"
            raise WrongConnectionError(f"{name} is missing{where}. Dotypos gives it out with a client application.")


def _result(visit: Visitor, outcome: Outcome, status: int = 200) -> Response:
    shown = {"conn_id": None, "problem": None, "value": None, "question": "", **outcome}
    if "grant" in outcome:
        found = find(visit, outcome["conn_id"])
        if outcome["kind"] == "held elsewhere":
            # The one time that a token is shown: there is nowhere that it could be stored from here.
            shown["value"] = found.with_grant(granted(outcome).extra)
        # The answer brings its question along, sealed: another tab may have another one.
        shown["question"] = visit.seal("question", **{key: outcome[key] for key in outcome if key != "problem"})
    return visit.page("result.html", status, **{key: value for key, value in shown.items() if key != "grant"})


def _overview(visit: Visitor, verdicts: dict[str, Verdict]) -> Response:
    shown, may_add = _editable(visit), visit.may_edit(None)
    if not shown and not may_add:
        raise RefusedError(403, NOT_ALLOWED)
    return visit.page("connections.html", connections=shown, verdicts=verdicts, may_add=may_add)


def _departure(
    visit: Visitor,
    found: Found | None,
    problem: str | None = None,
    typed: dict[str, str] | None = None,
    status: int = 200,
) -> Response:
    return visit.page(
        "departure.html",
        status,
        found=found,
        problem=problem,
        typed=typed or {"conn_id": _free_default() if found is None else "", "client_id": "", "host": ""},
        back=back_at(visit.request),
        goes_to=_destination(found),
    )


def _free_default() -> str:
    """Return the id that hooks take by default, if a new connection can have it."""
    try:
        _require_unused(DEFAULT_CONN_ID)
    except WrongConnectionError:
        return ""
    return DEFAULT_CONN_ID


def _destination(found: Found | None) -> str | None:
    """Return where a connection's journey leads, if its address is one."""
    try:
        return f"{connector(read_base_url(found and found.host, found and found.port))}/v2"
    except DotyposConfigurationError:
        return None


def _editable(visit: Visitor) -> list[Found]:
    return [found for found in connections.listed() if visit.may_edit(found.conn_id)]


def _verdict(found: Found) -> Verdict:
    return check(lambda: Settings.from_fields(host=found.host, port=found.port, extra=found.extra), _compat.mask_secret)
