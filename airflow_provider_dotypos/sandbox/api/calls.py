"""The steps that the routes share: check the token, read the body, shape the answer."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qsl

import msgspec
from fastapi import Request, Response

from airflow_provider_dotypos.sandbox.api.lists import Page
from airflow_provider_dotypos.sandbox.api.state import State
from airflow_provider_dotypos.sandbox.errors import RefusedError, invalid, not_found
from airflow_provider_dotypos.sandbox.faults import Write

JSON = "application/json"


def state_of(request: Request) -> State:
    """Return the state of the API that a request came to."""
    state: State = request.app.state.sandbox
    return state


def bearer(request: Request) -> tuple[int | None, frozenset[int]]:
    """Return the cloud of the request's access token, and the clouds it may list.

    :raises RefusedError: if there is no bearer token (401), or it is expired or invalid (403) [D2].
    """
    if re.search(r"[|;]", request.url.query):
        raise invalid("query", "| and ; must be URL-encoded (%7C, %3B)")  # some servers reject them [C3]
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    if scheme != "Bearer" or not token:
        raise RefusedError(401, "INVALID_AUTH_HEADER", "Authorization must be: Bearer <access token>")
    return state_of(request).tokens.check(token)


def within(request: Request, cloud_id: str) -> int:
    """Return the cloud of the path, if it exists and the token is for it.

    A token works for one cloud [D2]. A token without a cloud works for none.
    """
    allowed, _ = bearer(request)
    number = path_id(cloud_id, "cloud")
    if state_of(request).shop.cloud(number) is None:
        raise not_found(f"cloud {cloud_id}")
    if allowed != number:
        raise RefusedError(403, "CLOUD_FORBIDDEN", "The access token is not for this cloud")
    return number


def path_id(text: str, thing: str) -> int:
    """Read an id in a path. Nothing can exist at one that isn't a number."""
    if not re.fullmatch(r"-?\d{1,19}", text):
        raise not_found(f"{thing} {text}")
    return int(text)


async def body_json(request: Request) -> Any:
    """Return the request's JSON body. Form data is refused [D2].

    :raises RefusedError: if its type (415) or content (400) is wrong.
    """
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != JSON:
        raise RefusedError(415, "UNSUPPORTED_MEDIA_TYPE", f"Content-Type must be {JSON}")
    try:
        return msgspec.json.decode(await request.body())
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise invalid(None, f"the body is not JSON: {error}") from None


async def body_object(request: Request) -> dict[str, Any]:
    """Return the request's JSON body, which must be an object."""
    body = await body_json(request)
    if not isinstance(body, dict):
        raise invalid(None, "the body must be a JSON object")
    return body


async def body_form(request: Request) -> dict[str, str]:
    """Return the fields of a form that a browser has sent."""
    body = (await request.body()).decode("utf-8", "replace")
    return dict(parse_qsl(body, keep_blank_values=True))


def log_write(request: Request, op: str, entity: str, id: int | None, fields: Mapping[str, Any]) -> None:
    """Note in the log of writes what a request has changed, see ``Write``."""
    state, about = state_of(request), request.scope.get("state", {})
    lost, late = bool(about.get("lost")), bool(about.get("late"))
    path, now = request.url.path, state.shop.now()
    state.writes.append(Write(request.method, path, op, entity, id, dict(fields), now, lost, late))


def answer(content: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """Return `content` as a JSON answer. Bytes are JSON already."""
    body = content if isinstance(content, bytes) else msgspec.json.encode(content)
    return Response(body, status, dict(headers or {}), JSON)


def page_answer(request: Request, page: Page) -> Response:
    """Return a page with its ETag, or 304 if the client has it already [D]."""
    if page.status != 200:
        return Response(status_code=page.status)
    if page.etag is None:
        return answer(page.body)
    if request.headers.get("if-none-match", "").strip('"') == page.etag.strip('"'):
        return Response(status_code=304, headers={"ETag": page.etag})
    return answer(page.body, headers={"ETag": page.etag})
