"""Files as a sink: a piece's rows into parts, and the parts of all pieces into a committed set."""

from __future__ import annotations

import functools
import threading
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack
from typing import TYPE_CHECKING

import msgspec

from airflow_provider_dotypos import __version__
from airflow_provider_dotypos.api.list_log import list_log
from airflow_provider_dotypos.api.streams import Piece, divides_deleted
from airflow_provider_dotypos.api.walk import Batch
from airflow_provider_dotypos.api.window import Window, iso
from airflow_provider_dotypos.storage.patience import StorePatience
from airflow_provider_dotypos.storage.store import Store
from airflow_provider_dotypos.transfers.encoding_thread import EncodingThread
from airflow_provider_dotypos.transfers.files.commit import Attempt, written_by
from airflow_provider_dotypos.transfers.files.first_seen import note_first_seen
from airflow_provider_dotypos.transfers.files.formats.file_format import PART_BYTES, FileFormat
from airflow_provider_dotypos.transfers.files.formats.writer import RowWriter
from airflow_provider_dotypos.transfers.files.id_counter import DistinctIds
from airflow_provider_dotypos.transfers.files.manifest import FORMAT_VERSION, Committed, Manifest
from airflow_provider_dotypos.transfers.files.merge import Merger
from airflow_provider_dotypos.transfers.files.part import Contents, Part
from airflow_provider_dotypos.transfers.news import Kept, beginning, tell_news
from airflow_provider_dotypos.transfers.rows.columns import SCHEMA_VERSION, UNKNOWN
from airflow_provider_dotypos.transfers.rows.looking import Looking
from airflow_provider_dotypos.transfers.rows.new_fields import sum_new_fields
from airflow_provider_dotypos.transfers.selection import Selection
from airflow_provider_dotypos.transfers.sink import Walked

if TYPE_CHECKING:
    from airflow.sdk import ObjectStoragePath

log = list_log(__name__)


