"""The page *Connect Dotypos*, mounted into Airflow's API server.

A journey: the person chooses a connection and presses the button (``POST connect``), is sent on with a signed form
(``GET go``), allows access on Dotypos's page, comes back with a refresh token in the address (``GET callback``), and is
sent to an address without one (``GET result``). This process keeps nothing of it: what must last is sealed and kept by
the browser (``seals``), or is in Airflow's database.

https://docs.api.dotypos.com/authorization
"""

from __future__ import annotations

import logging
from dataclasses import replace
from typing import Annotated, Any
from urllib.parse import quote

from fastapi import Depends, FastAPI, Form, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import FileResponse, RedirectResponse
from starlette.exceptions import HTTPException as AnyHTTPException
from starlette.middleware.base import RequestResponseEndpoint

from airflow_provider_dotypos import _airflow
from airflow_provider_dotypos.api.check import CheckResult, place_of
from airflow_provider_dotypos.api.connector import connector
from airflow_provider_dotypos.api.entities import entities
from airflow_provider_dotypos.api.errors import DotyposConfigurationError, DotyposError
from airflow_provider_dotypos.api.settings import DEFAULT_BASE_URL
from airflow_provider_dotypos.connect import pages
from airflow_provider_dotypos.connect.grant import SIGNATURE_LIFE, is_dotypos
from airflow_provider_dotypos.connect.journey import Connected, Failed, HeldElsewhere, OtherCloud, Target, store
from airflow_provider_dotypos.connect.page import arrival, departure
from airflow_provider_dotypos.connect.page.departure import Typed
from airflow_provider_dotypos.connect.page.next_steps import find_documentation, write_first_dag
from airflow_provider_dotypos.connect.page.suggestion import suggest_id
from airflow_provider_dotypos.connect.page.visitor import KeptResult, RefusedError, Visitor, back_at, login, visitor
from airflow_provider_dotypos.connect.routes import CALLBACK
from airflow_provider_dotypos.connections import audit, stored
from airflow_provider_dotypos.connections.checking import check_all, check_lists
from airflow_provider_dotypos.connections.errors import ConnectError, WrongConnectionError
from airflow_provider_dotypos.connections.stored import StoredConnection
from airflow_provider_dotypos.provider_info import CONN_FIELDS, provider_info
from airflow_provider_dotypos.webhooks.connection_webhooks import ConnectionWebhooks

log = logging.getLogger(__name__)

#: Requests that show what a connection may read: one for each list, those for the cloud and for the parents of lists.
_ACCESS_REQUESTS = sum(1 + (entity.parent is not None) for entity in entities().values() if entity.listed) + 2

#: Where Dotypos describes its entities.
_API_REFERENCE = provider_info()["integrations"][0]["external-doc-url"]

app = FastAPI(docs_url=None, redoc_url=None, openapi_url=None, redirect_slashes=False)

Visit = Annotated[Visitor, Depends(visitor)]
Field = Annotated[str, Form()]
CsrfToken = Annotated[str, Form(alias="form")]


@app.get("/")
def show_connections(visit: Visit) -> Response:
    """List the connections that the visitor may edit."""
    return _show_list(visit, {})


@app.post("/check")
def check_connections(visit: Visit, conn_id: Field = "", csrf_token: CsrfToken = "") -> Response:
    """Show whether one connection works, or without an id which of all."""
    visit.require_own_form(csrf_token)
    return _show_list(visit, check_all([each for each in _list_editable(visit) if conn_id in ("", each.conn_id)]))


@app.post("/access")
def show_access(visit: Visit, conn_id: Field = "", csrf_token: CsrfToken = "") -> Response:
    """Show which lists a connection may read."""
    visit.require_own_form(csrf_token)
    connection = visit.find(conn_id)
    verdict = check_all([connection])[conn_id]
    checks = check_lists(connection.settings()) if verdict.works else []
    return visit.page(
        "access.html",
        conn_id=conn_id,
        verdict=verdict,
        readable=[each.check for each in checks if each.result == "readable"],
        empty=[each.check for each in checks if each.result == "empty"],
        refused=[each for each in checks if each.result == "refused"],
        unknown=[each for each in checks if each.result not in ("readable", "empty", "refused")],
    )


@app.post("/webhooks")
def show_webhooks(
    visit: Visit,
    conn_id: Field = "",
    action: Field = "",
    entity: Field = "",
    webhook_id: Field = "",
    csrf_token: CsrfToken = "",
) -> Response:
    """Show which changes a connection's cloud delivers to this Airflow, once an action has added or removed some."""
    visit.require_own_form(csrf_token)
    connection = visit.find(conn_id)
    webhooks = overview = done = problem = None
    try:
        webhooks = ConnectionWebhooks(connection, visit.user_name)
        done = _act(webhooks, action, entity, webhook_id)
    except DotyposError as error:
        problem = str(error)
    if webhooks is not None:
        try:
            overview = webhooks.overview()
        except DotyposError as error:
            problem = problem or str(error)
    return visit.page(
        "webhooks.html",
        connection=connection,
        receives=_airflow.receives_webhooks(),
        address_problem=webhooks.problem if webhooks is not None else None,
        overview=overview,
        done=done,
        problem=problem,
    )


