"""The HTML of the page and of the terminal's listener: escaping templates, and headers that keep it to itself."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup, escape

from airflow_provider_dotypos.api.errors import HOW_TO_CONNECT

_HERE = Path(__file__).parent

#: The files that the pages load, by name. Nothing comes from elsewhere.
STATIC = {path.name: path for path in (_HERE / "static").iterdir()}
MEDIA_TYPES = {".css": "text/css", ".js": "text/javascript"}

_HEADERS = {
    "X-Frame-Options": "DENY",
    "X-Content-Type-Options": "nosniff",
    "Cache-Control": "no-store",
    # To pages of the same origin only: what Dotypos put into the address goes nowhere else.
    "Referrer-Policy": "same-origin",
}
_POLICY = "default-src 'none'; style-src 'self'; script-src 'self'; base-uri 'none'; frame-ancestors 'none'"


def headers(*, leaves: bool = False) -> dict[str, str]:
    """Return the headers of a page.

    :param leaves: the page's form goes to Dotypos. Then ``form-action`` is omitted: browsers also apply it to every
        redirect that follows, and nobody knows where Dotypos's log-in leads. Dotypos may see where the person
        comes from, because ``redirect_uri`` says so anyway.
    """
    if leaves:
        return {**_HEADERS, "Content-Security-Policy": _POLICY, "Referrer-Policy": "strict-origin"}
    return {**_HEADERS, "Content-Security-Policy": f"{_POLICY}; form-action 'self'"}


def render(name: str, **content: Any) -> str:
    """Return a template's HTML."""
    return _templates().get_template(name).render(**content)


@cache
def _templates() -> Environment:
    templates = Environment(
        loader=FileSystemLoader(_HERE / "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    templates.filters["here"] = _cured_here
    templates.filters["breakable"] = _breakable
    return templates


def _cured_here(message: str) -> str:
    """Return a message for a page that connects clouds itself: its cure doesn't lead to that very page."""
    return message.replace(HOW_TO_CONNECT, "by the button on this page")


def _breakable(address: str) -> Markup:
    """Return an address that a browser may break where a part of it ends."""
    scheme, separator, rest = address.partition("//")
    return escape(scheme + separator) + Markup("/<wbr>").join(rest.split("/"))
