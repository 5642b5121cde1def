"""What deliveries say: which rows of a list have changed. Their bodies are of API v1.

Nothing of a row is kept but its id, the time of its change, and a digest. Pure.
"""

from __future__ import annotations

import json
from typing import NamedTuple

from airflow_provider_dotypos.api.page import SECOND
from airflow_provider_dotypos.api.watch import digest
from airflow_provider_dotypos.api.webhooks import PAYLOADS

#: The earliest time that a change can have, in epoch milliseconds: of the year 2001. An earlier one isn't in
#: milliseconds.
EARLIEST = 10**12

#: Milliseconds by which a change may be later than its delivery, for clocks that go wrong.
AHEAD = 86_400_000


class BadBodyError(ValueError):
    """A body isn't a JSON array of objects."""


class DeliveredRow(NamedTuple):
    """A row as a delivery names it.

    :param id: the row's id in the list; ``None`` if it names none, or one whose digits can't be relied on.
    :param changed: the time of its change in epoch milliseconds; ``None`` if unknown.
    :param digest: by which a repeat is known; ``None`` if it can't be known.
    """

    id: str | None
    changed: int | None
    digest: str | None


def read_body(body: bytes, entity: str, received: int) -> list[DeliveredRow]:
    """Return the rows that a delivery names.

    Numbers stay text: ``2.41e+15`` has lost digits, which a number would hide.

    :param received: when it came, in epoch milliseconds.
    :raises BadBodyError: if the body isn't a JSON array of objects.
    """
    try:
        rows = json.loads(body, parse_int=str, parse_float=str)
        if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
            raise BadBodyError
        return [_read_row(row, PAYLOADS[entity].id, received + AHEAD) for row in rows]
    except (ValueError, RecursionError):
        raise BadBodyError from None


def _read_row(row: dict[str, object], id_field: str | None, latest: int) -> DeliveredRow:
    changed = int(_plain_number(row.get("versiondate")) or 0)
    if not EARLIEST <= changed <= latest:
        # Without the time of a change, an equal row may be another change.
        return DeliveredRow(None, None, None)
    row_id = None if id_field is None else _plain_number(row.get(id_field))
    # Without an id all of a row stands for it: two changes don't agree in everything. A whole second may be a time
    # that was cut, which two changes of a row can have.
    name = row_id if row_id is not None and changed % SECOND else json.dumps(row, sort_keys=True)
    return DeliveredRow(row_id, changed, digest(name, changed))


def _plain_number(value: object) -> str | None:
    """Return a number's digits, if it is written with digits alone, as a number or a text."""
    plain = isinstance(value, str) and len(value) <= 19 and value.isascii() and value.isdigit() and value[0] != "0"
    return str(value) if plain else None
