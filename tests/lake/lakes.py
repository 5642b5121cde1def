"""Committed sets for tests, written by the sink that extractions write with."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

import msgspec
from airflow.sdk import ObjectStoragePath
from hypothesis import strategies as st

from airflow_provider_dotypos.api.streams import Piece, Stream
from airflow_provider_dotypos.api.walk import Batch
from airflow_provider_dotypos.api.window import Window, instant, iso
from airflow_provider_dotypos.lake.newest import ALWAYS, Bounds
from airflow_provider_dotypos.lake.sets import LakeSet, SetFolder, find_committed
from airflow_provider_dotypos.transfers.files.formats.file_format import FileFormat
from airflow_provider_dotypos.transfers.files.formats.part_versions import NULL
from airflow_provider_dotypos.transfers.files.sink import FileSink, set_folder
from airflow_provider_dotypos.transfers.selection import Selection
from airflow_provider_dotypos.transfers.sink import Walked

CLOUD = 310101001

#: All formats, as arguments of `commit_set`.
FORMATS: Sequence[Mapping[str, Any]] = (
    {"file_format": "jsonl"},
    {"file_format": "jsonl", "compression": "gzip"},
    {"file_format": "csv"},
    {"file_format": "csv", "compression": "gzip"},
    {"file_format": "parquet"},
)


class Rows(NamedTuple):
    """A part's rows.

    :param low: first cursor of the part's range.
    :param high: the first cursor after it; both are ``None`` for rows without a cursor.
    """

    low: int | None
    high: int | None
    rows: Sequence[Mapping[str, Any]]


@contextmanager
def passing_destination() -> Iterator[ObjectStoragePath]:
    """Make a destination that is gone afterwards."""
    with TemporaryDirectory() as folder:
        yield ObjectStoragePath(f"file://{folder}")


def commit_set(
    destination: ObjectStoragePath,
    window: Window,
    parts: Iterable[Rows],
    *,
    entity: str = "products",
    file_format: str = "jsonl",
    compression: str | None = None,
    overwrite: bool = False,
    threads: int = 100,
    tail_until: int | None = None,
    undated: bool = True,
    meanwhile: Callable[[], None] = lambda: None,
    **selected: Any,
) -> LakeSet:
    """Commit a set.

    :param threads: parts aren't merged unless a table has more files than this.
    :param tail_until: the end of the tail of a set from the beginning.
    :param undated: whether the manifest says that rows without a change date were read.
    :param meanwhile: called when all parts are there, before the manifest.
    :param selected: further arguments of `Selection.of`.
    """
    selection = Selection.of(entity, cloud_id=CLOUD, **selected)
    form = FileFormat.of(file_format, compression)
    folder = destination / set_folder(selection, window, form)
    with FileSink.begin(folder, selection, window, form, overwrite=overwrite) as sink:
        for part in parts:
            stream = Stream("live" if part.high is not None else "live-null", (), None)
            writer = sink.open(Piece(stream, part.low, part.high or 0))
            rows = [msgspec.Raw(json.dumps(row, ensure_ascii=False).encode()) for row in part.rows]
            if rows:
                writer.write(Batch(rows, [str(row["id"]) for row in part.rows], part.high))
            writer.end(part.low, part.high)
        tail = None if tail_until is None else Window(window.until, tail_until)
        walked = Walked(tail=tail, requests=1, undated=undated, one_filter=False, threads=threads)
        meanwhile()
        sink.commit(walked, lambda: None)
    found = find_committed(destination, CLOUD, entity, SetFolder(folder.name, window, folder.name.rpartition("_")[2]))
    assert found is not None
    return found


def product(id: int, moment: int | None, **fields: Any) -> dict[str, Any]:
    """Return a product that changed at a moment, in epoch milliseconds."""
    return {"id": str(id), "versionDate": None if moment is None else iso(moment), **fields}


#: Moments of a lake's life: few, so that windows and versions meet.
_MOMENTS = st.integers(0, 12)


@st.composite
def _set(draw: st.DrawFn) -> dict[str, Any]:
    """Return the arguments of `commit_set`: a set of few products, which may hold some in two versions."""
    since, until = sorted(draw(st.tuples(_MOMENTS, _MOMENTS).filter(lambda pair: pair[0] != pair[1])))
    begins = None if draw(st.booleans()) else since
    tail = until + draw(st.integers(1, 4)) if begins is None and draw(st.booleans()) else None
    ranges: list[tuple[int | None, int | None]] = [(begins, until)]
    if tail:
        ranges.append((until, tail))
    if draw(st.booleans()):
        ranges.append((None, None))
    parts: list[Rows] = []
    for low, high in ranges:
        # A row has one version in a window, and may have another one in the tail.
        known = {row["id"] for part in parts[:1] for row in part.rows} if high is None else set()
        parts.append(Rows(low, high, [row for row in draw(_rows(low, high)) if row["id"] not in known]))
    return {
        "window": Window(begins, until),
        "parts": parts,
        "tail_until": tail,
        "threads": draw(st.sampled_from([1, 100])),
        **draw(st.sampled_from(FORMATS)),
    }


@st.composite
def _rows(draw: st.DrawFn, low: int | None, high: int | None) -> list[dict[str, Any]]:
    rows = []
    for id in draw(st.lists(st.integers(1, 5), unique=True, max_size=4)):
        moment = None if high is None else draw(st.integers(low or 0, high - 1))
        name = str(draw(st.integers(0, 10**9)))
        items = [
            {"id": str(number), "_productId": str(id), "name": f"{name}-{number}"}
            for number in range(draw(st.integers(0, 2)))
        ]
        deleted = draw(st.sampled_from([None, False, True]))
        rows.append(product(id, moment, name=name, deleted=deleted, customizations=items))
    return sorted(rows, key=lambda row: row["versionDate"] or "")


def _folder(arguments: Mapping[str, Any]) -> tuple[Any, ...]:
    return arguments["window"], arguments["file_format"], arguments.get("compression")


#: Lists of arguments of `commit_set`: windows that overlap, all formats, versions of few products.
SET_LISTS = st.lists(_set(), min_size=1, max_size=6, unique_by=_folder)


def naive(
    sets: Iterable[Mapping[str, Any]], bounds: Bounds = ALWAYS, hide_deleted: bool = False
) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Return the newest versions of the products in sets, and the customizations that came with them."""
    newest: dict[str, tuple[int, dict[str, Any]]] = {}
    for one in sorted(sets, key=_set_order):
        for part in one["parts"]:
            for row in part.rows:
                moment = NULL if row["versionDate"] is None else instant(row["versionDate"], "versionDate")
                if bounds.since is not None and moment < bounds.since:
                    continue
                if bounds.until is not None and moment >= bounds.until:
                    continue
                if row["id"] not in newest or moment >= newest[row["id"]][0]:
                    newest[row["id"]] = moment, row
    rows = [row for _, row in newest.values() if not (hide_deleted and row["deleted"])]
    return rows, [item for row in rows for item in row["customizations"]]


def begun(sets: Iterable[Mapping[str, Any]], until: int | None) -> list[Mapping[str, Any]]:
    """Return the sets whose window begins before a moment: `read_entity` reads no others."""
    return [one for one in sets if None in (one["window"].since, until) or one["window"].since < until]


def _set_order(one: Mapping[str, Any]) -> tuple[Any, ...]:
    """Sort sets as versions are sorted that are equal otherwise."""
    since, until = one["window"].since, one["window"].until
    form = FileFormat.of(one["file_format"], one.get("compression"))
    selection = Selection.of("products", cloud_id=CLOUD, include="customizations", flatten=True)
    return until, -1 if since is None else since, set_folder(selection, one["window"], form)
