"""Extracting one window of one entity into a committed set of files: the walk on one side, the commit on the other."""

from __future__ import annotations

import logging
from collections import Counter

from airflow_provider_dotypos import __version__
from airflow_provider_dotypos.api.reading import Reader
from airflow_provider_dotypos.api.window import iso
from airflow_provider_dotypos.transfers.engine import Engine
from airflow_provider_dotypos.transfers.extraction import Extraction
from airflow_provider_dotypos.transfers.files.commit import Attempt, SupersededError
from airflow_provider_dotypos.transfers.files.manifest import Manifest, Part
from airflow_provider_dotypos.transfers.files.store import Store
from airflow_provider_dotypos.transfers.rows.columns import SCHEMA_VERSION, UNKNOWN

log = logging.getLogger(__name__)

#: Requests after which an attempt should have something that the next one can go on with.
_MANY = 100


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

    Nothing is half-written: readers see the old set or the new one. A failed attempt leaves what it has read as parts
    that no manifest lists; the next attempt keeps those that are whole, and fetches what is missing.

    :param origin: what tries of one task instance have in common.
    :raises DotyposError: the API refused, or its answers can't be walked.
    """
    attempt = Attempt.begin(store, overwrite=overwrite, try_number=try_number, origin=origin)
    if attempt.finished is not None:
        log.info("%s is there already, with %d rows; it is kept.", store.folder, attempt.finished.rows)
        return attempt.finished
    with Engine(extraction, attempt, reader, store) as engine:
        try:
            engine.work()
            manifest = attempt.commit(lambda generation, parts: _manifest(extraction, generation, parts, engine))
        except SupersededError:
            return attempt.give_way()
        except BaseException:
            attempt.leave()
            if reader.requests >= _MANY and not attempt.has_kept_rows:
                log.warning(
                    "Nothing of what %d requests brought can be kept for the next attempt: it is one instant with very "
                    "many rows, or rows without a cursor, which count only when all of them are read. Under the same "
                    "limit the next attempt may fare alike: ask for a window or a filter that divides these rows.",
                    reader.requests,
                )
            raise
    if manifest.misfits:
        told = ", ".join(f"{field} ({count})" for field, count in sorted(manifest.misfits.items()))
        log.warning(
            "Values didn't fit their columns, or weren't UTF-8: %s. They are kept as they came (where there are "
            "columns, in %s), but for U+FFFD in place of what isn't UTF-8, and for what may hold fields that weren't "
            "wanted.",
            told,
            UNKNOWN,
        )
    return manifest


def _manifest(extraction: Extraction, generation: int, parts: tuple[Part, ...], engine: Engine) -> Manifest:
    window = extraction.window
    typed = extraction.file_format.name != "jsonl"
    tables = {extraction.entity: extraction.columns, **extraction.children}
    selected = {name: list(columns.names_in_order) for name, columns in tables.items() if typed or not columns.whole}
    return Manifest(
        entity=extraction.entity,
        cloud_id=extraction.cloud_id,
        since=None if window.since is None else iso(window.since),
        until=iso(window.until),
        tail_until=None if engine.tail is None else iso(engine.tail.until),
        filter=extraction.filter,
        include=extraction.include,
        file_format=extraction.file_format.name,
        compression=extraction.file_format.compression,
        generation=generation,
        rows=sum(part.rows for part in parts),
        distinct_ids=engine.distinct_ids(),
        requests=engine.requests,
        bytes=sum(sum(part.sizes.values()) for part in parts),
        parts=parts,
        columns=selected,
        children={
            child: sum(part.children[child].rows for part in parts if child in part.children)
            for child in extraction.children
        },
        misfits=dict(sum((Counter(part.misfits) for part in parts), Counter())),
        schema_version=SCHEMA_VERSION if typed else None,
        snapshot=extraction.snapshot,
        shape=extraction.shape,
        package_version=__version__,
    )
