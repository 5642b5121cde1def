"""Committing a set: parts first, then the manifest; ``docs/background/commit-protocol.md`` says why it holds."""

from __future__ import annotations

import itertools
import secrets
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager

import msgspec

from airflow_provider_dotypos import __version__
from airflow_provider_dotypos.api.list_log import list_log
from airflow_provider_dotypos.api.window import compact
from airflow_provider_dotypos.storage.store import Store
from airflow_provider_dotypos.transfers.files.folder_files import OURS, clean_folder, set_files
from airflow_provider_dotypos.transfers.files.folder_files import sidecar_name as sidecar_name
from airflow_provider_dotypos.transfers.files.formats.writer import RowWriter
from airflow_provider_dotypos.transfers.files.manifest import (
    Manifest,
    manifest_name,
    newest_generation,
    newest_manifest,
)
from airflow_provider_dotypos.transfers.files.part import (
    MERGED,
    ROWLESS,
    ChildFile,
    Contents,
    Part,
    StreamRange,
    joined,
)
from airflow_provider_dotypos.transfers.ranges import disjoint, end, start
from airflow_provider_dotypos.transfers.rows.new_fields import sum_new_fields
from airflow_provider_dotypos.transfers.sink import SupersededError
from airflow_provider_dotypos.transfers.wording import count, size

log = list_log(__name__)


class Sidecar(Part, frozen=True):
    """The file that lies beside a part and says that it is whole.

    :param place: the names of the last three folders. A part that was copied here from another folder may be of another
        shape, cloud or entity.
    """

    place: tuple[str, ...] = ()


