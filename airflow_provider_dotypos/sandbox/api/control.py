"""The sandbox's own controls, below ``/_sandbox``: for people with a browser or curl, and for tests in other processes.

They need no token. Those that change something take JSON only, so that no foreign web page can call them.
"""

from __future__ import annotations

import dataclasses
from datetime import datetime, timezone
from typing import Any

from fastapi import APIRouter, Request, Response

from airflow_provider_dotypos.sandbox.api.calls import answer, body_object, state_of
from airflow_provider_dotypos.sandbox.errors import invalid
from airflow_provider_dotypos.sandbox.faults import Fault
from airflow_provider_dotypos.sandbox.limit import Limit

PREFIX = "/_sandbox"

router = APIRouter(prefix=PREFIX)


@router.get("", response_model=None)
@router.get("/state", response_model=None)
async def show(request: Request) -> Response:
    """Return the clouds, their numbers of rows, the clock, the switches, the limit, and the faults to come."""
    state = state_of(request)
    counts: dict[str, dict[str, int]] = {}
    for cloud_id, entity, table in state.shop.tables():
        counts.setdefault(str(cloud_id), {})[entity] = len(table.rows)
    moment = datetime.fromtimestamp(state.shop.now() / 1000, timezone.utc)
    return answer(
        {
            "url": state.url,
            "now": moment.isoformat(timespec="milliseconds"),
            "clouds": [
                {"id": cloud["id"], "name": cloud["name"], "allowed": cloud["id"] in state.cloud_ids}
                for cloud in state.shop.rows(0, "clouds")
            ],
            "rows": counts,
            "lively": state.shop.lively,
            "behaviour": dataclasses.asdict(state.behaviour),
            "faults": [dataclasses.asdict(fault) for fault in state.faults],
            "limit": state.limit.settings() if state.limit else None,
            "sign_ins": state.sign_ins,
            "requests": len(state.requests),
        }
    )


@router.post("/advance", response_model=None)
async def advance(request: Request) -> Response:
    """Move the shop's clock: ``{"seconds": 3600}``; ``"lively": true`` makes things happen meanwhile."""
    state, body = state_of(request), await body_object(request)
    seconds = body.get("seconds")
    if isinstance(seconds, bool) or not isinstance(seconds, (int, float)) or seconds < 0:
        raise invalid("seconds", "must be a number of seconds")
    if "lively" in body:
        state.shop.lively = bool(body["lively"])
    state.shop.advance(seconds)
    return await show(request)


@router.post("/behaviour", response_model=None)
async def behaviour(request: Request) -> Response:
    """Set some switches: ``{"ties": "shuffled"}``."""
    state, body = state_of(request), await body_object(request)
    state.behaviour = _make(dataclasses.replace, state.behaviour, **body)
    return answer(dataclasses.asdict(state.behaviour))


@router.post("/faults", response_model=None)
async def add_fault(request: Request) -> Response:
    """Add a fault: ``{"kind": "503", "retry_after": "2", "times": 3}``."""
    state = state_of(request)
    state.faults.append(_make(Fault, **await body_object(request)))
    return answer([dataclasses.asdict(fault) for fault in state.faults], 201)


@router.delete("/faults", response_model=None)
async def clear_faults(request: Request) -> Response:
    """Forget all faults."""
    state_of(request).faults.clear()
    return answer([])


@router.post("/limit", response_model=None)
async def set_limit(request: Request) -> Response:
    """Limit the requests, and count from none: ``{"requests": 150, "seconds": 1800, "window": "sliding"}``."""
    body = await body_object(request)
    if "clock" in body:
        raise invalid("clock", "can be replaced in Python only")
    limit: Limit = _make(Limit, **body)
    state_of(request).limit = limit
    return answer(limit.settings(), 201)


@router.delete("/limit", response_model=None)
async def lift_limit(request: Request) -> Response:
    """Let all requests in."""
    state_of(request).limit = None
    return answer({})


@router.get("/requests", response_model=None)
async def requests(request: Request) -> Response:
    """Return the log of requests, without their headers: those hold tokens."""
    return answer(
        [
            {"method": r.method, "path": r.path, "query": r.query, "status": r.status}
            for r in list(state_of(request).requests)
        ]
    )


def _make(make: Any, *args: Any, **fields: Any) -> Any:
    try:
        return make(*args, **fields)
    except (TypeError, ValueError) as error:
        raise invalid(None, str(error)) from None
