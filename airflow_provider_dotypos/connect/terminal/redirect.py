"""A file that leads a browser on: all users of a machine can read the address that a browser is started with.

So the browser is started with the file's, which only its owner can open.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from airflow_provider_dotypos.connect.grant import ConnectError
from airflow_provider_dotypos.connect.terminal import standalone


@contextmanager
def leading_to(address: str) -> Iterator[str]:
    """Keep a page that leads to `address` until the block ends, and give the page's own address.

    :raises ConnectError: it can't be written.
    """
    try:
        folder = TemporaryDirectory(prefix="dotypos-connect-", ignore_cleanup_errors=True)  # of mode 0700
    except OSError as error:
        raise _unwritable(error) from None
    with folder as name:
        path = Path(name) / "open.html"
        try:
            with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
                file.write(standalone.render("cli_open.html", address=address))
        except OSError as error:
            raise _unwritable(error) from None
        yield path.as_uri()


def _unwritable(error: OSError) -> ConnectError:
    return ConnectError(
        f"The page that leads a browser here can't be written to a temporary folder ({error.strerror}). Use "
        "--no-browser, or set TMPDIR."
    )
