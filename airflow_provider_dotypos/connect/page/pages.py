"""The pages' HTML: templates that escape whatever is put into them, and the headers that keep them to themselves."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

_HERE = Path(__file__).parent

#: What the pages load besides their HTML, by name: nothing comes from elsewhere.
STATIC = {path.name: path for path in (_HERE / "static").iterdir()}
MEDIA_TYPES = {".css": "text/css", ".js": "text/javascript"}

_HEADERS = {
    "X-Frame-Options": "DENY",
    "X-Content-Type-Options": "nosniff",
    "Cache-Control": "no-store",
    # To pages of the same origin only; what came from Dotypos by the address goes to no other.
    "Referrer-Policy": "same-origin",
}
_POLICY = "default-src 'none'; style-src 'self'; script-src 'self'; base-uri 'none'; frame-ancestors 'none'"


def headers(*, leaves: bool = False) -> dict[str, str]:
    """Return the headers of a page.

    :param leaves: the page's form goes to Dotypos. Browsers hold ``form-action`` against every redirect that follows as
        well, and where Dotypos's log-in takes the person is its own affair; and it may see where they come from, which
        ``redirect_uri`` tells it anyway.
    """
    if leaves:
        return {**_HEADERS, "Content-Security-Policy": _POLICY, "Referrer-Policy": "strict-origin"}
    return {**_HEADERS, "Content-Security-Policy": f"{_POLICY}; form-action 'self'"}


def render(name: str, **content: Any) -> str:
    """Return a template's HTML."""
    return _templates().get_template(name).render(**content)


@cache
def _templates() -> Environment:
    return Environment(
        loader=FileSystemLoader(_HERE / "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
