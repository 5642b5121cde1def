"""The sandbox's own controls, below ``/_sandbox``: for people with a browser or curl, and for tests in other processes.

They need no token. Those that change something take JSON only, so that no foreign web page can call them.
"""

from __future__ import annotations

import dataclasses
import inspect
from collections.abc import Callable, Mapping
from datetime import datetime, timezone
from typing import Any

from fastapi import APIRouter, Request, Response

from airflow_provider_dotypos.sandbox.api import wire
from airflow_provider_dotypos.sandbox.api.calls import answer, body_object, path_id, state_of
from airflow_provider_dotypos.sandbox.api.state import State
from airflow_provider_dotypos.sandbox.behaviour import Behaviour
from airflow_provider_dotypos.sandbox.bistro import life
from airflow_provider_dotypos.sandbox.errors import invalid
from airflow_provider_dotypos.sandbox.faults import DeliveryFault, Fault
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
            "device": state.device.settings(),
            "webhooks": [
                {name: row[name] for name in ("id", "_cloudId", "payloadEntity", "method")}
                for cloud_id in state.cloud_ids
                for row in state.shop.rows(cloud_id, "webhooks")
            ],
            "sign_ins": state.sign_ins,
            "requests": len(state.requests),
            "writes": len(state.writes),
            "late": [{"method": late.method, "path": late.path} for late in state.late],
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
    # JSON has lists where switches have tuples.
    switches = {name: tuple(value) if isinstance(value, list) else value for name, value in body.items()}
    state.behaviour = _make(lambda **wanted: dataclasses.replace(state.behaviour, **wanted), switches, like=Behaviour)
    return answer(dataclasses.asdict(state.behaviour))


@router.post("/faults", response_model=None)
async def add_fault(request: Request) -> Response:
    """Add a fault: ``{"kind": "503", "retry_after": "2", "times": 3}``, ``{"kind": "reset", "when": "after"}``."""
    state = state_of(request)
    state.faults.append(_make(Fault, await body_object(request)))
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
    limit: Limit = _make(Limit, body)
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


@router.get("/writes", response_model=None)
async def writes(request: Request) -> Response:
    """Return the log of writes: what requests have changed, and whether their answers were lost."""
    return answer([dataclasses.asdict(write) for write in list(state_of(request).writes)])


@router.post("/late", response_model=None)
async def carry_out_late(request: Request) -> Response:
    """Carry out all late requests now: ``{}``; the answer is the log of writes."""
    await body_object(request)
    await state_of(request).carry_out_late(all_of_them=True)
    return await writes(request)


@router.post("/device", response_model=None)
async def set_device(request: Request) -> Response:
    """Change the register: ``{"silent": true, "patience": 2}``, ``{"silent": false}``, ``{"codes": [2001]}``."""
    device = state_of(request).device
    _make(device.set, await body_object(request))
    return answer(device.settings())


@router.post("/stock-takings", response_model=None)
async def set_stock_takings(request: Request) -> Response:
    """Say how the next stock takings end, and when: ``{"reason": "UNEXPECTED", "polls": 3}``; ``{}`` as usual."""
    state, body = state_of(request), await body_object(request)
    reason, polls = body.get("reason"), body.get("polls", 1)
    if not isinstance(reason, (str, type(None))) or isinstance(polls, bool) or not isinstance(polls, int) or polls < 0:
        raise invalid(None, "reason must be text or null, polls a whole number")
    state.stock_taking_reason, state.stock_taking_polls = reason, polls
    return answer({"reason": reason, "polls": polls})


@router.post("/sell", response_model=None)
async def sell(request: Request) -> Response:
    """Sell something, as a register does: ``{}``, or ``{"cloud_id": 310101001}``; the answer is the order."""
    state, body = state_of(request), await body_object(request)
    order = life.sell(state.shop, _cloud(state, body))
    if order is None:
        raise invalid("cloud_id", "has nothing to sell")
    return answer(wire.encode_row(order, state.behaviour), 201)


@router.post("/price", response_model=None)
async def change_price(request: Request) -> Response:
    """Change a price, as a register does: ``{}``, or ``{"product_id": …, "price": 49}``; the answer is the product."""
    state, body = state_of(request), await body_object(request)
    product_id, price = body.get("product_id"), body.get("price")
    if price is not None and (isinstance(price, bool) or not isinstance(price, (int, float)) or price < 0):
        raise invalid("price", "must be a number, 0 or more")
    number = None if product_id is None else path_id(str(product_id), "product")  # numbers, or texts as in answers
    product = life.change_price(state.shop, _cloud(state, body), number, price)
    if product is None:
        raise invalid("product_id", "must be a product that is sold")
    return answer(wire.encode_row(product, state.behaviour))


@router.get("/deliveries", response_model=None)
async def deliveries(request: Request) -> Response:
    """Return what webhooks have delivered, and what is still to come. Addresses hold secrets, and aren't shown."""
    done = state_of(request).deliveries
    return answer(
        {
            "pending": done.pending,
            "dropped": done.dropped,
            "faults": [dataclasses.asdict(fault) for fault in done.faults],
            "log": list(done.log),
        }
    )


@router.post("/deliveries/faults", response_model=None)
async def add_delivery_fault(request: Request) -> Response:
    """Let deliveries fail: ``{"kind": "late", "seconds": 5, "times": 2, "payload_entity": "PRODUCT"}``."""
    done = state_of(request).deliveries
    done.faults.append(_make(DeliveryFault, await body_object(request)))
    return answer([dataclasses.asdict(fault) for fault in done.faults], 201)


@router.delete("/deliveries/faults", response_model=None)
async def clear_delivery_faults(request: Request) -> Response:
    """Forget all faults of deliveries."""
    state_of(request).deliveries.faults.clear()
    return answer([])


def _cloud(state: State, body: Mapping[str, Any]) -> int:
    """Return the cloud that a body names, by default the first."""
    cloud_id = body.get("cloud_id", state.cloud_ids[0])
    number = next((number for number in state.cloud_ids if str(number) == str(cloud_id)), None)
    if number is None:
        raise invalid("cloud_id", f"must be one of {', '.join(map(str, state.cloud_ids))}")
    return number


def _make(make: Callable[..., Any], fields: Mapping[str, Any], like: Callable[..., Any] | None = None) -> Any:
    """Make something of a body's fields.

    :param like: what has the parameters that the fields may be. Defaults to `make`.
    """
    parameters = {
        name: parameter
        for name, parameter in inspect.signature(like or make).parameters.items()
        if parameter.kind is not parameter.VAR_KEYWORD  # which checks names itself
    }
    for name in fields:
        if parameters and name not in parameters:
            raise invalid(name, f"isn't known here; there are: {', '.join(parameters)}")
    for name, parameter in parameters.items():
        if parameter.default is parameter.empty and name not in fields:
            raise invalid(name, "is missing")
    try:
        return make(**fields)
    except ValueError as error:
        raise invalid(None, str(error)) from None
    except TypeError:  # of comparing a text with a number: its words are Python's
        raise invalid(None, "a value is text where a number belongs, or the other way round") from None
