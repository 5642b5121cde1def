"""The API as HTTP: sign-in, and the routes, which follow the entity table."""

from __future__ import annotations

import re
from functools import cache

from fastapi import APIRouter, FastAPI, Request, Response
from starlette.exceptions import HTTPException
from starlette.routing import BaseRoute

from airflow_provider_dotypos.api.entities import Entity, entities
from airflow_provider_dotypos.sandbox.api import connector, control, lists, pages, pos, register, reports, stock, writes
from airflow_provider_dotypos.sandbox.api.calls import (
    JSON,
    answer,
    bearer,
    body_object,
    page_answer,
    path_id,
    state_of,
    within,
)
from airflow_provider_dotypos.sandbox.api.state import State
from airflow_provider_dotypos.sandbox.errors import RefusedError, invalid, not_found

router = APIRouter()


def create_app(state: State) -> FastAPI:
    """Return the API with this state."""
    app = FastAPI(title="Dotypos sandbox", docs_url=None, redoc_url=None, openapi_url=None)
    app.state.sandbox = state
    app.add_exception_handler(RefusedError, _refusal)
    app.add_exception_handler(HTTPException, _http_refusal)
    app.router.routes += _routes()
    return app


@cache
def _routes() -> list[BaseRoute]:
    """Return the routes, which hold no state. To make them takes 20 ms, much more than all else of a sandbox."""
    whole = APIRouter()
    for part in (control, connector, pages, pos, register, reports, stock):
        whole.include_router(part.router)
    whole.include_router(router)  # last: it takes every path below a cloud
    return whole.routes


@router.post("/v2/signin/token", response_model=None)
async def sign_in(request: Request) -> Response:
    """Issue an access token for a refresh token."""
    state = state_of(request)
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    if scheme != "User" or not token:
        raise RefusedError(401, "INVALID_AUTH_HEADER", "Authorization must be: User <refresh token>")
    cloud_id = (await body_object(request)).get("_cloudId")
    access = state.tokens.sign_in(token, _cloud_number(cloud_id))
    state.sign_ins += 1
    return answer({"accessToken": access}, 201)  # 201, not 200 [D2, C5]; no expires_in [D2]


@router.get("/v2/clouds", response_model=None)
async def clouds(request: Request) -> Response:
    """List the clouds of the token, the only call for a token without a cloud [D2]."""
    state = state_of(request)
    _, allowed = bearer(request)
    query, headers = request.query_params, request.headers
    return page_answer(request, lists.page(state.shop, 0, "clouds", query, state.behaviour, headers, allowed))


@router.get("/v2/clouds/{cloud_id}", response_model=None)
async def cloud(request: Request, cloud_id: str) -> Response:
    """Return one cloud: the cheap connection test [D2, C3]."""
    state = state_of(request)
    number = within(request, cloud_id)
    return page_answer(request, lists.single(state.shop, 0, "clouds", number, request.query_params, state.behaviour))


@router.api_route(
    "/v2/clouds/{cloud_id}/{path:path}",
    methods=["GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"],
    response_model=None,
)
async def below_a_cloud(request: Request, cloud_id: str, path: str) -> Response:
    """Answer any call to an entity of the table, or refuse the method that the entity doesn't offer [D]."""
    state = state_of(request)
    number = within(request, cloud_id)
    entity, placeholders, id = find_target(path)
    allowed = methods(entity, single=id is not None)
    if request.method not in allowed:
        raise HTTPException(405, "method not allowed", {"Allow": ", ".join(allowed)})
    if request.method == "OPTIONS":
        return Response(headers={"Allow": ", ".join(allowed)})
    if request.method != "GET":
        return await writes.write(request, number, entity, id)
    query, behaviour = request.query_params, state.behaviour
    if id is None:
        page = lists.page(state.shop, number, entity.name, query, behaviour, request.headers, None, **placeholders)
    else:
        page = lists.single(state.shop, number, entity.name, id, query, behaviour, **placeholders)
    return page_answer(request, page)


_PATHS = {
    entity.name: re.compile(re.sub(r"\{(\w+)\}", r"(?P<\1>[^/]+)", entity.path) + r"(?:/(?P<id>[^/]+))?")
    for entity in entities().values()
    if entity.listed and entity.in_cloud
}


def find_target(path: str) -> tuple[Entity, dict[str, int], int | None]:
    """Return the entity at a path below a cloud, the ids in its path, and the row's id if there is one."""
    for name, pattern in _PATHS.items():
        match = pattern.fullmatch(path)
        if match is not None:
            parts = {key: path_id(text, key) for key, text in match.groupdict().items() if text is not None}
            id = parts.pop("id", None)
            return entities()[name], parts, id
    raise not_found(f"path {path}")


def methods(entity: Entity, *, single: bool) -> list[str]:
    """Return the HTTP methods that an entity offers on its list, or on a single row."""
    if single:
        reads = ["GET"] if entity.single else []
        return [*reads, *entity.writes.row_methods, "OPTIONS"]
    return ["GET", *entity.writes.list_methods, "OPTIONS"]


def _cloud_number(value: object) -> int | None:
    """Read ``_cloudId``: a number or its text [C12], or nothing."""
    if value is None:
        return None
    if isinstance(value, bool) or not re.fullmatch(r"\d{1,10}", str(value)):
        raise invalid("_cloudId", "must be a whole number")
    return int(str(value))


async def _refusal(request: Request, error: Exception) -> Response:
    assert isinstance(error, RefusedError)
    paths = state_of(request).behaviour.violation_paths == "path"
    return Response(error.body(paths=paths), error.status, media_type=JSON)


async def _http_refusal(request: Request, error: Exception) -> Response:
    """Word a refusal of the router (404, 405) as the API does."""
    assert isinstance(error, HTTPException)
    reason = str(error.detail).upper().replace(" ", "_")
    refusal = RefusedError(error.status_code, reason, f"{request.method} {request.url.path}")
    return Response(refusal.body(), error.status_code, dict(error.headers or {}), JSON)
