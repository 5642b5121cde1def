"""A file that leads a browser on. All users of a machine can read the address that a browser is started with.

So the browser is started with the address of a file that only its owner can open.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from airflow_provider_dotypos.connect.terminal import standalone
from airflow_provider_dotypos.connections.errors import ConnectError


@contextmanager
def lead_to(address: str) -> Iterator[str]:
    """Keep a page that leads to an address until the block ends, and give the page's own address.

    :raises ConnectError: if it can't be written.
    """
    try:
        folder = TemporaryDirectory(prefix="dotypos-connect-", ignore_cleanup_errors=True)  # of mode 0700
    except OSError as error:
        raise _unwritable(error) from None
    with folder as name:
        path = Path(name) / "open.html"
        try:
            standalone.write(path, standalone.render("cli_open.html", address=address))
        except OSError as error:
            raise _unwritable(error) from None
        yield path.as_uri()


def _unwritable(error: OSError) -> ConnectError:
    return ConnectError(
        f"The page that leads a browser here can't be written to a temporary folder ({error.strerror}). Use "
        "--no-browser, or set TMPDIR."
    )
