"""Sets made of rows of committed sets, by the same protocol as those that are made of the API's answers.

What is written counts once its manifest is created, in a generation after the one that was seen. So of two attempts
that began with the same set, one wins, and the other gives way. A crash leaves files that no manifest lists. No attempt
ever resumes them, as they are of no range: only a window's own parts are.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from typing import TYPE_CHECKING, BinaryIO, TypeAlias

import msgspec

from airflow_provider_dotypos.lake.sets import LakeSet
from airflow_provider_dotypos.storage.store import Store
from airflow_provider_dotypos.transfers.encoding_thread import EncodingThread
from airflow_provider_dotypos.transfers.errors import DamagedSetError
from airflow_provider_dotypos.transfers.files.checked_copy import checked_copy
from airflow_provider_dotypos.transfers.files.commit import Attempt
from airflow_provider_dotypos.transfers.files.formats.file_format import PART_BYTES, FileFormat
from airflow_provider_dotypos.transfers.files.formats.writer import RowWriter
from airflow_provider_dotypos.transfers.files.manifest import (
    FORMAT_VERSION,
    Manifest,
    Rewriting,
    newest_generation,
    newest_manifest,
)
from airflow_provider_dotypos.transfers.files.part import ChildFile, Contents, Part, joined
from airflow_provider_dotypos.transfers.files.tables import columns_of_table
from airflow_provider_dotypos.transfers.sink import SupersededError

if TYPE_CHECKING:
    from airflow_provider_dotypos.transfers.files.formats.chosen import Chosen

#: Takes a table and one of its rows in the form that the API gives it, and returns the row edited in the same form.
EditRow: TypeAlias = Callable[[str, msgspec.Raw], msgspec.Raw]


def _go_on() -> None:
    """Check nothing."""


class SetCopy(AbstractContextManager["SetCopy"]):
    """One attempt to commit a set that is made of rows of committed sets. A context manager.

    Rows are copied in their format's own way: lines and records byte for byte, Parquet's batches with their types. If
    it ends without a commit, its files are removed.

    :param store: the folder that the set is for.
    :param seen: the newest manifest that was seen there; ``None`` if there was no whole set.
    :param shape: a manifest of a set whose files are of the same format and columns.
    :param check: called before each file that is read; what it raises ends the attempt.
    :param max_part_bytes: size that a file reaches at most, unless a single one of the sources is larger.
    :raises SupersededError: when it is entered, if there is another set than was seen.
    """

    def __init__(
        self,
        store: Store,
        seen: Manifest | None,
        shape: Manifest,
        *,
        check: Callable[[], None] = _go_on,
        max_part_bytes: int = PART_BYTES,
    ) -> None:
        self._folder = store
        self._seen = 0 if seen is None else seen.generation
        self._entity = shape.entity
        self._format = FileFormat.read(shape.file_format, shape.compression)
        self._columns = {
            name: columns_of_table(name, shape.include if name == shape.entity else "", shape.children, shape.columns)
            for name in (shape.entity, *shape.children)
        }
        self._check = check
        self._max_bytes = max_part_bytes
        self._stack = ExitStack()
        self._files = {name: _TableFile() for name in self._columns}
        self._parts: list[Part] = []
        self._child_files: dict[str, list[ChildFile]] = {}
        self._committed = False

    def __enter__(self) -> SetCopy:
        names = self._folder.list()  # before the manifest: one that is created in between is noticed
        newest = newest_manifest(self._folder)
        if self._seen != (0 if newest is None else newest.generation):
            raise SupersededError
        # A manifest that can't be read takes its name all the same.
        self._attempt = Attempt.after(self._folder, max(self._seen, newest_generation(names)))
        with ExitStack() as stack:
            self._staging = stack.enter_context(self._attempt.store.staging())
            self._encoder = stack.enter_context(EncodingThread())
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *exception: object) -> None:
        with self._stack:
            for file in self._files.values():
                file.discard()
            if not self._committed:
                self._attempt.withdraw()
                self._folder.remove_if_empty()

    def add(self, lake_set: LakeSet, table: str, file: Part | ChildFile, chosen: Chosen) -> None:
        """Add some rows of a set's file to the files under way.

        :raises SupersededError: if the file is gone.
        :raises DamagedSetError: if its bytes have changed.
        """
        if not chosen.count:
            return
        under_way = self._files[table]
        if under_way.sources and under_way.expected + file.bytes > self._max_bytes:
            self._end(table)
            under_way = self._files[table]
        with self._open(lake_set, file) as copy:
            writer = self._writer(table)
            if chosen.count == file.rows:
                writer.append(copy, file.rows)
            else:
                writer.append_chosen(copy, chosen)
        of_parts = [file] if isinstance(file, Part) else list(lake_set.manifest.parts)
        under_way.sources += of_parts
        under_way.expected += file.bytes * chosen.count // file.rows

    def edited(
        self,
        lake_set: LakeSet,
        table: str,
        file: Part | ChildFile,
        of: Sequence[Part],
        rows: Sequence[int],
        edit: EditRow,
    ) -> Part:
        """Write a file with all rows of a set's file, some of them edited, and store it.

        :param of: the parts whose rows it holds, or whose children.
        :param rows: positions of the edited rows, in ascending order.
        :raises SupersededError: if the file is gone.
        :raises DamagedSetError: if its bytes have changed.
        """
        with self._open(lake_set, file) as copy:
            writer = self._writer(table)
            if rows:
                writer.append_edited(copy, file.rows, rows, lambda row: edit(table, row))
            else:
                writer.append(copy, file.rows)
        return self._store(table, of)

    def contents(self) -> Contents:
        """Store the files under way, and return all that were added."""
        for table in self._files:
            self._end(table)
        return Contents(tuple(self._parts), {child: tuple(files) for child, files in self._child_files.items()})

    def commit(self, manifest: Manifest, contents: Contents) -> Manifest:
        """Commit the set, unless another attempt has committed meanwhile; return the manifest that counts.

        :param manifest: what it holds, but for what follows from its contents.
        :raises SupersededError: if another attempt has committed, and its set is gone again.
        """
        mine = msgspec.structs.replace(
            manifest,
            generation=self._attempt.generation,
            parts=contents.parts,
            child_files=contents.child_files,
            bytes=sum(contents.sizes.values()),
            rows=sum(part.rows for part in contents.parts),
            children={child: sum(file.rows for file in contents.children(child)) for child in manifest.children},
            format_version=FORMAT_VERSION if contents.child_files else 1,
        )
        self._committed = True  # or it gives way, and removes its files by itself
        try:
            return self._attempt.commit(contents, lambda generation, contents: mine)
        except FileNotFoundError as error:
            raise SupersededError from error

    def _end(self, table: str) -> None:
        """Store a table's file under way, if there is one."""
        under_way = self._files[table]
        if not under_way.sources:
            return
        stored = self._store(table, under_way.sources)
        self._files[table] = _TableFile()
        if table == self._entity:
            self._parts.append(stored)
        else:
            covers = tuple(joined(range for part in under_way.sources for range in part.ranges))
            file = ChildFile(stored.name, stored.rows, stored.bytes, stored.sha256, covers)
            self._child_files.setdefault(table, []).append(file)

    def _store(self, table: str, sources: Sequence[Part]) -> Part:
        under_way = self._files[table]
        writer = self._writer(table)
        with self._superseding():
            stored = self._attempt.put_merged(
                writer, "" if table == self._entity else table, sources, self._format.suffix
            )
        under_way.writer = None
        return stored

    def _writer(self, table: str) -> RowWriter:
        """Return the writer of a table's file under way."""
        under_way = self._files[table]
        if under_way.writer is None:
            path = self._staging / self._attempt.store.staging_name()
            with self._superseding():
                under_way.writer = self._format.writer(path, self._columns[table], self._encoder)
        return under_way.writer

    @contextmanager
    def _open(self, lake_set: LakeSet, file: Part | ChildFile) -> Iterator[BinaryIO]:
        """Give a copy of a source's file."""
        self._check()
        with self._superseding(), checked_copy(lake_set.store, file) as copy:
            if copy is None:
                raise DamagedSetError(
                    f"{lake_set.store.folder / file.name}: its bytes aren't those that were written (SHA-256 differs); "
                    "extract the window again with overwrite=True"
                )
            yield copy

    @staticmethod
    @contextmanager
    def _superseding() -> Iterator[None]:
        """Use files that another attempt may remove.

        :raises SupersededError: if one is gone.
        """
        try:
            yield
        except FileNotFoundError as error:
            raise SupersededError from error