class FileSink(AbstractContextManager["FileSink"]):
    """Writes a window's rows into a set of files.

    :param attempt: the attempt to commit the set, in the window's folder.
    :param file_format: of its parts.
    :param max_part_bytes: size at which a part ends, as soon as it may.
    """

    def __init__(
        self,
        selection: Selection,
        window: Window,
        attempt: Attempt,
        file_format: FileFormat,
        max_part_bytes: int = PART_BYTES,
    ) -> None:
        self.selection = selection
        self.attempt = attempt
        self.file_format = file_format
        self.max_part_bytes = max_part_bytes
        self._window = window
        self._stack = ExitStack()
        self._ids: dict[str | None, DistinctIds] = {}
        self._ids_lock = threading.Lock()
        # Formats with columns see unknown fields by themselves, where these are wanted.
        self._looking = {
            table: Looking(columns, values=not self._typed)
            for table, columns in selection.tables.items()
            if not selection.snapshot and not (self._typed and columns.others)
        }

    @classmethod
    def begin(
        cls,
        folder: ObjectStoragePath,
        selection: Selection,
        window: Window,
        file_format: FileFormat,
        max_part_bytes: int = PART_BYTES,
        *,
        overwrite: bool = False,
        patience: StorePatience | None = None,
        try_number: int = 1,
        origin: str = "",
    ) -> FileSink:
        """Begin an attempt to commit the set of a window.

        :param folder: where the set goes, see `set_folder`.
        :param overwrite: whether to replace a set that exists.
        :param patience: how long an object store that fails is asked again.
        :param try_number: see `Attempt.begin`, as for `origin`.
        """
        attempt = Attempt.begin(Store(folder, patience), overwrite=overwrite, try_number=try_number, origin=origin)
        return cls(selection, window, attempt, file_format, max_part_bytes)

    @property
    def finished(self) -> Committed | None:
        """The set that exists already and is to be kept."""
        return None if self.attempt.finished is None else self._committed(self.attempt.finished)

    @property
    def has_kept_rows(self) -> bool:
        """Whether a later attempt can keep rows of this one."""
        return self.attempt.has_kept_rows

    def __enter__(self) -> FileSink:
        if self.attempt.finished is not None:
            return self  # nothing will be written
        with ExitStack() as stack:
            self._staging = stack.enter_context(self.attempt.store.staging())
            self._encoder = stack.enter_context(EncodingThread())
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *exception: object) -> None:
        self._stack.close()

    def kept(self, piece: Piece) -> Iterator[Part]:
        """Yield the parts of a piece that earlier attempts completed, checked. The ids in them are counted."""
        return self.attempt.keep(piece.name, piece.lo, piece.hi, functools.partial(self._count_rows, piece.parent))

    def open(self, piece: Piece) -> FilePartWriter:
        """Return a writer for a piece's rows."""
        return FilePartWriter(piece, self)

    def commit(self, walked: Walked, check_cancelled: Callable[[], None]) -> Committed:
        """Merge small files and commit the set, unless another attempt has; return the one that counts."""
        selection = self.selection
        merger = Merger(
            self.attempt,
            self.new_file,
            self.file_format.suffix,
            few=walked.threads,
            max_bytes=self.max_part_bytes,
            check=check_cancelled,
        )
        contents = merger.merge(selection.entity.name, selection.children, self._reading_of)
        manifest = self.attempt.commit(contents, functools.partial(self._manifest, walked))
        if manifest.misfits:
            fields = ", ".join(f"{field} ({count})" for field, count in sorted(manifest.misfits.items()))
            log.warning(
                "Values didn't fit their columns, or weren't UTF-8%s: %s. They are kept as they came%s, except for "
                "U+FFFD in place of what isn't UTF-8, and for what may hold fields that weren't wanted.",
                "" if self._typed else ", in the rows that were looked at",
                fields,
                f" (where there are columns, in {UNKNOWN})" if self._typed else "",
            )
        self._tell_news(manifest)
        return self._committed(manifest)

    def give_way(self) -> Committed:
        """Remove this attempt's files; return the set that another attempt has committed."""
        return self._committed(self.attempt.give_way())

    def leave(self) -> None:
        """End without a set."""
        self.attempt.leave()

    def new_file(self, table: str) -> RowWriter:
        """Return a writer of a new staging file for rows of a table."""
        path = self._staging / self.attempt.store.staging_name()
        return self.file_format.writer(path, self.selection.tables[table], self._encoder)

    def look(self, table: str, rows: Sequence[msgspec.Raw], file: RowWriter) -> None:
        """Look at a few rows that are written to a file, where nothing else looks at all of them."""
        looking = self._looking.get(table)
        if looking is not None:
            file.new_fields.exact = False
            looking.look(rows, file.new_fields, file.misfits, first=file.rows == len(rows))

    def count_ids(self, parent: str | None, ids: Iterable[str | int]) -> None:
        """Count the ids of rows below a parent: each counts once."""
        with self._ids_lock:
            if parent not in self._ids:
                self._ids[parent] = self._stack.enter_context(DistinctIds())
            self._ids[parent].add(ids)

    def _count_rows(self, parent: str | None, part: Part) -> int:
        """Count the ids in a part; return how many rows it has."""

        def count() -> int:
            rows = 0
            with self.attempt.store.open(part.name) as file:
                for ids in self.file_format.ids(file):
                    self.count_ids(parent, ids)
                    rows += len(ids)
            return rows

        return self.attempt.store.patiently(count)  # ids that are counted again change nothing

    @property
    def _typed(self) -> bool:
        """Whether the format has columns."""
        return self.file_format.name != "jsonl"

    def _tell_news(self, manifest: Manifest) -> None:
        if manifest.new_fields:
            parent = Store(self.attempt.store.folder.parent)
            begins = beginning(self._window)
            earlier = note_first_seen(parent, manifest.new_fields, begins)
            kept: Kept = "aside" if self._typed else "as they came"
            if not self.selection.columns.others:
                kept = "omitted"
            tell_news(manifest.entity, manifest.new_fields, begins, earlier, kept)

    def _committed(self, manifest: Manifest) -> Committed:
        return Committed.of(self.attempt.store, manifest)

    def _reading_of(self, part: Part) -> str:
        """Return what is the same for parts that can't hold two versions of a row.

        A set from the beginning also holds what changed while it was read, and a row that lost or got its change date
        meanwhile. Which children belong to which version shows in the files that hold them, so these parts stay apart.
        """
        if not self.selection.children:
            return ""
        if part.low is None and part.high is None:
            return "without a change date"
        is_tail = part.low is not None and part.low >= self._window.until
        return written_by(part.name) if is_tail else ""

    def _manifest(self, walked: Walked, generation: int, contents: Contents) -> Manifest:
        selection, typed = self.selection, self._typed
        of = selection.entity, selection.conditions
        tables = selection.tables.items()
        return Manifest(
            entity=selection.entity.name,
            cloud_id=selection.cloud_id,
            since=None if self._window.since is None else iso(self._window.since),
            until=iso(self._window.until),
            tail_until=None if walked.tail is None else iso(walked.tail.until),
            filter=selection.filter,
            include=",".join(selection.include),
            file_format=self.file_format.name,
            compression=self.file_format.compression,
            generation=generation,
            rows=sum(part.rows for part in contents.parts),
            distinct_ids=sum(ids.count() for ids in self._ids.values()),
            requests=walked.requests,
            bytes=sum(contents.sizes.values()),
            parts=contents.parts,
            columns={name: list(table.names_in_order) for name, table in tables if typed or not table.whole},
            children={child: sum(file.rows for file in contents.children(child)) for child in selection.children},
            child_files=contents.child_files,
            misfits=dict(sum((Counter(part.misfits) for part in contents.parts), Counter())),
            new_fields=sum_new_fields(part.new_fields for part in contents.parts),
            schema_version=SCHEMA_VERSION if typed else None,
            snapshot=selection.snapshot,
            deleted_filter=None if not divides_deleted(*of) else "one" if walked.one_filter else "two",
            undated_rows=walked.undated,
            shape=set_shape(selection, self.file_format),
            format_version=FORMAT_VERSION if contents.child_files else 1,
            package_version=__version__,
        )


