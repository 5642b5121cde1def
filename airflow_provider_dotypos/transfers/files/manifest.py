"""The manifest of a set: what was extracted, in which files. No manifest, no set."""

from __future__ import annotations

import re
from typing import Literal, NamedTuple

import msgspec

from airflow_provider_dotypos.api.errors import DotyposInputError
from airflow_provider_dotypos.api.window import Window
from airflow_provider_dotypos.storage.store import Store
from airflow_provider_dotypos.transfers.files.part import ChildFile, Contents, Part
from airflow_provider_dotypos.transfers.rows.new_fields import NewField

#: The newest format of manifests; earlier ones are read as well.
FORMAT_VERSION = 2

# An underscore in front hides what isn't data from engines that read a folder whole (Spark, Hive, Athena).
_MANIFEST = re.compile(r"_manifest-(\d{4,})\.json")


class SetReference(msgspec.Struct, frozen=True):
    """Which set was read.

    :param folder: the name of its folder.
    :param generation: of its manifest.
    :param digest: of its files' SHA-256, see `Contents.digest`. A folder that was removed and is extracted again begins
        with the first generation again.
    """

    folder: str
    generation: int
    digest: str = ""


class Rewriting(msgspec.Struct, frozen=True):
    """A change to the rows of a set after it was extracted.

    :param reason: ``erased``: personal data was removed.
    :param at: when, in ISO 8601.
    :param rows: how many rows it changed.
    :param package_version: the package that did it.
    """

    reason: str
    at: str
    rows: int
    package_version: str


class Manifest(msgspec.Struct, frozen=True, kw_only=True):
    """The description of a set: written last, never changed.

    :param entity: whose rows it holds.
    :param cloud_id: the cloud that they are of.
    :param filter: the further conditions of the extraction, in the API's grammar; empty if there were none.
    :param include: the child lists that were read with the rows.
    :param file_format: ``jsonl``, ``csv`` or ``parquet``.
    :param compression: ``gzip`` or ``None``.
    :param parts: its parts, in the order of their rows.
    :param package_version: the version of this package that wrote it.
    :param schema_version: the version of the columns, where the format has types.
    :param snapshot: whether it holds the ids of all rows that existed.
    :param complete: always true; a set without it isn't read.
    :param generation: counts the replacements of this window's set, from 1.
    :param since: first instant inside the window, in ISO 8601; ``None`` from the beginning.
    :param until: first instant after the window, in ISO 8601.
    :param rows: rows in all parts (not counting children in files of their own).
    :param distinct_ids: different ids among them (of rows below different warehouses: summed), which equals `rows`
        unless rows changed meanwhile.
    :param tail_until: for a set from the beginning: rows that changed while it was read, up to this moment, are in it
        as well, so it can hold two versions of a row; ``None`` if there is no such tail. A snapshot also holds what
        changed after it.
    :param deleted_filter: by how many filters live and deleted rows were read: ``two`` hide no row. ``one`` was assumed
        to hide none, as was found out before. ``None`` if the filter names ``deleted``, for entities without it, and in
        manifests of earlier versions, which used two.
    :param undated_rows: whether rows without a change date were read. If not, they come with the next set from the
        beginning. ``None`` in manifests of earlier versions, which read them.
    :param requests: list calls that the attempt which committed it took.
    :param bytes: size of all files.
    :param columns: the columns of each table, by its entity, where the format has any, or a selection was asked for.
    :param children: rows in the files of flattened child lists, by entity.
    :param child_files: by entity, files of flattened child lists that don't belong to one part alone: they were merged
        of several parts' files, or their parts were merged.
    :param misfits: how many values didn't fit their column in all parts, see `Part`.
    :param new_fields: fields that the entity table doesn't know, by table and by name. Of JSON lines a few rows of
        every page are looked at. ``None`` in manifests of earlier versions, which didn't look.
    :param compacted_from: the sets that it was made of, if it was made of sets and not of the API's answers; and those
        that these were made of. `requests` is 0 then, and `misfits` also count values of rows that aren't in it.
    :param compacted_at: when the reading of them began, in ISO 8601.
    :param rewritings: what changed its rows later, the oldest first.
    :param shape: digest of what shapes the rows; the end of the folder's name.
    :param format_version: 2 if there are `child_files`, which earlier versions of this package don't know; otherwise 1.
    """

    entity: str
    cloud_id: int
    since: str | None
    until: str
    tail_until: str | None = None
    filter: str
    include: str
    file_format: str
    compression: str | None
    generation: int
    rows: int
    distinct_ids: int
    requests: int
    bytes: int
    parts: tuple[Part, ...]
    package_version: str
    columns: dict[str, list[str]] = {}
    children: dict[str, int] = {}
    child_files: dict[str, tuple[ChildFile, ...]] = {}
    misfits: dict[str, int] = {}
    schema_version: int | None = None
    new_fields: dict[str, dict[str, NewField]] | None = None
    compacted_from: tuple[SetReference, ...] = ()
    compacted_at: str | None = None
    rewritings: tuple[Rewriting, ...] = ()
    snapshot: bool = False
    deleted_filter: Literal["one", "two"] | None = None
    undated_rows: bool | None = None
    shape: str = ""
    format_version: int = 1
    complete: bool = True

    @property
    def contents(self) -> Contents:
        """All its files."""
        return Contents(self.parts, self.child_files)


