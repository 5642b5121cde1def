"""The sandbox's own controls, below ``/_sandbox``: for people with a browser or curl, and for tests in other
processes.

They need no token. Those that change something take JSON only, so that no web page elsewhere can call them
unasked.
"""

from __future__ import annotations

import dataclasses
from datetime import datetime, timezone
from typing import Any

from fastapi import APIRouter, Request, Response

from airflow_provider_dotypos.sandbox.api.calls import answer, body_object, sandbox_of
from airflow_provider_dotypos.sandbox.behaviour import Behaviour
from airflow_provider_dotypos.sandbox.errors import invalid
from airflow_provider_dotypos.sandbox.faults import CONTROL, Fault
from airflow_provider_dotypos.sandbox.limit import Limit

router = APIRouter(prefix=CONTROL)


@router.get("", response_model=None)
@router.get("/state", response_model=None)
async def state(request: Request) -> Response:
    """Tell what there is: clouds, how many rows of what, the clock, the switches, the limit, and the faults to come."""
    sandbox = sandbox_of(request)
    counts: dict[str, dict[str, int]] = {}
    for cloud_id, entity, table in sandbox.shop.tables():
        counts.setdefault(str(cloud_id), {})[entity] = len(table.rows)
    moment = datetime.fromtimestamp(sandbox.shop.now() / 1000, timezone.utc)
    return answer(
        {
            "url": sandbox.url,
            "now": moment.isoformat(timespec="milliseconds"),
            "clouds": [
                {"id": cloud["id"], "name": cloud["name"], "allowed": cloud["id"] in sandbox.cloud_ids}
                for cloud in sandbox.shop.rows(0, "clouds")
            ],
            "rows": counts,
            "lively": sandbox.shop.lively,
            "behaviour": dataclasses.asdict(sandbox.behaviour),
            "faults": [dataclasses.asdict(fault) for fault in sandbox.faults],
            "limit": sandbox.limit.settings() if sandbox.limit else None,
            "sign_ins": sandbox.sign_ins,
            "requests": len(sandbox.requests),
        }
    )


@router.post("/advance", response_model=None)
async def advance(request: Request) -> Response:
    """Move the shop's clock: ``{"seconds": 3600}``; ``"lively": true`` lets things happen meanwhile."""
    sandbox, body = sandbox_of(request), await body_object(request)
    seconds = body.get("seconds")
    if isinstance(seconds, bool) or not isinstance(seconds, (int, float)) or seconds < 0:
        raise invalid("seconds", "must be a number of seconds")
    if "lively" in body:
        sandbox.shop.lively = bool(body["lively"])
    sandbox.shop.advance(seconds)
    return await state(request)


@router.post("/behaviour", response_model=None)
async def behaviour(request: Request) -> Response:
    """Set some switches: ``{"ties": "shuffled"}``."""
    sandbox, body = sandbox_of(request), await body_object(request)
    changed: Behaviour = _made(dataclasses.replace, sandbox.behaviour, **body)
    sandbox.behaviour = changed
    return answer(dataclasses.asdict(changed))


@router.post("/faults", response_model=None)
async def add_fault(request: Request) -> Response:
    """Add a fault: ``{"kind": "503", "retry_after": "2", "times": 3}``."""
    sandbox = sandbox_of(request)
    fault: Fault = _made(Fault, **await body_object(request))
    sandbox.faults.append(fault)
    return answer([dataclasses.asdict(fault) for fault in sandbox.faults], 201)


@router.delete("/faults", response_model=None)
async def clear_faults(request: Request) -> Response:
    """Forget all faults."""
    sandbox_of(request).faults.clear()
    return answer([])


@router.post("/limit", response_model=None)
async def set_limit(request: Request) -> Response:
    """Limit the requests, and count from none: ``{"requests": 150, "seconds": 1800, "window": "sliding"}``."""
    body = await body_object(request)
    if "clock" in body:
        raise invalid("clock", "can be replaced in Python only")
    limit: Limit = _made(Limit, **body)
    sandbox_of(request).limit = limit
    return answer(limit.settings(), 201)


@router.delete("/limit", response_model=None)
async def lift_limit(request: Request) -> Response:
    """Let all requests in."""
    sandbox_of(request).limit = None
    return answer({})


@router.get("/requests", response_model=None)
async def requests(request: Request) -> Response:
    """Return the log of requests, without their headers: those hold tokens."""
    return answer(
        [
            {"method": r.method, "path": r.path, "query": r.query, "status": r.status}
            for r in list(sandbox_of(request).requests)
        ]
    )


def _made(make: Any, *args: Any, **fields: Any) -> Any:
    try:
        return make(*args, **fields)
    except (TypeError, ValueError) as error:
        raise invalid(None, str(error)) from None
