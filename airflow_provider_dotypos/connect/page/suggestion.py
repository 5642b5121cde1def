"""Which id a new connection could have: the one that hooks use by default, or one that names its cloud."""

from __future__ import annotations

import re
import unicodedata
from itertools import chain

from airflow_provider_dotypos.connect.grant import Grant
from airflow_provider_dotypos.connections import stored
from airflow_provider_dotypos.connections.errors import WrongConnectionError

DEFAULT_CONN_ID = "dotypos_default"

_LONGEST = 60

#: Letters that Unicode doesn't take apart into a plain one and an accent.
_PLAIN = str.maketrans({"ł": "l", "đ": "d", "ø": "o", "ß": "ss", "æ": "ae", "œ": "oe"})

#: Every id that is looked at costs a question to each secrets backend.
_MOST_TRIES = 10


def suggest_id(grant: Grant | None = None) -> str:
    """Return an id that no connection has; empty if connections have all that are tried.

    :param grant: whose cloud the id names. Defaults to the id that hooks use by default.
    """
    name = DEFAULT_CONN_ID if grant is None else f"dotypos_{_words(grant.cloud_name or '') or grant.cloud_id}"
    numbered = name.removesuffix("_default")
    ids = chain([name], (f"{numbered}_{number}" for number in range(2, _MOST_TRIES + 1)))
    return next(filter(_is_free, ids), "")


def _words(name: str) -> str:
    """Return a name's letters and digits without accents, in lower case, with underscores between words."""
    plain = unicodedata.normalize("NFKD", name.lower().translate(_PLAIN)).encode("ascii", "ignore").decode()
    return "_".join(re.findall("[a-z0-9]+", plain))[:_LONGEST].strip("_")


def _is_free(conn_id: str) -> bool:
    try:
        stored.require_unused(conn_id)
    except WrongConnectionError:
        return False
    return True