def _act(webhooks: ConnectionWebhooks, action: str, entity: str, webhook_id: str) -> str | None:
    """Do what a button says, and return what was done."""
    match action:
        case "register":
            if webhooks.register(entity):
                return f"Dotypos delivers the changes of {entity} to this Airflow."
            return f"The cloud has no warehouse, so there is nothing that could deliver {entity}."
        case "remove":
            webhooks.remove(entity)
            return f"Dotypos no longer delivers the changes of {entity} to this Airflow."
        case "remove_elsewhere":
            webhooks.remove_elsewhere(webhook_id)
            return f"Webhook {webhook_id} is removed."
    return None


@app.get("/connect")
def show_departure(visit: Visit, conn_id: str | None = None) -> Response:
    """Show what connecting will do, to a connection or (without an id) to a new one."""
    if conn_id is None:
        visit.require_edit(None)
        return _show_departure(visit, None)
    return _show_departure(visit, visit.find(conn_id))


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
    csrf_token: CsrfToken = "",
) -> Response:
    """Store what was typed, and send the visitor on to the signed form."""
    visit.require_own_form(csrf_token)
    typed = Typed(*(text.strip() for text in (conn_id, client_id, client_secret, host)))
    connection = None if new else visit.find(typed.conn_id)
    try:
        state = departure.begin(visit, connection, typed, legacy=bool(legacy), shown=shown)
    except (WrongConnectionError, DotyposConfigurationError) as error:
        return _show_departure(visit, connection, str(error), typed, 400)
    return RedirectResponse(f"go?state={quote(state)}", 303)


@app.get("/go")
def leave(visit: Visit, state: str = "") -> Response:
    """Send the visitor to Dotypos by a form that is signed now."""
    try:
        journey = arrival.open_state(visit, state)
    except ConnectError as error:
        raise RefusedError(400, str(error)) from None
    form = departure.leave(visit, state, journey)
    again = f"connect?conn_id={quote(str(journey['conn_id']), safe='')}"
    return visit.page("go.html", leaves=True, signed=form, again=again, life=SIGNATURE_LIFE)


@app.get(f"/{CALLBACK}")
def come_back(visit: Visit) -> Response:
    """Take what Dotypos sent the visitor back with, and redirect to an address that doesn't hold it."""
    try:
        return visit.keep(*arrival.arrive(visit, visit.request.query_params))
    except ConnectError as error:
        return visit.notify(str(error))
    except RefusedError as error:  # the connection was deleted, or the visitor may no longer edit it
        return visit.notify(f"Nothing was stored. {error.detail}")
    except Exception as error:  # whatever it is, the token must not stay in the address
        log.error("A return from Dotypos failed by %s", place_of(error))
        return visit.notify(f"Airflow failed ({type(error).__name__}). Connect again.")


@app.get("/result")
def show_result(visit: Visit) -> Response:
    """Show how a journey ended; before that, once, why somebody who came back was sent away."""
    kept, notice = visit.last_result(), visit.notice()
    if notice is not None:
        shown = visit.page("failed.html", message=notice, conn_id=None, waiting=kept is not None)
        return visit.forget_notice(shown)
    return RedirectResponse("./", 303) if kept is None else _show_result(visit, kept)


@app.post("/result")
def decide(
    visit: Visit, choice: Field = "", conn_id: Field = "", question: Field = "", csrf_token: CsrfToken = ""
) -> Response:
    """Store a cloud other than the connection's own: in its place, or as another connection."""
    visit.require_own_form(csrf_token)
    kept = visit.open_result(question)
    if kept is None or not isinstance(kept.result, OtherCloud):
        raise RefusedError(400, "This answer came too late, or isn't yours. Nothing was stored. Connect again.")
    asked = kept.result
    connection = visit.find(asked.conn_id)
    try:
        target = Target(connection, visit.user_name, base_url=asked.base_url)
        if choice != "replace":
            target = _as_new_connection(visit, target, conn_id.strip())
        if not audit.note_answer(kept.journey, asked.conn_id):  # what was stored since may be newer
            raise RefusedError(400, "This question was answered before. Nothing was changed.")
        store(asked.grant, target)
    except WrongConnectionError as error:
        return _show_result(visit, kept, str(error), 400)
    return visit.keep(Connected(conn_id=target.connection.conn_id, cloud=asked.cloud), kept.journey)


