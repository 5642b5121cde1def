"""What a row of a source asks for, as the cloud holds its row now: an update, a create, a delete, nothing, a conflict.

Pure. Whether a planned row may be written is decided once more when it is applied (``judging``).
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from decimal import Decimal
from typing import Any

from airflow_provider_dotypos.api.entities import Entity
from airflow_provider_dotypos.writes.blanks import personal_left
from airflow_provider_dotypos.writes.errors import Problem
from airflow_provider_dotypos.writes.judging import is_deleted
from airflow_provider_dotypos.writes.keys import Key
from airflow_provider_dotypos.writes.plan import PlannedRow
from airflow_provider_dotypos.writes.planning.arguments import PlanArguments
from airflow_provider_dotypos.writes.planning.limits import PRICES
from airflow_provider_dotypos.writes.sources.index import SourceRow
from airflow_provider_dotypos.writes.sources.rules import check_whole
from airflow_provider_dotypos.writes.values import read_value, same

#: Ids of ours: from the first on so many. All are below 2**53, so that no float changes them.
FIRST_ID, IDS = 7 * 10**15, 10**15

_PRICE_PAIR = ("priceWithVat", "priceWithoutVat")
_PRICED = frozenset({*_PRICE_PAIR, "vat"})

#: Prices with VAT that are computed have so many decimal places [A].
_PLACES = Decimal("0.0001")


def decide(
    arguments: PlanArguments, cloud_id: int, source: SourceRow, rows: Sequence[Mapping[str, Any]]
) -> tuple[PlannedRow | None, list[Problem]]:
    """Return what is planned for a row of the source, ``None`` if nothing is to be done, and what is wrong with it.

    :param cloud_id: the cloud that is written to.
    :param rows: the cloud's rows that have its key, deleted ones included.
    """
    live = [row for row in rows if not is_deleted(row)]
    if any(row.get("_cloudId") not in (None, cloud_id, str(cloud_id)) for row in rows):
        return _conflict(source, "the row with this key belongs to another cloud"), []
    if len(live) > 1:
        return _conflict(source, f"{len(live)} rows have this key"), []
    if "anonymize" in arguments.actions:
        return _anonymization(arguments, source, rows), []
    if "delete" in arguments.actions:
        return _deletion(arguments, source, live, bool(rows)), []
    if live:
        return _update(arguments, source, live[0])
    if rows:
        return _conflict(source, "the row with this key is deleted; it is neither revived nor made anew"), []
    padded = any(text != text.strip() for text in source.key)  # as CHAR columns of databases are
    if "create" not in arguments.actions:
        blanks = " with blanks at its ends" if padded else ""
        return _conflict(source, f"no row has this key{blanks}, and actions doesn't name create"), []
    if padded:
        return _conflict(source, "no row has this key, and a new row's can't have blanks at its ends: trim it"), []
    return _creation(arguments, cloud_id, source)


def create_id(cloud_id: int, entity: Entity, key: Key) -> str:
    """Return the id that a new row gets: always the same for the same key, so that a repeated create makes no twin."""
    text = "\0".join((str(cloud_id), entity.name, *key))
    return str(FIRST_ID + int.from_bytes(hashlib.sha256(text.encode()).digest(), "big") % IDS)


def _deletion(
    arguments: PlanArguments, source: SourceRow, live: Sequence[Mapping[str, Any]], exists: bool
) -> PlannedRow | None:
    if not live:
        return None if exists else _conflict(source, "no row has this key")
    (row,) = live
    # An edit after the plan was made shows in the version, whichever field it was.
    seen = [name for name in (*arguments.match, "versionDate") if name in arguments.entity.fields and name != "id"]
    before = _values(arguments.entity, row, seen)
    return PlannedRow("delete", source.key, source.number, str(row["id"]), before, version=_version(row))


def _anonymization(arguments: PlanArguments, source: SourceRow, rows: Sequence[Mapping[str, Any]]) -> PlannedRow | None:
    """Return what is planned for a customer; a deleted one is, too, as long as it holds personal data."""
    if len(rows) != 1:
        several = f"{len(rows)} rows have this key, deleted ones among them; name each by its id"
        return _conflict(source, several if rows else "no row has this key")
    (row,) = rows
    if is_deleted(row):
        seen, done = {}, not personal_left(arguments.entity, row)
    else:
        seen, done = _values(arguments.entity, row, ["versionDate"]), False
    if done:
        return None
    return PlannedRow("anonymize", source.key, source.number, str(row["id"]), seen, version=_version(row))


def _update(
    arguments: PlanArguments, source: SourceRow, row: Mapping[str, Any]
) -> tuple[PlannedRow | None, list[Problem]]:
    entity = arguments.entity
    if "update" not in arguments.actions:
        return None, []
    wanted = {name: value for name, value in source.values.items() if name not in arguments.match}
    after = {name: value for name, value in wanted.items() if not same(entity.fields[name], row.get(name), value)}
    if not after:
        return None, []
    priced = not after.keys().isdisjoint(PRICES.get(entity.name, ()))
    if arguments.currency and priced and row.get("currency") not in (None, arguments.currency):
        return _conflict(source, f"its prices aren't in {arguments.currency}"), []
    after = _priced(entity, wanted, after, row)
    seen = dict.fromkeys((*after, *_presumed(arguments, after)))
    planned = PlannedRow(
        "update", source.key, source.number, str(row["id"]), _values(entity, row, seen), after, _version(row)
    )
    return planned, check_whole(entity, source.number, wanted | after, row)


def _presumed(arguments: PlanArguments, after: Mapping[str, Any]) -> Iterator[str]:
    """Yield the fields by which a change was planned, and which must be the same when it is applied."""
    fields = arguments.entity.fields
    # A list such as ``ean`` may get an entry more, and still has the key.
    yield from (name for name in arguments.match if name != "id" and not fields[name].type.endswith("[]"))
    if not _PRICED.isdisjoint(after):
        yield from (name for name in ("vat", "currency") if name in fields and (name == "vat" or arguments.currency))


def _creation(arguments: PlanArguments, cloud_id: int, source: SourceRow) -> tuple[PlannedRow | None, list[Problem]]:
    entity, after = arguments.entity, dict(source.values)
    if arguments.currency and "currency" in entity.fields:
        after.setdefault("currency", arguments.currency)
    after = _priced(entity, after, after, {})
    id = create_id(cloud_id, entity, source.key) if "PUT" in entity.writes.row_methods else None
    planned = PlannedRow("create", source.key, source.number, id, after=after)
    return planned, check_whole(entity, source.number, after, None)


def _priced(
    entity: Entity, wanted: Mapping[str, Any], after: Mapping[str, Any], row: Mapping[str, Any]
) -> dict[str, Any]:
    """Return what changes of a row with both prices of a product, if one of them or the VAT rate changes.

    What the API does to a price that isn't sent is unknown [U]: it may leave it as it is, or compute it. So both are
    sent. The one that the source doesn't name is computed. Where the source names none, the price that guests pay
    stays.

    :param wanted: what the source wants to be in the row.
    :param after: what of that changes.
    """
    if entity.name != "products" or _PRICED.isdisjoint(after):
        return dict(after)
    whole = _values(entity, {**row, **wanted}, _PRICED)
    gross, net, rate = whole["priceWithVat"], whole["priceWithoutVat"], whole["vat"]
    if rate is None or Decimal(rate) <= 0:
        return dict(after)
    if "priceWithoutVat" in wanted:
        if "priceWithVat" not in wanted and net is not None:
            gross = _plain((Decimal(net) * Decimal(rate)).quantize(_PLACES))
    elif gross is not None:
        net = _plain(Decimal(repr(float(Decimal(gross) / Decimal(rate)))))  # the API's prices are doubles
    return {
        **after,
        **{name: value for name, value in zip(_PRICE_PAIR, (gross, net), strict=True) if value is not None},
    }


def _plain(number: Decimal) -> str:
    """Return a number without an exponent, and without zeros behind it."""
    return f"{number.normalize():f}"


def _values(entity: Entity, row: Mapping[str, Any], names: Iterable[str]) -> dict[str, Any]:
    """Return what some fields of a row hold, in the API's form."""
    values: dict[str, Any] = {}
    for name in names:
        value = row.get(name)
        try:
            values[name] = read_value(entity.fields[name], value)
        except ValueError:  # no source could write what it holds; it is compared as it is
            values[name] = value
    return values


def _version(row: Mapping[str, Any]) -> str | None:
    version = row.get("versionDate")
    return None if version is None else str(version)


def _conflict(source: SourceRow, why: str) -> PlannedRow:
    return PlannedRow("conflict", source.key, source.number, why=why)
