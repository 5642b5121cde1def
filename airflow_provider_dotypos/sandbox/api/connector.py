"""The connector: the page on which a person lets an application into a cloud, which then gets a refresh token.

Pages /authorization and /connector-ep-migration. The sandbox has no log-in: it takes every visitor for the operator.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
import time
from collections.abc import Mapping
from html import escape
from urllib.parse import urlencode, urlsplit, urlunsplit

from fastapi import APIRouter, Request, Response

from airflow_provider_dotypos.sandbox.api.calls import body_form, state_of
from airflow_provider_dotypos.sandbox.api.pages import SAFE, page
from airflow_provider_dotypos.sandbox.api.state import State
from airflow_provider_dotypos.sandbox.api.tokens import Visit

router = APIRouter()

CLOCK_TOLERANCE = 60  # seconds, about [D2]
TIME_TO_DECIDE = 15 * 60  # seconds, about [D2]

# What the real pages say, in our words [D2, C1].
EXPIRED = "The connection has expired. Please check the time settings on your device."
UNKNOWN = "Unknown client application or wrong application secret."


def sign(secret: str, timestamp: str) -> str:
    """Return the connector's signature: HMAC-SHA256 of the timestamp alone, in lower-case hex [D2, C6]."""
    return hmac.new(secret.encode(), timestamp.encode(), hashlib.sha256).hexdigest()


@router.post("/client/connect/v2", response_model=None)
async def connect(request: Request) -> Response:
    """Open the consent page for a signed form [D]."""
    return _open(state_of(request), await body_form(request))


@router.get("/client/connect/v2", response_model=None)
async def connect_by_address(request: Request) -> Response:
    """Open the consent page for the same fields in the address [one weak source]."""
    return _open(state_of(request), request.query_params)


@router.get("/client/connect", response_model=None)
async def connect_legacy(request: Request) -> Response:
    """Open the consent page the deprecated way, with the secret in the address [D]."""
    state, fields = state_of(request), request.query_params
    secret = fields.get("client_secret", "")
    if not _same(fields.get("client_id", ""), state.client_id) or not _same(secret, state.client_secret):
        return page("Not connected", f"<p>{UNKNOWN}</p>", 403)
    return _consent(state, fields)


@router.post("/client/connect/decision", response_model=None)
async def decide(request: Request) -> Response:
    """Send the person back to the application, with a refresh token if they allowed it."""
    state, fields = state_of(request), await body_form(request)
    visit = state.visits.pop(fields.get("visit", ""), None)
    if visit is None or time.time() - visit.since > TIME_TO_DECIDE:
        return page("Not connected", f"<p>{EXPIRED}</p>", 403)
    if fields.get("decision") != "allow":
        # What the real page does on a refusal is not known [U]; this is the usual way [A].
        return _back(visit, {"error": "access_denied"})
    chosen = fields.get("cloud", "")
    if chosen not in map(str, state.cloud_ids):
        return page("Not connected", "<p>Choose one of your clouds.</p>", 400)
    token = state.tokens.connect(int(chosen))
    return _back(visit, {"token": token, "cloudid": chosen})  # cloudid in lower case [D]


def _open(state: State, fields: Mapping[str, str]) -> Response:
    timestamp, signature = fields.get("timestamp", ""), fields.get("signature", "")
    known = _same(fields.get("client_id", ""), state.client_id)
    if not known or not _same(signature, sign(state.client_secret, timestamp)):
        return page("Not connected", f"<p>{UNKNOWN}</p>", 403)
    now = time.time() + state.date_offset
    if not timestamp.isascii() or not timestamp.isdigit() or abs(now - int(timestamp)) > CLOCK_TOLERANCE:
        return page("Not connected", f"<p>{EXPIRED}</p>", 403)
    return _consent(state, fields)


def _consent(state: State, fields: Mapping[str, str]) -> Response:
    redirect_uri = fields.get("redirect_uri", "")
    target = urlsplit(redirect_uri)
    if fields.get("scope") != "*":  # the only one supported [D]
        return page("Not connected", "<p>The scope must be *.</p>", 400)
    if target.scheme not in ("http", "https") or not target.netloc:
        return page("Not connected", "<p>The redirect_uri must be a web address.</p>", 400)
    visit = secrets.token_urlsafe(16)
    state.visits[visit] = Visit(redirect_uri, fields.get("state"), time.time())
    choices = "".join(
        f'<p><label><input type="radio" name="cloud" required value="{cloud["id"]}"> '
        f"{escape(cloud['name'])} ({cloud['id']})</label></p>"
        for cloud in state.allowed_clouds()
    )
    return page(
        "Connect an application",
        f"<p>The application <b>{escape(fields.get('client_id', ''))}</b> asks to use one of your clouds. "
        f"You will be sent back to <b>{escape(target.netloc)}</b>.</p>"
        f'<form method="post" action="/client/connect/decision">'
        f'<input type="hidden" name="visit" value="{visit}">{choices}'
        '<p><button name="decision" value="allow">Allow</button> '
        '<button name="decision" value="deny" formnovalidate>Deny</button></p></form>',
    )


def _back(visit: Visit, answer: dict[str, str]) -> Response:
    if visit.state is not None:  # sent back unchanged, only if it was sent [D]
        answer["state"] = visit.state
    parts = urlsplit(visit.redirect_uri)
    query = "&".join(filter(None, (parts.query, urlencode(answer))))
    return Response(status_code=302, headers={"Location": urlunsplit(parts._replace(query=query)), **SAFE})


def _same(given: str, right: str) -> bool:
    return hmac.compare_digest(given.encode(), right.encode())
