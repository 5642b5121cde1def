"""Pages that need nothing but themselves: one is carried to another machine, one outlives the server that showed it."""

from __future__ import annotations

import base64
import hashlib
from typing import Any

from markupsafe import Markup

from airflow_provider_dotypos.connect.page import pages


def render(name: str, script: str = "", **content: Any) -> str:
    """Return a template's HTML with its style and its script inside; its own policy allows these two alone.

    :param script: a file of the static ones, or none.
    """
    style, code = _text("style.css"), _text(script) if script else ""
    return pages.render(name, style=style, style_hash=_hash(style), script=code, script_hash=_hash(code), **content)


def headers() -> dict[str, str]:
    """Return the headers of such a page; what it may load stands in its own policy."""
    return {**pages.headers(), "Content-Security-Policy": "frame-ancestors 'none'"}


def _text(name: str) -> Markup:
    return Markup(pages.STATIC[name].read_text(encoding="utf-8"))  # ours, and not to be escaped in its element


def _hash(text: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
