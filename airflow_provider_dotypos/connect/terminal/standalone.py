"""Pages that need no other file: to copy to another machine, to lead a browser on, to outlive the server."""

from __future__ import annotations

import base64
import hashlib
import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from markupsafe import Markup

from airflow_provider_dotypos.connect import pages
from airflow_provider_dotypos.connections.errors import ConnectError


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


@contextmanager
def lead_to(address: str) -> Iterator[str]:
    """Keep a page that leads to an address until the block ends, and give the page's own address.

    All users of a machine can read the address that a browser is started with. So the browser is started with the
    address of this page, which only its owner can open.

    :raises ConnectError: if it can't be written.
    """
    with ExitStack() as stack:
        try:
            folder = TemporaryDirectory(prefix="dotypos-connect-", ignore_cleanup_errors=True)  # of mode 0700
            path = Path(stack.enter_context(folder)) / "open.html"
            write(path, render("cli_open.html", address=address))
        except OSError as error:
            raise ConnectError(
                f"The page that leads a browser here can't be written to a temporary folder ({error.strerror}). Use "
                "--no-browser, or set TMPDIR."
            ) from None
        yield path.as_uri()


def _read(name: str) -> Markup:
    return Markup(pages.STATIC[name].read_text(encoding="utf-8"))  # ours, and not to be escaped in its element


def _hash(text: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
