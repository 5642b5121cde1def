"""The register on the sandbox's page: buttons that sell something or change a price, and what webhooks made of it."""

from __future__ import annotations

import hmac
from collections.abc import Callable, Mapping
from datetime import datetime
from html import escape
from itertools import islice

from fastapi import APIRouter, Request, Response

from airflow_provider_dotypos.sandbox.api.calls import body_form, state_of
from airflow_provider_dotypos.sandbox.api.control import PREFIX
from airflow_provider_dotypos.sandbox.api.state import State
from airflow_provider_dotypos.sandbox.bistro import life
from airflow_provider_dotypos.sandbox.shop.table import Row

_SHOWN_DELIVERIES = 5

router = APIRouter(prefix=PREFIX)


@router.post("/register", response_model=None)
async def press(request: Request) -> Response:
    """Do what a button says, and show the page again. Only this page knows the form's key, so no other can do it."""
    state, fields = state_of(request), await body_form(request)
    if not hmac.compare_digest(fields.get("key", "").encode(), state.form_key.encode()):
        return Response("Please load the page again.", 403, media_type="text/plain")
    button, cloud_id = _BUTTONS.get(fields.get("button", "")), fields.get("cloud", "")
    if button is not None and cloud_id in map(str, state.cloud_ids):
        state.happened.appendleft(f"{datetime.now():%H:%M:%S}  {button.press(state, int(cloud_id))}")
    return Response(status_code=303, headers={"Location": "/#register"})


class _Button:
    """A button: its text, and what happens when it is pressed."""

    def __init__(self, text: str, press: Callable[[State, int], str]) -> None:
        self.text = text
        self.press = press


def _sell(state: State, cloud_id: int) -> str:
    order = life.sell(state.shop, cloud_id)
    if order is None:
        return "There is nothing to sell."
    items = f"{order['itemCount']} item{'s' if order['itemCount'] != 1 else ''}"
    return f"Sold {items} for {order['totalValueRounded']:,.2f} {order['currency']}: order {order['id']}"


def _change_price(state: State, cloud_id: int) -> str:
    product = life.change_price(state.shop, cloud_id)
    if product is None:
        return "There is no product."
    return f"{product['name']} costs {product['priceWithVat']:,.2f} {product['currency']} now: product {product['id']}"


_BUTTONS: Mapping[str, _Button] = {
    "sell": _Button("Sell something", _sell),
    "price": _Button("Change a price", _change_price),
}


def show(state: State) -> str:
    """Return the part of the page with the buttons, as HTML."""
    forms = "".join(_form(state, cloud) for cloud in state.allowed_clouds() if state.shop.rows(cloud["id"], "products"))
    if not forms:
        return ""
    happened = "".join(f"<li>{escape(line)}" for line in state.happened)
    return (
        '<h2 id="register">Let something happen</h2><p>As at a register: rows change, webhooks are delivered, and a '
        f"DAG that waits for such a change starts.</p><table>{forms}</table>"
        f"{f'<ul>{happened}</ul>' if happened else ''}{_deliveries(state)}"
    )


def _form(state: State, cloud: Row) -> str:
    buttons = " ".join(
        f'<button name="button" value="{name}">{escape(button.text)}</button>' for name, button in _BUTTONS.items()
    )
    return (
        f'<tr><th scope="row">{escape(cloud["name"])}</th><td><form method="post" action="{PREFIX}/register">'
        f'<input type="hidden" name="key" value="{state.form_key}">'
        f'<input type="hidden" name="cloud" value="{cloud["id"]}">{buttons}</form></td></tr>'
    )


def _deliveries(state: State) -> str:
    count = sum(len(state.shop.rows(cloud_id, "webhooks")) for cloud_id in state.cloud_ids)
    if not count:
        return "<p class=quiet>No webhook is registered.</p>"
    newest = islice(reversed(list(state.deliveries.log)), _SHOWN_DELIVERIES)
    rows = "".join(
        f"<tr><td>{delivery.payload_entity}</td><td class=number>{len(delivery.records)}</td>"
        f"<td>{delivery.status or escape(delivery.error or 'lost on purpose')}</td></tr>"
        for delivery in newest
    )
    head = '<tr><th scope="col">Delivered</th><th class=number scope="col">Records</th><th scope="col">Answer</th></tr>'
    table = f"<table><thead>{head}</thead><tbody>{rows}</tbody></table>" if rows else ""
    return f"<p>{count} webhook{'s are' if count != 1 else ' is'} registered. Load the page again for news.</p>{table}"
