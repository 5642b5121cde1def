"""Connect from a machine that no browser reaches: a page to copy to another machine, and an address to paste.

The page holds no secret. The person types the client secret into it, and the page signs. Dotypos sends the browser on
to its own web site, and the person copies the address from there, as the vendor advises for a one-off set-up.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import parse_qsl, urlsplit

from airflow_provider_dotypos.connect.terminal import standalone
from airflow_provider_dotypos.connections.errors import ConnectError

#: Where the browser arrives, with the token in its address.
REDIRECT_URI = "https://dotykacka.cz"

PAGE = "connect-dotypos.html"


@contextmanager
def written(path: Path, html: str) -> Iterator[Path]:
    """Keep a page in a file that only its owner can read, until the block ends.

    :raises ConnectError: if it can't be written. An existing file is left alone.
    """
    try:
        standalone.write(path, html)
    except OSError as error:
        raise ConnectError(f"{path} can't be written ({error.strerror}); name another file by --page.") from None
    try:
        yield path.absolute()
    finally:
        path.unlink(missing_ok=True)


def read_address(ask: Callable[[], str], say: Callable[[str], None], state: str, *, tries: int) -> dict[str, str]:
    """Return the query of the address that the person pastes.

    :param ask: asks for the address.
    :param say: shows what is wrong with an address.
    :param state: what the right address brings back.
    :param tries: how often to ask.
    :raises ConnectError: if no address was the right one.
    """
    problem = ""
    for _ in range(tries):
        if problem:
            say(problem)
        query = _query(ask())
        if "state" not in query:
            problem = "That isn't the whole address: it holds token=…, cloudid=… and state=… after a question mark."
        elif not secrets.compare_digest(query["state"].encode(), state.encode()):
            problem = "That address belongs to another run of the command. Use the page that this run has written."
        else:
            return query
    raise ConnectError(f"{problem} Nothing was changed; run the command again.")


def _query(address: str) -> dict[str, str]:
    try:
        return dict(parse_qsl(urlsplit(address).query))
    except ValueError:  # it isn't an address at all
        return {}
