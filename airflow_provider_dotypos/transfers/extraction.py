"""Extracting one window of one entity into a committed set of files: the walk on one side, the commit on the other."""

from __future__ import annotations

import gzip
import hashlib
import logging
import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import AbstractContextManager, ExitStack, nullcontext
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import BinaryIO

import msgspec

from airflow_provider_dotypos import __version__
from airflow_provider_dotypos.api.entities import entity
from airflow_provider_dotypos.api.pieces import Pieces
from airflow_provider_dotypos.api.query import Filter, conditions, filter_text, list_params
from airflow_provider_dotypos.api.reading import Reader
from airflow_provider_dotypos.api.walk import Batch, Piece, Triple
from airflow_provider_dotypos.api.window import Window, iso
from airflow_provider_dotypos.transfers.commit import Attempt, SupersededError, gaps, stream_name
from airflow_provider_dotypos.transfers.distinct import DistinctIds
from airflow_provider_dotypos.transfers.manifest import Manifest, Part
from airflow_provider_dotypos.transfers.parts import PartWriter
from airflow_provider_dotypos.transfers.store import Store

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Extraction:
    """What to extract, and how to write it; made by `of`, which checks it.

    :param conditions: the filter, checked. :param include: child lists to nest, comma-separated.
    :param warehouse_id: for entities below a warehouse: the one to read; ``None`` for all.
    :param gzip_level: 1 to 3, or ``None`` for uncompressed files.
    :param max_part_bytes: size at which a part ends (at the next point where it may).
    :param settle: seconds that a change may need to show in the API.
    :param concurrency: threads that walk at once.
    """

    entity: str
    cloud_id: int
    window: Window
    conditions: tuple[Triple, ...]
    include: str
    warehouse_id: str | None
    gzip_level: int | None
    max_part_bytes: int
    settle: float
    concurrency: int

    @classmethod
    def of(
        cls,
        name: str,
        *,
        cloud_id: int,
        window: Window,
        filter: Filter = None,
        include: str | None = None,
        warehouse_id: int | str | None = None,
        gzip_level: int | None = None,
        max_part_bytes: int = 64 * 2**20,
        settle: float = 60.0,
        concurrency: int = 1,
    ) -> Extraction:
        """Return the extraction of an entity.

        :raises DotyposInputError: the entity is unknown, or the API doesn't allow the filter or the include on it.
        """
        found = entity(name)
        return cls(
            entity=name,
            cloud_id=cloud_id,
            window=window,
            conditions=conditions(found, filter),
            include=list_params(found, include=include).get("include", ""),
            warehouse_id=None if warehouse_id is None or warehouse_id == "" else str(warehouse_id),
            gzip_level=gzip_level,
            max_part_bytes=max_part_bytes,
            settle=settle,
            concurrency=concurrency,
        )

    @property
    def folder(self) -> str:
        """Where the set lies below its destination; the digest tells extractions of different shape apart."""
        compression = "gzip" if self.gzip_level is not None else None
        shape = [self.filter, self.include, "jsonl", compression, self.warehouse_id]
        digest = hashlib.sha256(msgspec.json.encode(shape)).hexdigest()[:8]
        return f"{self.cloud_id}/{self.entity}/{self.window.name}_{digest}"

    @property
    def filter(self) -> str:
        """The filter in the API's grammar."""
        return filter_text(self.conditions)

    @property
    def suffix(self) -> str:
        """How the names of its files end."""
        return ".jsonl" if self.gzip_level is None else ".jsonl.gz"


def extract(
    extraction: Extraction,
    reader: Reader,
    store: Store,
    *,
    overwrite: bool = False,
    try_number: int = 1,
    origin: str = "",
) -> Manifest:
    """Extract a window and commit it; return its manifest (of the set that is there already, unless `overwrite`).

    Nothing is half-written: readers see the old set or the new one. A failed attempt leaves parts that no manifest
    lists; the next attempt keeps those that are whole, and fetches what is missing.

    :raises DotyposError: the API refused, or its answers can't be walked.
    """
    attempt = Attempt.begin(store, overwrite=overwrite, try_number=try_number, origin=origin)
    if attempt.finished is not None:
        log.info("%s is there already, with %d rows; it is kept.", store.folder, attempt.finished.rows)
        return attempt.finished
    with _Crew(extraction, attempt, reader, store) as crew:
        try:
            crew.work()
        except SupersededError:
            return attempt.give_way()
        return attempt.commit(
            lambda generation, parts: _manifest(extraction, generation, parts, crew.distinct_ids(), reader.requests)
        )


