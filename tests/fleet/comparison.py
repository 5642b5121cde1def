"""The rows of sets beside those of the shop, one by one."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from airflow_provider_dotypos.api.entities import Entity, find_entity
from airflow_provider_dotypos.api.page import timestamp
from airflow_provider_dotypos.sandbox import Behaviour, Shop
from airflow_provider_dotypos.sandbox.api.wire import write_row
from airflow_provider_dotypos.transfers.manifest import CommittedSet

Row = dict[str, Any]


@dataclass
class Figures:
    """What a comparison came to.

    :param sets: sets that were read.
    :param rows: rows that the sets should hold as the shop holds them.
    :param lost: those of them that no set holds, or only as they were before.
    :param doubled: rows that were delivered more than once in one and the same state.
    :param unknown: rows that the shop doesn't hold.
    """

    sets: int = 0
    rows: int = 0
    lost: int = 0
    doubled: int = 0
    unknown: int = 0

    def __iadd__(self, other: Figures) -> Figures:
        self.sets += other.sets
        self.rows += other.rows
        self.lost += other.lost
        self.doubled += other.doubled
        self.unknown += other.unknown
        return self

    @property
    def right(self) -> bool:
        return not (self.lost or self.doubled or self.unknown)


def compare(shop: Shop, sets: Sequence[CommittedSet]) -> Figures:
    """Compare sets of one entity of one cloud, whose windows follow each other, with the shop.

    The shop must be at rest.
    """
    manifest = sets[0].manifest
    entity = find_entity(manifest.entity)
    held = [write_row(row, Behaviour()) for row in shop.rows(manifest.cloud_id, entity.name)]
    if not entity.cursors:  # each set is a snapshot of its own
        sets = sets[-1:]
    sets = sorted(sets, key=lambda committed: committed.manifest.until)
    expected = [row for row in held if _belongs(entity, row, sets)]
    newest: dict[tuple[str, ...], tuple[int, Row]] = {}
    delivered: Counter[str] = Counter()
    for committed in sets:
        for row in committed.rows():
            moment = cursor_of(entity, row)
            key = key_of(entity, row)
            if key not in newest or (moment or 0) >= newest[key][0]:
                newest[key] = (moment or 0, row)
            if not _may_come_again(entity, committed, moment):
                delivered[json.dumps(row, sort_keys=True)] += 1
    lost = sum(newest.get(key_of(entity, row), (0, None))[1] != row for row in expected)
    doubled = sum(count - 1 for count in delivered.values())
    unknown = len(newest.keys() - {key_of(entity, row) for row in held})
    return Figures(len(sets), len(expected), lost, doubled, unknown)


def chains(sets: Iterable[CommittedSet]) -> dict[tuple[int, str], list[CommittedSet]]:
    """Return sets by cloud and entity. A set that several tasks returned is there once."""
    unique = {str(committed.path): committed for committed in sets}
    grouped: dict[tuple[int, str], list[CommittedSet]] = {}
    for committed in unique.values():
        grouped.setdefault((committed.manifest.cloud_id, committed.manifest.entity), []).append(committed)
    return grouped


def cursor_of(entity: Entity, row: Row) -> int | None:
    """Return when a row has last changed, in epoch milliseconds; None if it has no cursor."""
    return max((timestamp(row[name]) for name in entity.cursors if row.get(name)), default=None)


def key_of(entity: Entity, row: Row) -> tuple[str, ...]:
    return tuple(str(row[name]) for name in entity.primary_key)


def _may_come_again(entity: Entity, committed: CommittedSet, moment: int | None) -> bool:
    """Return whether a row may come again: without a cursor, or in the tail of a set from the beginning.

    What the tail holds changed while the set was read, and belongs to the next window, too.
    """
    if not entity.cursors:
        return False
    return moment is None or (committed.manifest.since is None and moment >= timestamp(committed.manifest.until))


def _belongs(entity: Entity, row: Row, sets: Sequence[CommittedSet]) -> bool:
    """Return whether sets, in their order, should hold a row. One without a cursor belongs to no window."""
    first, last = sets[0].manifest, sets[-1].manifest
    moment = cursor_of(entity, row)
    if moment is None:
        return first.since is None
    return (first.since is None or timestamp(first.since) <= moment) and moment < timestamp(last.until)
