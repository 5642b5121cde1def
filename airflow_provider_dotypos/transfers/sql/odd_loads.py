"""Which loads have met something odd: values that didn't fit, or fields that the entity table doesn't know."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timezone
from typing import TYPE_CHECKING, NamedTuple

from airflow_provider_dotypos.api.window import Window
from airflow_provider_dotypos.transfers.news import beginning, with_first_seen
from airflow_provider_dotypos.transfers.sql.loads import utc
from airflow_provider_dotypos.transfers.sql.names import LOADS
from airflow_provider_dotypos.transfers.sql.oddities import NEW_FIELDS, Oddities

if TYPE_CHECKING:
    from airflow_provider_dotypos.transfers.sql.dialects.base import Dialect
    from airflow_provider_dotypos.transfers.sql.loads import Load
    from airflow_provider_dotypos.transfers.sql.transaction import Transaction

_EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)


class OddLoad(NamedTuple):
    """A finished load that has met something odd.

    :param target: the name of the entity's own table.
    """

    target: str
    entity: str
    cloud_id: int
    window: Window
    oddities: Oddities


def odd_loads(
    transaction: Transaction,
    dialect: Dialect,
    schema: str | None,
    condition: str = "",
    parameters: tuple[object, ...] = (),
) -> Iterator[OddLoad]:
    """Yield the finished loads that have met something odd, the earliest window first.

    :param schema: where our own tables lie.
    :param condition: what else must hold of a load, with marks for parameters.
    """
    more = f" AND {condition}" if condition else ""
    rows = transaction.rows(
        f"SELECT target, entity, cloud_id, since, until, misfits FROM {dialect.relation(schema, LOADS)} "
        f"WHERE loaded_at IS NOT NULL AND misfits IS NOT NULL AND misfits <> ?{more}",
        ["{}", *parameters],
    )
    loads = [
        OddLoad(target, entity, cloud_id, Window(_milliseconds(since), _milliseconds(until) or 0), Oddities.read(odd))
        for target, entity, cloud_id, since, until, odd in rows
    ]
    yield from sorted(
        loads, key=lambda load: (load.window.since is not None, load.window.since or 0, load.window.until)
    )


def count_loads(transaction: Transaction, dialect: Dialect, schema: str | None) -> int:
    """Return how many loads are finished."""
    query = f"SELECT count(*) FROM {dialect.relation(schema, LOADS)} WHERE loaded_at IS NOT NULL"
    return int(transaction.rows(query)[0][0])


def first_seen(transaction: Transaction, dialect: Dialect, schema: str | None, load: Load) -> dict[str, dict[str, str]]:
    """Return which unknown fields earlier loads into a table have brought, and where their first windows begin."""
    condition = "target = ? AND cloud_id = ? AND load_id <> ? AND misfits LIKE ?"
    parameters = (load.target, load.cloud_id, load.load_id, f"%{NEW_FIELDS}%")
    seen: dict[str, dict[str, str]] = {}
    for other in odd_loads(transaction, dialect, schema, condition, parameters):
        seen = with_first_seen(seen, other.oddities.new_fields, beginning(other.window))
    return seen


def _milliseconds(value: object) -> int | None:
    return None if value is None else round((utc(value) - _EPOCH).total_seconds() * 1000)