@app.get("/static/{name}")
def static(name: str) -> Response:
    """Answer one of the page's files, which anybody may see."""
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
        response = _refusal(500, f"Airflow failed ({type(error).__name__}). Its log says where. Nothing else was done.")
    for name, value in pages.headers().items():
        response.headers.setdefault(name, value)
    return response


@app.exception_handler(AnyHTTPException)
def refuse(request: Request, error: AnyHTTPException) -> Response:
    """Show why a page was refused, or let the visitor sign in."""
    if isinstance(error, RefusedError) or error.status_code not in (401, 403):
        return _refusal(error.status_code, str(error.detail))
    # Neither of these is ours: Airflow doesn't know the session (any more).
    if request.url.path.endswith(f"/{CALLBACK}"):
        return Visitor(request, None).notify(arrival.SIGNED_OUT)
    return RedirectResponse(login(request), 303)


@app.exception_handler(RequestValidationError)
def refuse_nonsense(request: Request, error: RequestValidationError) -> Response:
    """Refuse a request that the pages never make, without repeating it."""
    return _refusal(400, "This request can't be read. Open the page again.")


def _refusal(status: int, message: str) -> Response:
    return Response(pages.render("refused.html", message=message), status, media_type="text/html")


def _as_new_connection(visit: Visitor, target: Target, conn_id: str) -> Target:
    """Return a new connection, with the fields of a target's.

    :raises WrongConnectionError: if it can't be created.
    """
    visit.require_edit(None)
    stored.require_unused(conn_id)
    old = target.connection
    if stored.find_team(old.conn_id) is not None:
        # A connection created here belongs to no team, so DAGs of all teams could use this team's credentials.
        raise WrongConnectionError("This connection belongs to a team. Create the other one on Admin > Connections.")
    fields = {"login": old.client_id, "password": old.client_secret, "host": old.host, "port": old.port}
    return replace(target, connection=replace(old, conn_id=conn_id), is_new=True, fields=fields)


def _show_result(visit: Visitor, kept: KeptResult, problem: str | None = None, status: int = 200) -> Response:
    """Show how a journey ended. The template gets only what is named here, and a grant only as a value to store."""
    match kept.result:
        case Connected(conn_id=conn_id, cloud=cloud):
            return visit.page(
                "connected.html",
                conn_id=conn_id,
                cloud=cloud,
                access_requests=_ACCESS_REQUESTS,
                **_next_steps(conn_id),
            )
        case Failed(conn_id=conn_id, message=message):
            return visit.page("failed.html", conn_id=conn_id, message=message, waiting=False)
        case OtherCloud(conn_id=conn_id, cloud=cloud, own_cloud=own_cloud, grant=grant):
            visit.find(conn_id)  # which may be refused by now
            return visit.page(
                "other_cloud.html",
                status,
                conn_id=conn_id,
                cloud=cloud,
                own_cloud=own_cloud,
                problem=problem,
                question=kept.sealed,
                suggested=suggest_id(grant),
            )
        case HeldElsewhere(conn_id=conn_id, cloud=cloud, held_in=held_in, grant=grant):
            # The connection's other extras may be secrets that the visitor can't read elsewhere.
            connection = visit.find(conn_id)
            own = {name: value for name, value in connection.extra.items() if name in CONN_FIELDS}
            return visit.page(
                "held_elsewhere.html",
                conn_id=conn_id,
                cloud=cloud,
                held_in=held_in,
                value=replace(connection, extra=own).with_grant(grant.extra),
                hidden=sorted(connection.extra.keys() - CONN_FIELDS.keys()),
                **_next_steps(conn_id),
            )


def _next_steps(conn_id: str) -> dict[str, Any]:
    return {
        "first_dag": write_first_dag(conn_id),
        "documentation": find_documentation(),
        "api_reference": _API_REFERENCE,
    }


def _show_list(visit: Visitor, verdicts: dict[str, CheckResult]) -> Response:
    connections, may_add = _list_editable(visit), visit.may_edit(None)
    if not connections:
        visit.require_edit(None)
    return visit.page(
        "connections.html",
        connections=connections,
        verdicts=verdicts,
        may_add=may_add,
        is_dotypos=is_dotypos,
        access_requests=_ACCESS_REQUESTS,
    )


def _show_departure(
    visit: Visitor,
    connection: StoredConnection | None,
    problem: str | None = None,
    typed: Typed | None = None,
    status: int = 200,
) -> Response:
    base_url = DEFAULT_BASE_URL if connection is None else connection.base_url
    return visit.page(
        "departure.html",
        status,
        connection=connection,
        problem=problem,
        typed=typed or Typed(suggest_id() if connection is None else ""),
        back=back_at(visit.request),
        base_url=base_url,
        goes_to=f"{connector(base_url)}/v2" if base_url else None,
        foreign=base_url is not None and not is_dotypos(base_url),
    )


def _list_editable(visit: Visitor) -> list[StoredConnection]:
    return [connection for connection in stored.list_all() if visit.may_edit(connection.conn_id)]