class _TableFile:
    """A table's file under way.

    :ivar sources: the parts whose rows it holds, or whose children.
    :ivar expected: about how many bytes it will have.
    """

    def __init__(self) -> None:
        self.writer: RowWriter | None = None
        self.sources: list[Part] = []
        self.expected = 0

    def discard(self) -> None:
        """Leave nothing of it."""
        if self.writer is not None:
            self.writer.discard()


def rewrite_set(
    lake_set: LakeSet,
    edits: Mapping[str, Sequence[int]],
    edit: EditRow,
    rewriting: Rewriting,
    *,
    check: Callable[[], None] = _go_on,
) -> Manifest:
    """Replace a set by one of the same rows, some of them edited; return the manifest that counts.

    Another attempt may commit the same generation first. Then its manifest is returned.

    :param edits: positions of the rows that are edited, in ascending order, by the name of their file.
    :param edit: takes a table and one of its rows, and returns the row edited.
    :param rewriting: what the manifest is to say of it.
    :param check: called before each file that is read; what it raises ends the attempt.
    :raises SupersededError: if the set was replaced or removed meanwhile.
    :raises DamagedSetError: if a file's bytes have changed.
    """
    manifest = lake_set.manifest
    with SetCopy(lake_set.store, manifest, manifest, check=check) as copy:
        new: dict[str, Part] = {}
        for table in (manifest.entity, *manifest.children):
            for file in manifest.parts if table == manifest.entity else manifest.contents.children(table):
                of = _parts_of(manifest, file)
                new[file.name] = copy.edited(lake_set, table, file, of, edits.get(file.name, ()), edit)
        contents = Contents(
            tuple(
                msgspec.structs.replace(
                    new[part.name],
                    children={child: _replaced(file, new) for child, file in part.children.items()},
                )
                for part in manifest.parts
            ),
            {child: tuple(_replaced(file, new) for file in files) for child, files in manifest.child_files.items()},
        )
        whole = msgspec.structs.replace(manifest, rewritings=(*manifest.rewritings, rewriting))
        return copy.commit(whole, contents)


def _parts_of(manifest: Manifest, file: Part | ChildFile) -> Sequence[Part]:
    """Return the parts whose rows a file holds, or whose children."""
    if isinstance(file, Part):
        return [file]
    return [part for part in manifest.parts if file in part.children.values()] or manifest.parts


def _replaced(file: ChildFile, new: Mapping[str, Part]) -> ChildFile:
    """Return what stands in place of a file of children."""
    part = new[file.name]
    return ChildFile(part.name, part.rows, part.bytes, part.sha256, file.covers)
