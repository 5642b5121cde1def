"""The sandbox's pages for people: their frame, and the one that says what the sandbox is."""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterator
from html import escape

from fastapi import APIRouter, Request, Response

from airflow_provider_dotypos.sandbox.api import register
from airflow_provider_dotypos.sandbox.api.calls import state_of
from airflow_provider_dotypos.sandbox.api.control import PREFIX
from airflow_provider_dotypos.sandbox.api.state import State

#: Headers of every page.
SAFE = {
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; img-src data:",
    "Cache-Control": "no-store",
    "Referrer-Policy": "no-referrer",
}

_STYLE = """
:root{color-scheme:light dark;--quiet:light-dark(#52525b,#a5b0c3);--line:light-dark(#d4d4d8,#3a455c);
--raised:light-dark(#f4f4f5,#1e2637);--accent:light-dark(#0066c5,#58a6ff)}
body{font:16px/1.55 system-ui,sans-serif;max-width:44em;margin:3em auto;padding:0 1.2em;
background:light-dark(#fff,#161c2a);color:light-dark(#18181b,#fafafa)}
h1{font-size:1.6rem;margin:0 0 .6rem}h2{font-size:1.15rem;margin:2rem 0 .4rem}
a{color:var(--accent)}button{font:inherit;padding:.4em 1.4em}small,.quiet,th{color:var(--quiet)}
pre{background:var(--raised);padding:.8em 1em;border-radius:6px;white-space:pre-wrap;overflow-wrap:anywhere;
user-select:all}code,pre{font:.87em/1.5 ui-monospace,Menlo,monospace}
table{border-collapse:collapse;width:100%}th,td{text-align:left;padding:.3em .8em .3em 0;
border-bottom:1px solid var(--line)}thead th{font-size:.87em}.number{text-align:right}td.number{
font-variant-numeric:tabular-nums}th[scope=row]{color:inherit;font-weight:inherit}
"""

_LINKS = f"""
<h2>Look inside</h2>
<ul>
<li><a href="{PREFIX}"><code>{PREFIX}</code></a>: clock, switches, limit and faults
<li><a href="{PREFIX}/requests"><code>{PREFIX}/requests</code></a>: the requests so far
<li><a href="{PREFIX}/deliveries"><code>{PREFIX}/deliveries</code></a>: what webhooks have delivered
<li><a href="https://docs.api.dotypos.com/">docs.api.dotypos.com</a>: the documentation of the real API
</ul>
"""

router = APIRouter()


@router.get("/", response_model=None)
async def home(request: Request) -> Response:
    """Show what the sandbox is, how Airflow connects to it, and what it holds."""
    state = state_of(request)
    return page(
        "Dotypos sandbox",
        "<p>This is a Dotypos API v2 with invented data, to try the Airflow provider and to test DAGs against. It "
        "needs no account. Nothing here is real, and nothing is secret.</p>"
        f"{_connecting(state)}{register.show(state)}{_contents(state)}{_LINKS}",
    )


def page(title: str, content: str, status: int = 200) -> Response:
    """Return a page.

    :param content: HTML.
    """
    html = (
        '<!doctype html><html lang="en"><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width"><link rel="icon" href="data:,">'
        f"<title>{title}</title><style>{_STYLE}</style><h1>{title}</h1>{content}"
        "<p><small>This is a sandbox with invented data, not Dotypos.</small></p></html>"
    )
    return Response(html, status, SAFE, "text/html; charset=utf-8")


def _connecting(state: State) -> str:
    connection = state.connection()
    command = f"airflow connections add dotypos_default --conn-json {shlex.quote(json.dumps(connection))}"
    extra = connection["extra"]
    fields = {
        "API base URL": connection["host"],
        "Port": connection["port"],
        "Client ID": connection["login"],
        "Client Secret": connection["password"],
        "Refresh Token": extra["refresh_token"],
        "Cloud ID": extra["cloud_id"],
    }
    note = ""
    if state.open_to_the_network:
        fields["Allow plain HTTP"] = "on"
        note = (
            "<p class=quiet>If Airflow's host knows this one by a name, such as a service's in Docker Compose, write "
            f"<code>http://</code> and that name in place of <code>{escape(connection['host'])}</code>.</p>"
        )
    rows = "".join(
        f'<tr><th scope="row">{name}</th><td><code>{escape(str(value))}</code></td></tr>'
        for name, value in fields.items()
    )
    return (
        f"<h2>Connect Airflow</h2><p>In a shell:</p><pre>{escape(command)}</pre>"
        f"<p>Or in Airflow's UI, as a connection of type Dotypos:</p><table>{rows}</table>{note}"
    )


def _contents(state: State) -> str:
    clouds = state.allowed_clouds()
    names = "".join(
        f'<th class=number scope="col">{escape(cloud["name"])}<br><code>{cloud["id"]}</code> '
        f"{escape(state.shop.currency(cloud['id']))}</th>"
        for cloud in clouds
    )
    rows = "".join(
        f'<tr><th scope="row"><code>{entity}</code></th>'
        + "".join(f"<td class=number>{count:,}</td>" for count in counts)
        + "</tr>"
        for entity, counts in _row_counts(state, [cloud["id"] for cloud in clouds])
    )
    return (
        "<h2>What it holds</h2><p>Rows of each entity, now:</p>"
        f'<table><thead><tr><th scope="col">Entity</th>{names}</tr></thead><tbody>{rows}</tbody></table>'
    )


def _row_counts(state: State, cloud_ids: list[int]) -> Iterator[tuple[str, list[int]]]:
    """Yield each entity with its number of rows in each cloud."""
    counts = {(cloud_id, entity): len(table.rows) for cloud_id, entity, table in state.shop.tables()}
    for entity in sorted({entity for cloud_id, entity in counts if cloud_id in cloud_ids}):
        yield entity, [counts.get((cloud_id, entity), 0) for cloud_id in cloud_ids]
