"""Pages that need no other file: one is copied to another machine, one outlives the server that showed it."""

from __future__ import annotations

import base64
import hashlib
import os
from pathlib import Path
from typing import Any

from markupsafe import Markup

from airflow_provider_dotypos.connect import pages


def render(name: str, script: str = "", **content: Any) -> str:
    """Return a template's HTML with its style and its script inside. Its own policy allows only these two.

    :param script: one of the static files. Defaults to none.
    """
    style, code = _read("style.css"), _read(script) if script else ""
    return pages.render(name, style=style, style_hash=_hash(style), script=code, script_hash=_hash(code), **content)


def headers() -> dict[str, str]:
    """Return the headers of such a page, whose own policy says what it may load."""
    return {**pages.headers(), "Content-Security-Policy": "frame-ancestors 'none'"}


def write(path: Path, html: str) -> None:
    """Write a page to a new file that only its owner can read."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(html)


def _read(name: str) -> Markup:
    return Markup(pages.STATIC[name].read_text(encoding="utf-8"))  # ours, and not to be escaped in its element


def _hash(text: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