class Committed(NamedTuple):
    """A committed set, as runs and tasks refer to it: its manifest's path, and the manifest."""

    path: str
    manifest: Manifest

    @classmethod
    def of(cls, store: Store, manifest: Manifest) -> Committed:
        """Return a folder's set."""
        return cls(str(store.folder / manifest_name(manifest.generation)), manifest)

    @property
    def folder(self) -> str:
        """The name of the set's folder."""
        return self.path.rsplit("/", 2)[-2]


def find_set(store: Store) -> Committed | None:
    """Return a folder's newest set, if it is whole.

    :param store: the folder.
    """
    manifest = newest_manifest(store)
    return None if manifest is None else Committed.of(store, manifest)


def manifest_name(generation: int) -> str:
    """Return the name of a generation's manifest.

    :param generation: the generation, from 1.
    """
    return f"_manifest-{generation:04d}.json"


def generation_of(name: str) -> int:
    """Return the generation whose manifest has this name, or 0 if it isn't a manifest's."""
    match = _MANIFEST.fullmatch(name)
    return int(match[1]) if match else 0


def newest_generation(names: dict[str, int]) -> int:
    """Return the highest generation that has a manifest among `names`, or 0."""
    return max(map(generation_of, names), default=0)


def newest_manifest(store: Store) -> Manifest | None:
    """Return the newest manifest of a folder, if its set is whole (a set may be replaced while one looks).

    A manifest that can't be read, or that belongs to another set, counts as if it didn't exist.

    :param store: the folder.
    """
    looked_at = 0
    while (newest := newest_generation(names := store.list())) > looked_at:
        looked_at = newest
        for generation in sorted(set(map(generation_of, names)) - {0}, reverse=True):
            try:
                manifest = _read(store, generation)
            except FileNotFoundError:
                break  # a newer set has replaced it
            if manifest is not None and _misfit(manifest, store, generation) is None:
                if _is_whole(manifest, store):
                    return manifest
                break
    return None


def whole_manifest(store: Store, generation: int) -> Manifest | None:
    """Return a generation's manifest, if it is this folder's and every file that it lists exists in its size.

    :raises DotyposInputError: if it is of a newer format.
    """
    try:
        manifest = _read(store, generation)
    except FileNotFoundError:
        return None
    if manifest is None or _misfit(manifest, store, generation) is not None:
        return None
    return manifest if _is_whole(manifest, store) else None


class _Version(msgspec.Struct):
    """The part of a manifest that is read first: the rest of a newer one may look like anything."""

    format_version: object = 1


def _read(store: Store, generation: int) -> Manifest | None:
    """Return a manifest as it stands in its file; ``None`` if that is cut off, or isn't a manifest at all.

    :raises FileNotFoundError: if there is no such file.
    :raises DotyposInputError: if it is of a newer format.
    """
    data = store.read(manifest_name(generation))
    try:
        version = msgspec.json.decode(data, type=_Version).format_version
    except msgspec.MsgspecError:
        return None
    if version not in (1, FORMAT_VERSION):
        raise DotyposInputError(
            f"{store.folder}: the manifest has format version {str(version)[:20]}, this package reads "
            f"{FORMAT_VERSION}; use a newer airflow-provider-dotypos"
        )
    try:
        return msgspec.json.decode(data, type=Manifest)
    except msgspec.MsgspecError:
        return None


def _misfit(manifest: Manifest, store: Store, generation: int) -> str | None:
    """Return what in a manifest contradicts the place where it lies; ``None`` if nothing does.

    It may have been copied there, and what it lists decides which files are kept.
    """
    cloud, entity, window = store.place
    claims = [
        ("cloud", str(manifest.cloud_id), cloud),
        ("entity", manifest.entity, entity),
        ("window", _window_name(manifest), window.rpartition("_")[0]),
        # Manifests of earlier versions don't name it.
        ("shape", manifest.shape or window.rpartition("_")[2], window.rpartition("_")[2]),
        ("generation", str(manifest.generation), str(generation)),
    ]
    for name, claimed, here in claims:
        if claimed != here:
            return f"its {name} is {claimed}, and here it would be {here or 'unnamed'}"
    for name in manifest.contents.sizes:
        if not name.startswith(f"g{generation:04d}-") or "/" in name or "\\" in name:
            return "it lists files of another folder or generation"
    return None if manifest.complete else "it says that its set isn't complete"


def _window_name(manifest: Manifest) -> str:
    """Return the name that the folder of a manifest's window has; an empty one if its window can't be read."""
    try:
        return Window.of(manifest.since, manifest.until).name
    except DotyposInputError:
        return ""


def _is_whole(manifest: Manifest, store: Store) -> bool:
    return manifest.contents.sizes.items() <= store.list().items()


def refuse_misplaced(store: Store, generation: int) -> None:
    """Raise if what makes a manifest unusable is the place where it lies.

    :raises DotyposInputError: if it is.
    """
    try:
        manifest = _read(store, generation)
    except FileNotFoundError:
        return
    if manifest is not None and (misfit := _misfit(manifest, store, generation)) is not None:
        raise DotyposInputError(
            f"{store.folder / manifest_name(generation)} doesn't belong to this folder: {misfit}. A set is moved or "
            "copied together with its last three folders: {cloud}/{entity}/{window}"
        )
