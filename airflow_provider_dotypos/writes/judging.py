"""What a row says about its planned write: done, to be sent, or in conflict. Three-way comparison, without I/O.

A field may hold what it held when the plan was made, or what the plan wants; anything else is somebody's edit, which no
write may overwrite. A row whose fields are partly as before and partly as planned is no conflict: to send all of them
again changes only the former. Fields that the plan has seen and doesn't change must be as they were: the key that the
row was found by, and the VAT rate that its price was computed with.

https://docs.api.dotypos.com/api-reference/general/methods
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from airflow_provider_dotypos.api.entities import Entity
from airflow_provider_dotypos.writes.blanks import personal_left
from airflow_provider_dotypos.writes.plan import PlannedRow
from airflow_provider_dotypos.writes.values import same
from airflow_provider_dotypos.writes.verdicts import Verdict


def judge(entity: Entity, planned: PlannedRow, now: Mapping[str, Any] | None, cloud_id: int) -> Verdict | None:
    """Return the verdict on a row that exists already, as its row stands; ``None`` if the write is to be sent.

    :param now: the row as it was just read; ``None`` if there is none.
    :param cloud_id: the plan's cloud.
    """
    if now is not None and is_of_other_cloud(now, cloud_id):
        return Verdict("conflict", "it is a row of another cloud", ("_cloudId",))
    if planned.op == "anonymize" and now is not None and is_deleted(now):
        return None if personal_left(entity, now) else Verdict("already")
    if planned.op in ("delete", "anonymize"):
        return _judge_delete(entity, planned, now)
    if now is None:
        return Verdict("conflict", "there is no such row any more")
    if is_deleted(now):
        return Verdict("conflict", "it was deleted", ("deleted",))
    left = [*differing(entity, planned.after, now)]
    if not left:
        return Verdict("already")
    edited = [name for name in left if name in {*differing(entity, planned.before, now, left)}]
    edited += differing(entity, planned.before, now, [name for name in planned.before if name not in planned.after])
    if edited:
        return Verdict("conflict", "somebody changed it since the plan was made", tuple(edited))
    return None


def judge_created(entity: Entity, planned: PlannedRow, now: Mapping[str, Any], cloud_id: int) -> Verdict:
    """Return the verdict on a create whose row exists.

    :param now: the row as it was just read.
    :param cloud_id: the plan's cloud.
    """
    if is_of_other_cloud(now, cloud_id):
        return Verdict("conflict", "its id is that of a row of another cloud", ("_cloudId",))
    if is_deleted(now):
        return Verdict("conflict", "it was created before, and deleted since", ("deleted",))
    if others := tuple(differing(entity, planned.after, now)):
        return Verdict("conflict", "it was created before, with other values or changed since", others)
    return Verdict("already")


def differing(
    entity: Entity, wanted: Mapping[str, Any], now: Mapping[str, Any], names: Iterable[str] | None = None
) -> Iterator[str]:
    """Yield the fields whose values in a row aren't those wanted.

    :param names: the fields to compare. Defaults to all that are wanted.
    """
    for name in wanted if names is None else names:
        field, values = entity.fields.get(name), (wanted.get(name), now.get(name))
        if not (values[0] == values[1] if field is None else same(field, *values)):
            yield name


def is_deleted(row: Mapping[str, Any]) -> bool:
    """Return whether a row is marked as deleted."""
    return row.get("deleted") in (True, "true", "1")


def is_of_other_cloud(row: Mapping[str, Any], cloud_id: int) -> bool:
    """Return whether a row says that it is of another cloud than `cloud_id`."""
    return row.get("_cloudId") is not None and str(row["_cloudId"]) != str(cloud_id)


def _judge_delete(entity: Entity, planned: PlannedRow, now: Mapping[str, Any] | None) -> Verdict | None:
    if now is None or is_deleted(now):
        return Verdict("already")
    if edited := tuple(differing(entity, planned.before, now)):
        return Verdict("conflict", "somebody changed it since the plan was made", edited)
    return None
