"""A client application's credentials. Every ``airflow`` call imports them for the command's options: light imports."""

from __future__ import annotations

import re

#: The environment variables that the command reads.
CLIENT_ID, CLIENT_SECRET = "DOTYPOS_CLIENT_ID", "DOTYPOS_CLIENT_SECRET"

_LONGEST_CLIENT_ID = 128


def client_id_problem(client_id: str) -> str | None:
    """Return why a text can't be a client id; ``None`` if it can."""
    if len(client_id) <= _LONGEST_CLIENT_ID and re.fullmatch(r"[\x21-\x7e]+", client_id):
        return None
    return (
        f"Client ID must be 1 to {_LONGEST_CLIENT_ID} ASCII letters, digits and signs without blanks, as issued by "
        f"Dotypos. This one has {len(client_id)} characters, or other ones among them."
    )
