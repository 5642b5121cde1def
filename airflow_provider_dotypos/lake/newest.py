"""Which rows of many committed sets are the newest versions: one bit a row, in bounded memory.

One pass reads the keys and the cursors of all rows, and nothing else. They are divided by their keys into some hundred
groups, which lie in a temporary file. Each group is small enough to be looked through in memory.

A version is ordered by the row's cursors, where null is lowest. Of equal ones the later set counts (as `lake/order.py`
says), and in a set the later row.
"""

from __future__ import annotations

import tempfile
from array import array
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from itertools import chain, compress, repeat
from operator import add
from typing import IO, Any, NamedTuple

from airflow_provider_dotypos.api.entities import Child, Entity, find_entity
from airflow_provider_dotypos.lake.order import in_order
from airflow_provider_dotypos.lake.sets import LakeSet
from airflow_provider_dotypos.transfers.errors import DamagedSetError
from airflow_provider_dotypos.transfers.files.committed_set import set_table
from airflow_provider_dotypos.transfers.files.formats.chosen import Chosen
from airflow_provider_dotypos.transfers.files.formats.part_versions import NULL
from airflow_provider_dotypos.transfers.files.part import ChildFile, Part, StreamRange
from airflow_provider_dotypos.transfers.files.tables import Table

#: Into how many groups rows are divided: a prime, as ids may have steps.
_GROUPS = 251

#: Numbers of a group that are kept in memory before they go to the file (8 bytes each).
_KEPT = 1024


class Bounds(NamedTuple):
    """Which versions count, by the time of a row's change: the latest of its cursors.

    :param since: the first time that counts, in epoch milliseconds. If it is given, rows without a cursor don't count.
    :param until: the first time that doesn't count any more.
    """

    since: int | None = None
    until: int | None = None


#: All versions count.
ALWAYS = Bounds()


class Newest:
    """Which rows of some sets are the newest versions.

    :ivar sets: the sets, in the order in which they were read.
    :ivar tables: the tables that were looked at.
    """

    def __init__(
        self,
        sets: Sequence[LakeSet],
        tables: Collection[str],
        chosen: Mapping[tuple[int, str], Chosen],
    ) -> None:
        self.sets = sets
        self.tables = tables
        self._chosen = chosen
        self._positions = {id(lake_set): position for position, lake_set in enumerate(sets)}

    def chosen(self, lake_set: LakeSet, file: str) -> Chosen:
        """Return which rows of a set's file count.

        :param file: the name of a part's file, or of a file of flattened children that was looked at.
        """
        return self._chosen[self._positions[id(lake_set)], file]


class _File(NamedTuple):
    """A file whose rows are looked at.

    :param position: of its first row among all rows; a multiple of 8.
    """

    set_number: int
    stored: Part | ChildFile
    position: int

    @property
    def end(self) -> int:
        """The position after its last row."""
        return self.position + self.stored.rows


class _Family(NamedTuple):
    """Which rows the children in a file belong to.

    :param first: position of the first row.
    :param end: position after the last one.
    :param covers: the ranges of cursors that they lie in; ``None`` if all belong to them.
    """

    first: int
    end: int
    covers: tuple[StreamRange, ...] | None

    def holds(self, position: int, cursor: int) -> bool:
        """Return whether a row's children are in the file."""
        if not self.first <= position < self.end:
            return False
        return self.covers is None or any(_covers(range, cursor) for range in self.covers)


def newest_rows(
    sets: Iterable[LakeSet],
    *,
    tables: Collection[str] | None = None,
    bounds: Bounds = ALWAYS,
    hide_deleted: bool = False,
    sorted_sets: bool = False,
) -> Newest:
    """Return which rows of some sets are the newest versions of their keys.

    :param sets: sets of one entity, whose rows are of one shape.
    :param tables: the tables to look at. Children that were flattened belong to the newest version of their parent, and
        to the set that it is in. Defaults to all.
    :param bounds: which versions count.
    :param hide_deleted: whether a row whose newest version is deleted doesn't count.
    :param sorted_sets: whether the sets come in the order in which they count, the oldest first. Defaults to that
        of `in_order`.
    :raises FileNotFoundError: if a set is gone.
    :raises DamagedSetError: if a file can't be read, or doesn't hold the rows that its manifest counts.
    """
    by_age = list(sets) if sorted_sets else in_order(sets)
    if not by_age:
        return Newest((), () if tables is None else tables, {})
    return _Search(by_age, tables, bounds, hide_deleted).newest()