class _Crew(ExitStack):
    """The threads that walk a window together, each writing the pieces that it walks into parts of their own."""

    def __init__(self, extraction: Extraction, attempt: Attempt, reader: Reader, store: Store) -> None:
        super().__init__()
        self._extraction = extraction
        self._attempt = attempt
        self._reader = reader
        self._store = store
        self._staging = self.enter_context(store.staging())
        self._ids: dict[str | None, DistinctIds] = {}
        self._ids_lock = threading.Lock()
        self._progress = _Progress(extraction)

    def work(self) -> None:
        """Walk all that isn't there yet, and put it.

        :raises SupersededError: another attempt has committed meanwhile.
        """
        placeholders = {"warehouse_id": self._extraction.warehouse_id} if self._extraction.warehouse_id else {}
        whole = self._reader.pieces(
            self._extraction.entity,
            self._extraction.window,
            filter=self._extraction.conditions,
            settle=self._extraction.settle,
            **placeholders,
        )
        pieces = Pieces(gap for piece in whole for gap in self._missing(piece))
        if self._extraction.concurrency == 1:
            self._walk(pieces)
        else:
            self._walk_together(pieces)

    def distinct_ids(self) -> int:
        """Return how many different ids there are (summed over warehouses)."""
        return sum(ids.count() for ids in self._ids.values())

    def _missing(self, piece: Piece) -> Iterator[Piece]:
        """Yield what of a piece isn't in the parts of an earlier attempt, and count those parts' ids."""
        kept = self._attempt.keep(stream_name(piece), piece.lo, piece.hi)
        for part in kept:
            with self._store.open(part.name) as file:
                for ids in line_ids(file, self._extraction.gzip_level is not None):
                    self._note_ids(piece.parent, ids)
        if kept:
            rows = sum(part.rows for part in kept)
            log.info("%d rows in %d parts of %s are there already.", rows, len(kept), stream_name(piece))
        yield from gaps(piece, kept)

    def _walk_together(self, pieces: Pieces) -> None:
        with ThreadPoolExecutor(self._extraction.concurrency, "dotypos-walk") as threads:
            walks = [threads.submit(self._walk, pieces) for _ in range(self._extraction.concurrency)]
            try:
                for walk in as_completed(walks):
                    walk.result()
            except BaseException:
                # The others finish nothing that could count any more: end their waits, too.
                pieces.stop()
                self._reader.cancel()
                raise

    def _walk(self, pieces: Pieces) -> None:
        """Walk piece after piece, until there is none left."""
        while (piece := pieces.take()) is not None:
            staging = self._staging / self._store.staging_name()
            with _Writing(piece, self._extraction, self._attempt, staging) as writing:
                for batch in self._reader.walk(self._extraction.entity, piece, include=self._extraction.include):
                    writing.take(batch)
                    self._note_ids(piece.parent, batch.ids)
                    self._progress.tell(len(batch.rows), self._reader.requests, pieces)
                    pieces.moved()
                writing.end_part()
            pieces.done(piece)

    def _note_ids(self, parent: str | None, ids: Sequence[str]) -> None:
        with self._ids_lock:
            if parent not in self._ids:
                self._ids[parent] = self.enter_context(DistinctIds())
            self._ids[parent].add(ids)


class _Writing(AbstractContextManager["_Writing"]):
    """A piece's rows on their way into parts: when a part ends, and which cursors it covers.

    A part under way is discarded unless it was ended.
    """

    def __init__(self, piece: Piece, extraction: Extraction, attempt: Attempt, staging: Path) -> None:
        self._piece = piece
        self._extraction = extraction
        self._attempt = attempt
        self._staging = staging
        self._writer: PartWriter | None = None
        self._low = self._high = piece.lo

    def take(self, batch: Batch) -> None:
        """Write a batch's rows; end the part if it is large enough and may end here."""
        if batch.rows:
            if self._writer is None:
                self._writer = PartWriter(self._staging, self._extraction.gzip_level)
            self._writer.write(batch.rows)
        if batch.covered is not None:
            self._high = batch.covered
            if self._writer is not None and self._writer.bytes >= self._extraction.max_part_bytes:
                self.end_part()

    def end_part(self) -> None:
        """Put the part under way, if there is one."""
        if self._writer is not None:
            ordered = self._piece.stream.cursor is not None
            low, high = (self._low, self._high) if ordered else (None, None)
            self._attempt.put(self._writer, stream_name(self._piece), low, high, self._extraction.suffix)
            self._writer = None
        self._low = self._high

    def __exit__(self, *exception: object) -> None:
        if self._writer is not None:
            self._writer.discard()


class _Progress:
    """Tells how far an extraction is, at a human pace: more seldom the longer it takes."""

    def __init__(self, extraction: Extraction) -> None:
        self._what = f"{extraction.entity} of cloud {extraction.cloud_id}"
        self._lock = threading.Lock()
        self._rows = 0
        self._started = time.monotonic()
        self._next = 5.0

    def tell(self, rows: int, requests: int, pieces: Pieces) -> None:
        """Count rows that were delivered, and log how far it is, if it is time to."""
        with self._lock:
            self._rows += rows
            elapsed = time.monotonic() - self._started
            if elapsed < self._next:
                return
            self._next = min(elapsed * 2, elapsed + 60)
        rate = self._rows / elapsed
        share = pieces.share_walked
        left = f", {share:.0%} of the window, about {elapsed / share - elapsed:.0f} s left" if share else ""
        log.info(
            "%s: %d rows from %d pages in %.0f s (%.0f rows/s)%s", self._what, self._rows, requests, elapsed, rate, left
        )


def line_ids(file: BinaryIO, compressed: bool) -> Iterator[Sequence[str]]:
    """Yield the ids of a part's rows, some hundreds at a time."""
    with gzip.open(file) if compressed else nullcontext(file) as lines:
        while chunk := list(islice(lines, 500)):
            yield [str(row.id) for row in _ids.decode(b"[" + b",".join(chunk) + b"]")]


class _Id(msgspec.Struct):
    id: str | int


_ids = msgspec.json.Decoder(list[_Id])


def _manifest(
    extraction: Extraction, generation: int, parts: tuple[Part, ...], distinct_ids: int, requests: int
) -> Manifest:
    window = extraction.window
    return Manifest(
        entity=extraction.entity,
        cloud_id=extraction.cloud_id,
        since=None if window.since is None else iso(window.since),
        until=iso(window.until),
        filter=extraction.filter,
        include=extraction.include,
        file_format="jsonl",
        compression="gzip" if extraction.gzip_level is not None else None,
        generation=generation,
        rows=sum(part.rows for part in parts),
        distinct_ids=distinct_ids,
        requests=requests,
        bytes=sum(part.bytes for part in parts),
        parts=parts,
        package_version=__version__,
    )
