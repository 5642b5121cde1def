"""Few files in place of many small ones.

Parts end early, so that a crash costs little, and an extraction of some minutes has dozens of small files. Once all
rows are read, the small files of each table are read back from the store and written as few. The sources stay until
the set is committed: whatever happens before, a later attempt finds them as it would without merging.
"""

from __future__ import annotations

import errno
from collections import defaultdict
from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import dataclass

import msgspec

from airflow_provider_dotypos.api.list_log import list_log
from airflow_provider_dotypos.transfers.files.checked_copy import checked_copy
from airflow_provider_dotypos.transfers.files.commit import Attempt
from airflow_provider_dotypos.transfers.files.formats.writer import RowWriter
from airflow_provider_dotypos.transfers.files.part import ChildFile, Contents, Part, joined
from airflow_provider_dotypos.transfers.wording import spoken

log = list_log(__name__)

#: Size in bytes below which a file is small.
SMALL_BYTES = 8 * 2**20


@dataclass(frozen=True)
class _File:
    """A file of one table.

    :param sources: positions of the parts whose rows of that table it holds, in order.
    """

    stored: Part | ChildFile
    sources: tuple[int, ...]


class Merger:
    """Merges small files of an attempt.

    :param attempt: the attempt that has put them, or keeps them.
    :param new_file: returns a writer of a staging file for rows of a table.
    :param suffix: how the names of files end.
    :param few: how many files a table may have, however small they are.
    :param max_bytes: size that a merged file reaches at most, give or take a small file.
    :param check: called before each file that is read; what it raises ends the merging.
    """

    def __init__(
        self,
        attempt: Attempt,
        new_file: Callable[[str], RowWriter],
        suffix: str,
        *,
        few: int,
        max_bytes: int,
        check: Callable[[], None],
    ) -> None:
        self._attempt = attempt
        self._parts = attempt.parts
        self._new_file = new_file
        self._suffix = suffix
        self._few = few
        self._max_bytes = max_bytes
        self._check = check

    def merge(self, entity: str, children: Iterable[str], apart: Callable[[Part], Hashable]) -> Contents:
        """Merge the small files of each table, if it has more than a few files; return what the set then holds.

        :param entity: of the parts' own rows.
        :param children: entities of flattened child lists.
        :param apart: a property of parts. Those that differ in it never come into one file.
        """
        keys = [apart(part) for part in self._parts]
        own = self._merged(entity, [_File(part, (i,)) for i, part in enumerate(self._parts)], keys)
        of_parts: list[dict[str, ChildFile]] = [{} for _ in own]
        others: dict[str, list[ChildFile]] = defaultdict(list)
        for child in children:
            files = [_File(part.children[child], (i,)) for i, part in enumerate(self._parts) if child in part.children]
            homes = {
                tuple(i for i in file.sources if child in self._parts[i].children): position
                for position, file in enumerate(own)
            }
            for file in self._merged(child, files, keys):
                stored = ChildFile(file.stored.name, file.stored.rows, file.stored.bytes, file.stored.sha256)
                if (home := homes.get(file.sources)) is None:
                    covers = joined(range for source in file.sources for range in self._parts[source].ranges)
                    others[child].append(msgspec.structs.replace(stored, covers=tuple(covers)))
                else:
                    of_parts[home][child] = stored
        parts = zip((file.stored for file in own), of_parts, strict=True)
        return Contents(
            tuple(msgspec.structs.replace(part, children=files) for part, files in parts if isinstance(part, Part)),
            {child: tuple(files) for child, files in others.items()},
        )

    def _merged(self, table: str, files: list[_File], keys: Sequence[Hashable]) -> list[_File]:
        """Return a table's files, with few in place of small ones.

        What was merged can be small again, as Parquet packs many rows better than few.
        """
        while groups := plan(
            [file.stored.bytes for file in files],
            [keys[file.sources[0]] for file in files],
            few=self._few,
            max_bytes=self._max_bytes,
        ):
            merged = {group[0]: self._merged_file(table, [files[i] for i in group]) for group in groups}
            gone = {i for group in groups for i in group[1:]}
            log.info(
                "Small files of %s are merged: %d instead of %d.", spoken(table), len(files) - len(gone), len(files)
            )
            files = [merged.get(i, file) for i, file in enumerate(files) if i not in gone]
        return files

    def _merged_file(self, table: str, files: Sequence[_File]) -> _File:
        """Write one file in place of several: always from the sources, so that their order is kept."""
        positions = tuple(sorted(i for file in files for i in file.sources))
        sources = [self._parts[i] for i in positions]
        with self._attempt.superseding():
            writer = self._new_file(table)
            try:
                for source in sources:
                    self._append(writer, source.children.get(table, source))
                child = table if table in sources[0].children else ""
                return _File(self._attempt.put_merged(writer, child, sources, self._suffix), positions)
            except BaseException:
                writer.discard()
                raise

    def _append(self, writer: RowWriter, file: Part | ChildFile) -> None:
        """Append a file's rows, as they were written: it is copied first, so a store that fails is asked again."""
        self._check()
        store = self._attempt.store
        with checked_copy(store, file) as copy:
            if copy is None:
                changed = "its bytes aren't those that were written; the next try asks for its rows again"
                raise OSError(errno.EIO, changed, str(store.folder / file.name))
            writer.append(copy, file.rows)


def plan(sizes: Sequence[int], keys: Sequence[Hashable], *, few: int, max_bytes: int) -> list[list[int]]:
    """Return which of a table's files are to be merged, as groups of their positions.

    If there are more than a few, all small ones are. If a group of them would still be small, the smallest of the other
    files joins it, unless only a few files are left.

    :param sizes: in bytes, in order.
    :param keys: files whose keys differ stay apart.
    :param max_bytes: of a group; a file that is as large as this isn't small either.
    """
    small = min(SMALL_BYTES, max_bytes)
    if len(sizes) <= few:
        return []
    of_key: dict[Hashable, list[int]] = defaultdict(list)
    for i, size in enumerate(sizes):
        if size < small:
            of_key[keys[i]].append(i)
    groups = [group for members in of_key.values() for group in _cut(members, sizes, small, max_bytes)]
    chosen = sum(map(len, groups))
    if len(sizes) - chosen + len(groups) > few:
        for group in groups:
            others = [i for i, size in enumerate(sizes) if size >= small and keys[i] == keys[group[0]]]
            if others and sum(sizes[i] for i in group) < small:
                group.append(min(others, key=sizes.__getitem__))
                group.sort()
    return [group for group in groups if len(group) > 1]


def _cut(members: Sequence[int], sizes: Sequence[int], small: int, max_bytes: int) -> list[list[int]]:
    """Cut small files into groups of up to a size, none of them small but a single one."""
    groups: list[list[int]] = [[]]
    filled, left = 0, sum(sizes[i] for i in members)
    for i in members:
        if filled >= small and filled + sizes[i] > max_bytes and left >= small:
            groups.append([])
            filled = 0
        groups[-1].append(i)
        filled += sizes[i]
        left -= sizes[i]
    return groups
