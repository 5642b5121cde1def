"""Extracting one window of one entity into a committed set of files: the walk on one side, the commit on the other."""

from __future__ import annotations

import hashlib
import logging
import time
from contextlib import ExitStack
from dataclasses import dataclass

import msgspec

from airflow_provider_dotypos import __version__
from airflow_provider_dotypos.api.entities import entity
from airflow_provider_dotypos.api.query import Filter, conditions, filter_text, list_params
from airflow_provider_dotypos.api.reading import Delivery, Reader
from airflow_provider_dotypos.api.walk import Triple
from airflow_provider_dotypos.api.window import Window, iso
from airflow_provider_dotypos.transfers.commit import Attempt, SupersededError, stream_name
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
    extraction: Extraction, reader: Reader, store: Store, *, overwrite: bool = False, try_number: int = 1
) -> Manifest:
    """Extract a window and commit it; return its manifest (of the set that is there already, unless `overwrite`).

    Nothing is half-written: readers see the old set or the new one. A failed attempt leaves parts that no manifest
    lists; the next attempt removes them.

    :raises DotyposError: the API refused, or its answers can't be walked.
    """
    attempt = Attempt.begin(store, overwrite=overwrite, try_number=try_number)
    if attempt.finished is not None:
        log.info("%s is there already, with %d rows; it is kept.", store.folder, attempt.finished.rows)
        return attempt.finished
    with _Writing(extraction, attempt, store) as writing:
        try:
            for delivery in reader.walk(
                extraction.entity,
                extraction.window,
                filter=extraction.conditions,
                include=extraction.include,
                settle=extraction.settle,
                **({"warehouse_id": extraction.warehouse_id} if extraction.warehouse_id else {}),
            ):
                writing.take(delivery, reader.requests)
            writing.end_part()
        except SupersededError:
            return attempt.give_way()
        distinct = writing.distinct_ids()
        return attempt.commit(
            lambda generation, parts: _manifest(extraction, generation, parts, distinct, reader.requests)
        )


class _Writing(ExitStack):
    """Parts in the making: which rows go into which, when one ends, and what is told meanwhile."""

    def __init__(self, extraction: Extraction, attempt: Attempt, store: Store) -> None:
        super().__init__()
        self._extraction = extraction
        self._attempt = attempt
        self._store = store
        self._staging = self.enter_context(store.staging())
        self._writer: PartWriter | None = None
        self._stream = ""
        self._parent: str | None = None
        self._ordered = True
        self._low: int | None = None
        self._high: int | None = None
        self._ids = self.enter_context(DistinctIds())
        self._distinct = 0
        self._progress = _Progress(extraction)
        self.callback(self._discard)

    def take(self, delivery: Delivery, requests: int) -> None:
        """Write a delivery's rows; end the part where it is large enough and may end."""
        name = stream_name(delivery.parent, delivery.stream)
        if name != self._stream:
            self.end_part()
            self._begin_stream(name, delivery)
        batch = delivery.batch
        if batch.rows:
            if self._writer is None:
                self._writer = PartWriter(self._staging / self._store.staging_name(), self._extraction.gzip_level)
            self._writer.write(batch.rows)
            self._ids.add(batch.ids)
        if batch.covered is not None:
            self._high = batch.covered
            if self._writer is not None and self._writer.bytes >= self._extraction.max_part_bytes:
                self.end_part()
        self._progress.tell(len(batch.rows), requests)

    def end_part(self) -> None:
        """Put the part under way, if there is one."""
        if self._writer is not None:
            low, high = (self._low, self._high) if self._ordered else (None, None)
            self._attempt.put(self._writer, self._stream, low, high, self._extraction.suffix)
            self._writer = None
        self._low = self._high

    def distinct_ids(self) -> int:
        """Return how many different ids there were (summed over warehouses)."""
        return self._distinct + self._ids.count()

    def _begin_stream(self, name: str, delivery: Delivery) -> None:
        if delivery.parent != self._parent:
            self._distinct += self._ids.count()
            self._ids.close()
            self._ids = self.enter_context(DistinctIds())
        self._stream, self._parent = name, delivery.parent
        self._ordered = delivery.stream.cursor is not None
        self._low = self._high = self._extraction.window.since

    def _discard(self) -> None:
        if self._writer is not None:
            self._writer.discard()


class _Progress:
    """Tells how far an extraction is, at a human pace: more seldom the longer it takes."""

    def __init__(self, extraction: Extraction) -> None:
        self._what = f"{extraction.entity} of cloud {extraction.cloud_id}"
        self._rows = 0
        self._started = time.monotonic()
        self._next = 5.0

    def tell(self, rows: int, requests: int) -> None:
        self._rows += rows
        elapsed = time.monotonic() - self._started
        if elapsed >= self._next:
            self._next = min(elapsed * 2, elapsed + 60)
            rate = self._rows / elapsed
            log.info(
                "%s: %d rows from %d pages in %.0f s (%.0f rows/s)", self._what, self._rows, requests, elapsed, rate
            )


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
