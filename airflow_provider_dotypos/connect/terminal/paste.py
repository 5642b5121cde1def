"""Connecting from a machine that no browser reaches: a page to carry to one that has one, and an address to paste.

The page holds no secret: whoever opens it types the client secret, and it signs. Dotypos sends the browser on to its
own web site, and the person copies the address from there (the vendor's own advice for a one-off set-up).
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import parse_qsl, urlsplit

from airflow_provider_dotypos.connect.grant import ConnectError
from airflow_provider_dotypos.connect.terminal import standalone

#: Where the browser ends up; the token stands in its address bar.
REDIRECT_URI = "https://dotykacka.cz"

PAGE = "connect-dotypos.html"


@contextmanager
def written(path: Path, html: str) -> Iterator[Path]:
    """Keep a page in a file that only its owner can read, until the block ends.

    :raises ConnectError: it can't be written; an existing file is left alone.
    """
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except OSError as error:
        raise ConnectError(f"{path} can't be written ({error.strerror}); name another file by --page.") from None
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(html)
    try:
        yield path.absolute()
    finally:
        path.unlink(missing_ok=True)


def page(
    *, action: str, state: str, conn_id: str | None, client_id: str | None, expected: str | None, current: str | None
) -> str:
    """Return the page's HTML.

    :param action: the connector.
    :param expected: the cloud to choose.
    :param current: the cloud to be replaced.
    """
    return standalone.render(
        "cli_paste.html",
        script="cli_paste.js",
        action=action,
        redirect_uri=REDIRECT_URI,
        state=state,
        conn_id=conn_id,
        client_id=client_id,
        expected=expected,
        current=current,
    )


def read_address(ask: Callable[[], str], say: Callable[[str], None], state: str, *, tries: int) -> dict[str, str]:
    """Return the query of the address that is pasted.

    :param ask: asks for the address.
    :param say: tells what is wrong with one.
    :param tries: how often to ask.
    :raises ConnectError: none of them was the right one.
    """
    problem = ""
    for _ in range(tries):
        if problem:
            say(problem)
        query = _query(ask())
        if "state" not in query:
            problem = "That is not the whole address: it holds token=…, cloudid=… and state=… after a question mark."
        elif not secrets.compare_digest(query["state"].encode(), state.encode()):
            problem = "That address belongs to another run of the command. Use the page that this run has written."
        else:
            return query
    raise ConnectError(f"{problem} Nothing was changed; run the command again.")


def _query(address: str) -> dict[str, str]:
    try:
        return dict(parse_qsl(urlsplit(address).query))
    except ValueError:  # what was pasted is no address at all
        return {}