class _Search:
    """One search for the newest versions."""

    def __init__(
        self, sets: Sequence[LakeSet], tables: Collection[str] | None, bounds: Bounds, hide_deleted: bool
    ) -> None:
        self._sets = sets
        self._entity = find_entity(sets[0].manifest.entity)
        self._tables = [name for name in possible_tables(self._entity) if tables is None or name in tables]
        self._bounds = bounds
        self._hide_deleted = hide_deleted and self._entity.has_deleted
        self._end = 0
        self._own = [[self._file(i, part) for part in lake_set.manifest.parts] for i, lake_set in enumerate(sets)]
        self._children = [
            (child, self._file(i, file))
            for child in self._entity.includes.values()
            if child.entity in self._tables
            for i, lake_set in enumerate(sets)
            for file in lake_set.manifest.contents.children(child.entity)
        ]
        self._bits = bytearray(self._end // 8)

    def newest(self) -> Newest:
        """Do it."""
        keys, cursors = len(self._entity.primary_key), len(self._entity.cursors)
        with _Groups(keys + cursors + 1) as rows, _Groups(3) as children:
            for file in chain.from_iterable(self._own):
                self._read_rows(file, rows)
            for number, (child, file) in enumerate(self._children):
                self._read_children(child, file, number, children)
            families = [self._family(child, file) for child, file in self._children]
            for group in range(_GROUPS):
                *columns, marks = rows.columns(group)
                versions = _together(columns[keys:], len(marks))
                newest = _newest(_together(columns[:keys], len(marks)), versions, marks)
                self._count(mark >> 1 for _, mark in newest.values() if not mark & 1)
                self._count(_of_newest(newest, children.columns(group), families))
        view = memoryview(self._bits).toreadonly()
        chosen = {
            (file.set_number, file.stored.name): Chosen(view[file.position // 8 : -(-file.end // 8)], file.stored.rows)
            for file in chain(*self._own, (file for _, file in self._children))
        }
        return Newest(self._sets, self._tables, chosen)

    def _file(self, set_number: int, stored: Part | ChildFile) -> _File:
        """Return a file with the next positions for its rows."""
        file = _File(set_number, stored, self._end)
        self._end += -(-stored.rows // 8) * 8
        return file

    def _read_rows(self, file: _File, groups: _Groups) -> None:
        """Read the versions of a part's rows."""
        entity = self._entity
        keys, cursors = len(entity.primary_key), len(entity.cursors)
        fields = [*entity.primary_key, *entity.cursors, *(("deleted",) if self._hide_deleted else ())]
        position = file.position
        for numbers in self._table(file, entity.name).versions(fields):
            rows = len(numbers[0])
            if any(column.count(NULL) for column in numbers[:keys]):
                raise DamagedSetError(
                    f"{self._sets[file.set_number].store.folder / file.stored.name}: a row has no key"
                )
            latest = _latest(numbers[keys : keys + cursors], rows)
            # The lowest bit of a mark says whether the row is deleted.
            marks: Iterable[int] = range(2 * position, 2 * (position + rows), 2)
            if self._hide_deleted:
                marks = map(add, marks, (deleted == 1 for deleted in numbers[-1]))
            records: Iterable[tuple[int, ...]] = zip(*numbers[: keys + cursors], marks, strict=True)
            if self._bounds != ALWAYS:
                records = compress(records, map(self._is_inside, latest))
            groups.add(records)
            position += rows

    def _read_children(self, child: Child, file: _File, number: int, groups: _Groups) -> None:
        """Read whose children are in a file."""
        position = file.position
        for (parents,) in self._table(file, child.entity).versions([child.parent]):
            groups.add(zip(parents, repeat(number), range(position, position + len(parents))))
            position += len(parents)

    def _table(self, file: _File, name: str) -> Table:
        """Return a file as a table."""
        _, store, manifest = self._sets[file.set_number]
        return set_table(store, manifest, name, [file.stored])

    def _family(self, child: Child, file: _File) -> _Family:
        """Return which rows the children in a file belong to."""
        own = self._own[file.set_number]
        for part in own:
            if isinstance(part.stored, Part) and part.stored.children.get(child.entity) is file.stored:
                return _Family(part.position, part.end, None)
        # A compacted set has no row in two versions.
        compacted = self._sets[file.set_number].manifest.compacted_from
        covers = file.stored.covers
        return _Family(own[0].position, own[-1].end, None if compacted else covers) if own else _Family(0, 0, None)

    def _is_inside(self, moment: int) -> bool:
        since, until = self._bounds
        return (since is None or moment >= since) and (until is None or moment < until)

    def _count(self, positions: Iterable[int]) -> None:
        """Set the bits of rows that count."""
        bits = self._bits
        for position in positions:
            bits[position >> 3] |= 1 << (position & 7)


class _Groups(AbstractContextManager["_Groups"]):
    """Records of numbers, divided by their first number into groups of a few, in a temporary file without a name.

    :param width: how many numbers a record has.
    """

    def __init__(self, width: int) -> None:
        self._width = width
        self._kept = [array("q") for _ in range(_GROUPS)]
        self._stored: list[list[tuple[int, int]]] = [[] for _ in range(_GROUPS)]
        self._file: IO[bytes] = tempfile.TemporaryFile(prefix="dotypos-")  # noqa: SIM115 (closed on exit)
        self._end = 0

    def __exit__(self, *exception: object) -> None:
        self._file.close()

    def add(self, records: Iterable[tuple[int, ...]]) -> None:
        """Add records; they keep their order."""
        kept = self._kept
        for record in records:
            kept[record[0] % _GROUPS].extend(record)
        for number, group in enumerate(kept):
            if len(group) >= _KEPT:
                self._file.write(group)
                self._stored[number].append((self._end, len(group)))
                self._end += 8 * len(group)
                kept[number] = array("q")

    def columns(self, number: int) -> list[array[int]]:
        """Return the records of a group, as a column for each number of theirs."""
        group = array("q")
        for position, length in self._stored[number]:
            self._file.seek(position)
            group.frombytes(self._file.read(8 * length))
        group += self._kept[number]
        return [group[i :: self._width] for i in range(self._width)]


def _newest(keys: Iterable[Any], versions: Iterable[Any], marks: Iterable[int]) -> dict[Any, tuple[Any, int]]:
    """Return the newest version of each key, and the mark of its row. Of equal ones the last counts."""
    newest: dict[Any, tuple[Any, int]] = {}
    for key, version, mark in zip(keys, versions, marks, strict=True):
        known = newest.get(key)
        if known is None or version >= known[0]:
            newest[key] = version, mark
    return newest


def _of_newest(
    newest: dict[Any, tuple[Any, int]], children: Sequence[array[int]], families: Sequence[_Family]
) -> Iterator[int]:
    """Yield the positions of children that belong to the newest version of their parent."""
    for parent, number, position in zip(*children, strict=True):
        cursor, mark = newest.get(parent, (NULL, 1))
        if not mark & 1 and families[number].holds(mark >> 1, cursor):
            yield position


def possible_tables(entity: Entity) -> list[str]:
    """Return the names of the tables that sets of an entity may have."""
    return [entity.name, *(child.entity for child in entity.includes.values())]


def _together(columns: Sequence[array[int]], rows: int) -> Iterable[Any]:
    """Return the values of columns side by side: of one column as they are, of none a zero for each row."""
    if not columns:
        return repeat(0, rows)
    return columns[0] if len(columns) == 1 else zip(*columns, strict=True)


def _latest(moments: Sequence[array[int]], rows: int) -> Sequence[int]:
    """Return the latest moment of each row; `NULL` of one that has none."""
    if not moments:
        return array("q", [NULL]) * rows
    return moments[0] if len(moments) == 1 else list(map(max, *moments))


def _covers(range: StreamRange, cursor: int) -> bool:
    """Return whether a cursor lies in a range. Rows without a cursor are in a range without bounds."""
    if cursor == NULL or (range.low is None and range.high is None):
        return cursor == NULL and range.low is None and range.high is None
    return (range.low is None or range.low <= cursor) and (range.high is None or cursor < range.high)