class FilePartWriter:
    """Writes one piece's rows into files: a part is one file, and one more for each child list that has rows."""

    def __init__(self, piece: Piece, sink: FileSink) -> None:
        self._piece = piece
        self._sink = sink
        self._files: dict[str, RowWriter] = {}

    @property
    def size(self) -> int:
        """Bytes of the part under way."""
        return sum(file.bytes for file in self._files.values())

    def write(self, batch: Batch) -> None:
        """Add rows, and their children, to the part under way."""
        self._sink.count_ids(self._piece.parent, batch.ids)
        tables, misfits = self._sink.selection.split(batch.rows)
        for table, table_rows in tables.items():
            file = self._file(table)
            file.write(table_rows)
            self._sink.look(table, table_rows, file)
        self._file(self._sink.selection.entity.name).misfits.update(misfits)

    def end(self, low: int | None, high: int | None) -> None:
        """Store the part under way. If there is none, note that its range holds no rows.

        :raises SupersededError: if another attempt has committed.
        """
        if self._files:
            children = dict(self._files)
            file = children.pop(self._sink.selection.entity.name)
            self._sink.attempt.put(file, self._piece.name, low, high, self._sink.file_format.suffix, children)
            self._files = {}
        elif high is not None and high != low:
            self._sink.attempt.note_rowless(self._piece.name, low, high)

    def discard(self) -> None:
        """Leave no file of the part under way."""
        with ExitStack() as files:
            for file in self._files.values():
                files.callback(file.discard)
        self._files = {}

    def _file(self, table: str) -> RowWriter:
        if table not in self._files:
            self._files[table] = self._sink.new_file(table)
        return self._files[table]


def set_shape(selection: Selection, file_format: FileFormat) -> str:
    """Return what keeps sets of different shape apart: a digest of filter, include, columns, format and the like."""
    return selection.shape(file_format.name, file_format.compression)


def set_folder(selection: Selection, window: Window, file_format: FileFormat) -> str:
    """Return where a window's set lies below its destination."""
    return f"{selection.cloud_id}/{selection.entity.name}/{window.name}_{set_shape(selection, file_format)}"