class Attempt:
    """One attempt to commit a window's set; use it as ``attempt = Attempt.begin(…)`` and see ``finished`` first.

    :ivar store: the set's folder, as this attempt writes to it.
    :ivar finished: the manifest of a set that exists already and is to be kept; nothing is to be done then.
    """

    def __init__(self, store: Store, generation: int, finished: Manifest | None, try_number: int, origin: str) -> None:
        self.store = store.for_generation(generation)
        self._generation = generation
        self._origin = origin
        self._label = f"t{try_number}{secrets.token_hex(3)}"  # see OURS
        self.finished = finished
        self._earlier: list[Part] = []
        self._kept: list[Part] = []
        self._put: list[Part] = []
        self._merged: list[Part] = []
        self._rowless: list[StreamRange] = []
        self._numbers = itertools.count(1)  # of parts without a range, and of merged ones

    @classmethod
    def begin(cls, store: Store, *, overwrite: bool, try_number: int = 1, origin: str = "") -> Attempt:
        """List what exists, and aim at the next generation, or find the window finished.

        :param origin: what tries of one task instance have in common. With `overwrite` only parts of these are
            resumed. Parts of others may be as old as the set that is to be replaced.
        """
        names = store.list()  # before the manifests: one that is created in between is a finished set, not a broken one
        newest = newest_manifest(store)
        if newest is not None and not overwrite:
            say = log.info if newest.rows else log.detail
            say("The set exists already, with %s. It is kept: overwrite=True replaces it.", count(newest.rows, "rows"))
            attempt = cls(store, newest.generation, newest, try_number, origin)
            clean_folder(attempt.store, newest)
            return attempt
        # A manifest that can't be read, or was copied from another folder, takes its name all the same.
        generation = max(newest.generation if newest is not None else 0, newest_generation(names))
        if generation and newest is None:
            log.warning("The set of %s isn't whole any more; it is extracted again.", store.folder)
        if newest is not None:
            log.info("The set exists already, with %s. The new one replaces it.", count(newest.rows, "rows"))
        attempt = cls(store, generation + 1, None, try_number, origin)
        attempt._earlier = [
            part
            for part in attempt._sidecars(names)
            if part.high is not None  # rows without a cursor are read again; of a merged part its sources are kept
            and part.sizes.items() <= names.items()
            and part.package_version == __version__  # another one may have had other columns
            and (not overwrite or (origin and part.origin == origin))
        ]
        if files := [part for part in attempt._earlier if not part.is_rowless]:
            total = size(sum(sum(part.sizes.values()) for part in files))
            log.info("Checking %s (%s) that an earlier attempt has left.", count(len(files), "parts"), total)
        return attempt

    @classmethod
    def after(cls, store: Store, generation: int) -> Attempt:
        """Aim at the generation after one that was seen. What is to be written is made of what was seen there.

        Another attempt that has committed meanwhile wins: this one then gives way to it.
        """
        return cls(store, generation + 1, None, 1, "")

    def keep(self, stream: str, low: int | None, high: int, count_rows: Callable[[Part], int]) -> Iterator[Part]:
        """Yield the parts of earlier attempts that are whole and lie in ``[low, high)``, in order, none over another.

        What is yielded becomes part of this attempt's set.

        :param count_rows: reads a part and returns its number of rows.
        """
        of_stream = (part for part in self._earlier if part.stream == stream)
        inside = [part for part in (_inside(part, low, high) for part in of_stream) if part is not None]
        for part in disjoint(inside, lambda part: self._is_whole(part, count_rows)):
            self._kept.append(part)
            yield part

    def put(
        self,
        writer: RowWriter,
        stream: str,
        low: int | None,
        high: int | None,
        suffix: str,
        children: Mapping[str, RowWriter] | None = None,
    ) -> Part:
        """Store a written part under its final name, then its sidecar.

        :param children: writers of flattened child lists that belong to it, by their entity's name.
        :raises SupersededError: if the staging file is gone, because another attempt has committed.
        """
        children = children or {}
        ending = f"{self._covered(low, high)}-{self._label}{suffix}"
        name = f"g{self._generation:04d}-{stream}-{ending}"
        size, digest = _closed(writer)
        files = {
            child: ChildFile(f"g{self._generation:04d}-{child}-{stream}-{ending}", rows.rows, *_closed(rows))
            for child, rows in children.items()
        }
        misfits = dict(+writer.misfits)
        new_fields = {self.store.place[1]: writer.new_fields.fields}
        for child, rows in children.items():
            misfits |= {f"{child}.{field}": count for field, count in (+rows.misfits).items()}
            new_fields[child] = rows.new_fields.fields
        part = Part(
            name=name,
            stream=stream,
            low=low,
            high=high,
            rows=writer.rows,
            bytes=size,
            sha256=digest,
            origin=self._origin,
            package_version=__version__,
            misfits=misfits,
            new_fields=sum_new_fields([new_fields]),
            children=files,
        )
        self._put.append(part)
        with self.superseding():
            for child, rows in children.items():
                self.store.put(rows.path, files[child].name)
            self.store.put(writer.path, name)
            self._put_sidecar(part)
        return part

    @property
    def generation(self) -> int:
        """The generation that it aims at."""
        return self._generation

    @property
    def parts(self) -> tuple[Part, ...]:
        """The parts with rows that this attempt has kept and put, in the order of their streams and ranges."""
        parts = [part for part in self._kept + self._put if not part.is_rowless]
        return tuple(sorted(parts, key=lambda part: (part.stream, start(part), part.name)))

    def put_merged(self, writer: RowWriter, child: str, sources: Sequence[Part], suffix: str) -> Part:
        """Store one file in place of the sources' files, and then its sidecar, which lists their ranges.

        :param child: the child entity whose files these are; an empty text for the parts' own.
        """
        size, digest = _closed(writer)
        prefix = f"{child}-{MERGED}" if child else MERGED
        merged = Part(
            name=f"g{self._generation:04d}-{prefix}-{next(self._numbers):04d}-{self._label}{suffix}",
            stream=MERGED,
            low=None,
            high=None,
            rows=writer.rows,
            bytes=size,
            sha256=digest,
            origin=self._origin,
            package_version=__version__,
            misfits={} if child else dict(sum((Counter(part.misfits) for part in sources), Counter())),
            new_fields={} if child else sum_new_fields(part.new_fields for part in sources),
            covers=tuple(joined(range for part in sources for range in part.ranges)),
        )
        self._merged.append(merged)
        self.store.put(writer.path, merged.name)
        self._put_sidecar(merged)
        return merged

    @contextmanager
    def superseding(self) -> Iterator[None]:
        """Use files of this attempt.

        :raises SupersededError: if one is gone, because another attempt has committed.
        """
        try:
            yield
        except FileNotFoundError as error:
            if not self.is_superseded():
                raise
            raise SupersededError from error

    def note_rowless(self, stream: str, low: int | None, high: int) -> None:
        """Note that a range of cursors was walked and holds no rows. Only `leave` stores it."""
        self._rowless.append(StreamRange(stream, low, high))

    @property
    def has_kept_rows(self) -> bool:
        """Whether this attempt has put rows that a later one can keep."""
        return any(part.high is not None for part in self._put)

    def leave(self) -> None:
        """End without a set: store which ranges hold no rows, so that the next attempt needn't walk them again.

        If another attempt has committed, nothing is written. A failure here only costs the next attempt some calls.
        """
        try:
            if not self._rowless or self.is_superseded():
                return
            for range in joined(self._rowless):
                covered = self._covered(range.low, range.high)
                name = f"g{self._generation:04d}-{range.stream}-{covered}-{self._label}{ROWLESS}"
                facts = msgspec.structs.asdict(range)
                self._put_sidecar(
                    Part(name, **facts, rows=0, bytes=0, sha256="", origin=self._origin, package_version=__version__)
                )
        except Exception as failure:
            log.warning("Which ranges hold no rows couldn't be stored (%s); they will be walked again.", failure)

    def commit(self, contents: Contents, manifest: Callable[[int, Contents], Manifest]) -> Manifest:
        """Create the manifest, unless another attempt has committed this generation; return the one that counts.

        :param contents: the files of `parts`, or what they were merged into.
        :param manifest: makes the manifest of a generation and its contents.
        """
        mine = manifest(self._generation, contents)
        data = msgspec.json.format(msgspec.json.encode(mine), indent=2)
        try:
            created = self.store.create(data, manifest_name(self._generation))
        except FileNotFoundError:
            if not self.is_superseded():
                raise
            created = False
        if created and newest_generation(self.store.list()) > self._generation:
            # This generation's manifest was there, and was removed with its parts when a newer one replaced it.
            self.store.delete(manifest_name(self._generation))
            created = False
        if not created:
            return self.give_way()
        clean_folder(self.store, mine)
        return mine

    def give_way(self) -> Manifest:
        """Remove this attempt's own files and return the manifest of the one that committed instead.

        Files that the other has taken into its set stay: it may have resumed when this one was thought to be dead.

        :raises FileNotFoundError: if that set isn't whole any more either.
        """
        theirs = newest_manifest(self.store)
        if theirs is None or theirs.generation < self._generation:
            raise FileNotFoundError(
                f"another run committed {self.store.folder} meanwhile, and its files are gone again"
            )
        self.withdraw(set_files(theirs))
        log.warning(
            "Another run has committed this window meanwhile; its set is kept, and this run's files are removed."
        )
        return theirs

    def withdraw(self, taken: Collection[str] = ()) -> None:
        """Remove what this attempt has put, for one that isn't to be resumed.

        :param taken: names of files that stay.
        """
        for part in self._put + self._merged:
            for name in (sidecar_name(part.name), *part.sizes):
                if name not in taken:
                    self.store.delete(name)

    def _covered(self, low: int | None, high: int | None) -> str:
        """Return what a part covers, for its name: a range of cursors, or a number if it has no range."""
        if high is None:
            return f"unordered-{next(self._numbers):04d}"
        return f"{'start' if low is None else compact(low)}-{compact(high)}"

    def _put_sidecar(self, part: Part) -> None:
        sidecar = Sidecar(**msgspec.structs.asdict(part), place=self.store.place)
        self.store.put_bytes(msgspec.json.encode(sidecar), sidecar_name(part.name))

    def _sidecars(self, names: Iterable[str]) -> Iterator[Part]:
        """Yield the parts of this generation, written for this folder, that are said to be whole."""
        prefix = f"_g{self._generation:04d}-"
        for name in names:
            if name.startswith(prefix) and OURS.fullmatch(name):
                try:
                    sidecar = msgspec.json.decode(self.store.read(name), type=Sidecar)
                except (FileNotFoundError, msgspec.MsgspecError):
                    continue  # being removed, or cut off: its part doesn't exist
                if name == sidecar_name(sidecar.name) and sidecar.place == self.store.place:
                    yield msgspec.convert(sidecar, Part, from_attributes=True)

    def _is_whole(self, part: Part, count_rows: Callable[[Part], int]) -> bool:
        """Return whether the bytes of a part's files are those that were written, and it has the rows that it says."""
        if part.is_rowless:
            return True
        try:
            digests = all(self.store.sha256(name) == digest for name, digest in part.digests.items())
            return digests and count_rows(part) == part.rows
        except FileNotFoundError:
            return False

    def is_superseded(self) -> bool:
        """Return whether another attempt has committed this generation, or a later one."""
        return newest_generation(self.store.list()) >= self._generation


def written_by(part: str) -> str:
    """Return which attempt gave a part its name: its try, and a random suffix."""
    return part.rsplit("-", 1)[1].split(".")[0]


def _inside(part: Part, low: int | None, high: int) -> Part | None:
    """Return a part if it lies in ``[low, high)``. Of a range without rows, return what lies there.

    A range without rows may reach across the end of a window into its tail.
    """
    first, last = (float("-inf") if low is None else low), end(part)
    if not part.is_rowless:
        return part if first <= start(part) and last <= high else None
    if start(part) >= high or last <= first:
        return None
    inside_low = part.low if first <= start(part) else low
    return msgspec.structs.replace(part, low=inside_low, high=high if part.high is None else min(part.high, high))


def _closed(writer: RowWriter) -> tuple[int, str]:
    """Finish a writer's file; return its size and its SHA-256."""
    digest = writer.close()
    return writer.bytes, digest
