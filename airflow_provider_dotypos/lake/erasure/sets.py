"""A person's rows in committed sets: found, and rewritten without their data.

A set is rewritten as its next generation, by the protocol of commits. Readers see the old set until its manifest
exists, and the new one from then on. A crash leaves one of both, and a second run finds what is left to do. A set that
holds nothing of the person isn't touched.

Sets may come and change meanwhile: by extractions, and by compacting, which reads sets and writes others. So folders
are looked through again until there is no set that wasn't searched. Compacting looks for sets that changed after its
own commit. So one of both always sees what the other one did.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from datetime import datetime, timezone
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

from airflow_provider_dotypos import __version__
from airflow_provider_dotypos.api.entities import find_entity
from airflow_provider_dotypos.api.list_log import list_log
from airflow_provider_dotypos.api.window import iso, milliseconds
from airflow_provider_dotypos.lake.erasure.person import Person, Row
from airflow_provider_dotypos.lake.erasure.report import ErasureReport, Place
from airflow_provider_dotypos.lake.erasure.rows import RowEraser
from airflow_provider_dotypos.lake.rewriting import rewrite_set
from airflow_provider_dotypos.lake.sets import LakeSet, SetFolder, find_committed, set_folders
from airflow_provider_dotypos.storage.store import Store
from airflow_provider_dotypos.transfers.errors import DamagedSetError
from airflow_provider_dotypos.transfers.files.folder_files import unlisted_files
from airflow_provider_dotypos.transfers.files.formats.file_format import FileFormat
from airflow_provider_dotypos.transfers.files.formats.part_search import look_through, rows_at
from airflow_provider_dotypos.transfers.files.manifest import Manifest, Rewriting, newest_generation
from airflow_provider_dotypos.transfers.files.tables import Table, columns_of_table
from airflow_provider_dotypos.transfers.history import NESTED_FOLDER
from airflow_provider_dotypos.transfers.sink import SupersededError

if TYPE_CHECKING:
    from airflow.sdk import ObjectStoragePath

    from airflow_provider_dotypos.storage.patience import StorePatience
    from airflow_provider_dotypos.transfers.rows.columns import Columns

log = list_log(__name__)

#: What `Rewriting.reason` says of a set that was rewritten.
ERASED = "erased"


class _Folder(NamedTuple):
    """The folder of a set, and where it lies."""

    root: ObjectStoragePath
    entity: str
    folder: SetFolder

    @property
    def path(self) -> str:
        return f"{self.entity}/{self.folder.name}"


class _Seen(NamedTuple):
    """Which set of a folder was seen. One that was pruned and extracted again has the same generation.

    :param file: the name of one of its files; ``None`` if it has none.
    """

    generation: int
    file: str | None

    @classmethod
    def of(cls, manifest: Manifest) -> _Seen:
        return cls(manifest.generation, next(iter(manifest.contents.sizes), None))

    def is_newest(self, names: dict[str, int]) -> bool:
        """Return whether it is surely the newest set of a folder with these files."""
        there = self.file in names if self.file is not None else len(names) == 1
        return there and newest_generation(names) == self.generation


class _Look(NamedTuple):
    """What a set holds of the person.

    :param edits: positions of rows to be edited, by the names of files.
    """

    edits: Mapping[str, Sequence[int]]
    places: Sequence[Place]


class SetErasure:
    """The sets of one cloud below a destination.

    :param report: gets what is found.
    :param remove_unfinished: whether files of unfinished attempts are removed, too.
    :param check: called between steps; what it raises ends the work.
    """

    def __init__(
        self,
        destination: ObjectStoragePath,
        person: Person,
        report: ErasureReport,
        *,
        patience: StorePatience | None,
        remove_unfinished: bool = False,
        check: Callable[[], None] = lambda: None,
    ) -> None:
        self._roots = (destination, destination / NESTED_FOLDER)
        self._person = person
        self._report = report
        self._patience = patience
        self._remove_unfinished = remove_unfinished
        self._check = check
        self._searched: dict[tuple[str, str], _Seen] = {}
        self._noted: dict[tuple[str, str], _Seen] = {}

    def note(self) -> bool:
        """Note the ids of the rows that name the person, in sets that weren't read yet; return whether there is one."""
        fresh = False
        for place, lake_set in self._fresh(self._noted, self._person.reach.entities):
            fresh = True
            if place.entity in self._person.reach.noting():
                needle = self._person.id.encode()
                self._read(lake_set, self._person.note, {self._person.id}, needle)
            self._noted[self._key(place)] = _Seen.of(lake_set.manifest)
        return fresh

    def note_related(self) -> None:
        """Note the ids of the rows that refer to those that name the person."""
        for _, lake_set in self._fresh({}, self._person.reach.relating()):
            self._read(lake_set, self._person.note_related, self._person.ids)

    def erase(self, *, again: bool) -> None:
        """Rewrite the sets that hold data of the person; in a dry run say what they hold.

        :param again: whether sets are to be searched that were searched before: more ids are known.
        """
        if again:
            self._searched.clear()
        for place, lake_set in self._fresh(self._searched, self._person.reach.entities):
            self._erase(place, lake_set)

    def _erase(self, place: _Folder, lake_set: LakeSet) -> None:
        try:
            look = self._look(lake_set)
        except FileNotFoundError:
            return  # it is being replaced: the folder is looked at again
        except DamagedSetError as error:
            self._report.unreadable[str(lake_set.store.folder)] = str(error)
            self._searched[self._key(place)] = _Seen.of(lake_set.manifest)
            return
        seen = _Seen.of(lake_set.manifest)
        if any(look.edits.values()) and not self._report.dry_run:
            eraser = RowEraser(self._person)
            rewriting = Rewriting(
                ERASED, iso(milliseconds(datetime.now(timezone.utc))), sum(map(len, look.edits.values())), __version__
            )
            try:
                manifest = rewrite_set(lake_set, look.edits, eraser.edit, rewriting, check=self._check)
            except (SupersededError, FileNotFoundError):
                log.info("Another run has replaced %s meanwhile: it is searched again.", lake_set.store.folder)
                return
            except DamagedSetError as error:
                self._report.unreadable[str(lake_set.store.folder)] = str(error)
                self._searched[self._key(place)] = seen
                return
            if rewriting not in manifest.rewritings:
                return  # another attempt has committed: the folder is looked at again
            seen = _Seen.of(manifest)
            log.info("Rewritten without the customer's data: %s", lake_set.store.folder)
            for each in look.places:
                each.done = True
        for each in look.places:
            self._report.add(each)
        key = self._key(place)
        self._searched[key] = seen
        if self._noted.get(key) == _Seen.of(lake_set.manifest):  # otherwise it came after the ids were noted
            self._noted[key] = seen

    def _look(self, lake_set: LakeSet) -> _Look:
        """Search a set for rows of the person."""
        edits: dict[str, list[int]] = {}
        places = []
        ids = self._person.ids
        for table, files in _tables(lake_set):
            place = Place("set", str(lake_set.store.folder), table)
            columns = self._columns(lake_set, table)
            self._note_lacking(lake_set, table, columns)
            for name, rows in files:
                file = _file(lake_set, name, rows, columns)
                positions = list(self._search(file, table, self._person.holds_any, ids))
                if positions:
                    edits[name] = self._changing(file, table, positions, place)
                    place.rows += len(positions)
                    place.changed += len(edits[name])
            if place.rows:
                places.append(place)
        return _Look({name: positions for name, positions in edits.items() if positions}, places)

    def _changing(self, file: Table, table: str, positions: Sequence[int], place: Place) -> list[int]:
        """Return which of the rows hold data, and count it."""
        eraser = RowEraser(self._person)
        rows = (
            row
            for _, some in file.read(
                lambda part: rows_at(part, file.file_format, file.columns, positions), lambda batch: batch[0]
            )
            for row in some
        )
        changing = [
            position for position, row in zip(positions, rows, strict=True) if eraser.edit(table, row) is not row
        ]
        place.fields += eraser.fields
        return changing

    def _read(
        self, lake_set: LakeSet, see: Callable[[str, Row], None], ids: Collection[str], needle: bytes = b""
    ) -> None:
        """Show the rows of a set, as far as one sees whose they are.

        :param ids: a row that is worth a look holds one of these.
        :param needle: bytes that the JSON of a row has that is worth a look.
        """
        try:
            for table, files in _tables(lake_set):
                columns = self._columns(lake_set, table)
                for name, rows in files:
                    file = _file(lake_set, name, rows, columns)
                    deque(self._search(file, table, partial(_shown, see), ids, needle), 0)
        except FileNotFoundError:
            log.info("%s is being replaced: it is read again.", lake_set.store.folder)
        except DamagedSetError as error:
            self._report.unreadable[str(lake_set.store.folder)] = str(error)

    def _search(
        self, file: Table, table: str, wanted: Callable[[str, Row], bool], ids: Collection[str], needle: bytes = b""
    ) -> Iterator[int]:
        """Yield where in a file rows are that are wanted."""
        self._check()
        fields = self._fields(table)
        batches = file.read(
            lambda part: look_through(
                part, file.file_format, file.columns, fields, partial(wanted, table), ids, needle
            ),
            lambda batch: batch[0],
        )
        for _, positions in batches:
            self._check()
            yield from positions

    def _fields(self, table: str) -> dict[str, tuple[str, ...]]:
        reach = self._person.reach
        nested = {name: reach.fields(child.entity) for name, child in find_entity(table).includes.items()}
        return {"": reach.fields(table), **nested}

    def _note_lacking(self, lake_set: LakeSet, table: str, columns: Columns) -> None:
        """Note by which fields one would see whose a row is, if a table with personal data lacks them."""
        reach = self._person.reach
        if lake_set.manifest.columns.get(table) is None:
            return
        levels = [(table, "", columns)]
        levels += [
            (child.entity, f"{column.name}.", column.rows)
            for column in columns.columns
            if column.rows is not None and (child := find_entity(table).includes.get(column.name)) is not None
        ]
        lacks = [
            prefix + name
            for entity, prefix, level in levels
            if level.names & set(reach.personal(entity))
            for name in reach.fields(entity)
            if name not in level.names
        ]
        if lacks:
            self._report.unsure[str(lake_set.store.folder), table] = lacks

    def _columns(self, lake_set: LakeSet, table: str) -> Columns:
        manifest = lake_set.manifest
        include = manifest.include if table == manifest.entity else ""
        return columns_of_table(table, include, manifest.children, manifest.columns)

    def _fresh(
        self, seen: Mapping[tuple[str, str], _Seen], entities: Sequence[str]
    ) -> Iterator[tuple[_Folder, LakeSet]]:
        """Yield the sets that weren't seen, or were replaced since."""
        for place in self._folders(entities):
            before = seen.get(self._key(place))
            if before is not None and before.is_newest(self._store(place).list()):
                continue
            lake_set = self._find(place)
            if lake_set is not None and _Seen.of(lake_set.manifest) != before:
                yield place, lake_set

    def tidy(self) -> bool:
        """Remove files that belong to no set and can't be committed any more, and note those that may be.

        :return: whether all sets were read: one may have been committed since.
        """
        all_read = True
        self._report.searched["set"] = 0
        self._report.unfinished.clear()
        for place in self._folders(self._person.reach.entities):
            store = self._store(place)
            names = store.list()  # before the set is read: one that is committed in between lists what was there
            lake_set = self._find(place)
            if lake_set is not None:
                self._report.searched["set"] += 1
                all_read = all_read and self._noted.get(self._key(place)) == _Seen.of(lake_set.manifest)
            old, unfinished = unlisted_files(names, None if lake_set is None else lake_set.manifest)
            remove = [*old, *(unfinished if self._remove_unfinished else ())]
            if not self._report.dry_run:
                for name in remove:
                    store.delete(name)
                self._report.removed += len(remove)
            left = [name for name in unfinished if not name.endswith(".meta")]
            if left and (self._report.dry_run or not self._remove_unfinished):
                self._report.unfinished[str(store.folder)] = len(left)
        return all_read

    def _folders(self, entities: Sequence[str]) -> Iterator[_Folder]:
        for root in self._roots:
            for entity in entities:
                for folder in set_folders(root, self._report.cloud_id, entity, self._patience):
                    self._check()
                    yield _Folder(root, entity, folder)

    def _store(self, place: _Folder) -> Store:
        return Store(place.root / f"{self._report.cloud_id}/{place.path}", self._patience)

    def _find(self, place: _Folder) -> LakeSet | None:
        return find_committed(place.root, self._report.cloud_id, place.entity, place.folder, self._patience)

    @staticmethod
    def _key(place: _Folder) -> tuple[str, str]:
        return str(place.root), place.path


def _tables(lake_set: LakeSet) -> Iterator[tuple[str, list[tuple[str, int]]]]:
    """Yield the tables of a set: the entity, and its files, each with its number of rows."""
    manifest = lake_set.manifest
    yield manifest.entity, [(part.name, part.rows) for part in manifest.parts]
    for child in manifest.children:
        yield child, [(file.name, file.rows) for file in manifest.contents.children(child)]


def _shown(see: Callable[[str, Row], None], table: str, row: Row) -> bool:
    """Show a row, which isn't looked for."""
    see(table, row)
    return False


def _file(lake_set: LakeSet, name: str, rows: int, columns: Columns) -> Table:
    manifest = lake_set.manifest
    return Table(lake_set.store, [name], rows, FileFormat.read(manifest.file_format, manifest.compression), columns)
