"""The manifest of a set: what was extracted, in which files. Readers begin here: no manifest, no set."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import msgspec

from airflow_provider_dotypos.transfers.store import Store, object_path

if TYPE_CHECKING:
    from airflow.sdk import ObjectStoragePath

FORMAT_VERSION = 1

# An underscore in front hides what isn't data from engines that read a folder whole (Spark, Hive, Athena).
_MANIFEST = re.compile(r"_manifest-(\d{4,})\.json")


class ChildFile(msgspec.Struct, frozen=True):
    """The rows of a child list that came with a part's rows, flattened into a file of their own."""

    name: str
    rows: int
    bytes: int
    sha256: str


class Part(msgspec.Struct, frozen=True):
    """One file of a set, and the files of children that belong to it.

    :param stream: which disjoint part of the rows it belongs to, such as ``live`` or ``deleted``.
    :param low: :param high: the cursors that it covers completely, ``[low, high)`` in epoch milliseconds; ``None``
        means from the beginning, and both ``None`` rows without a cursor.
    :param rows: rows in it. :param bytes: its size. :param sha256: of its bytes, in hex.
    :param origin: the task instance that wrote it, in short. :param package_version: the package that wrote it.
    :param misfits: how many values didn't fit their column, by field (of children in files of their own as
        ``order-items.quantity``): they are kept as they came (where there are columns, in ``_unknown``), but for what
        may hold fields that weren't wanted.
    :param children: files of flattened child lists, by their entity's name.
    """

    name: str
    stream: str
    low: int | None
    high: int | None
    rows: int
    bytes: int
    sha256: str
    origin: str = ""
    package_version: str = ""
    misfits: dict[str, int] = {}
    children: dict[str, ChildFile] = {}

    @property
    def is_rowless(self) -> bool:
        """Whether it only says that its range holds no rows. It has no files then, and no manifest lists it."""
        return not self.sha256

    @property
    def sizes(self) -> dict[str, int]:
        """All its files, with their sizes in bytes."""
        return {file.name: file.bytes for file in self._files}

    @property
    def digests(self) -> dict[str, str]:
        """All its files, with their SHA-256."""
        return {file.name: file.sha256 for file in self._files}

    @property
    def _files(self) -> tuple[Part | ChildFile, ...]:
        return () if self.is_rowless else (self, *self.children.values())


class Manifest(msgspec.Struct, frozen=True, kw_only=True):
    """What a set holds; written last, never changed.

    :param generation: counts the replacements of this window's set, from 1.
    :param since: :param until: the window, in ISO 8601 (``None``: from the beginning).
    :param rows: rows in all parts (not counting children in files of their own). :param distinct_ids: different ids
        among them (of rows below different warehouses: summed), which equals `rows` unless rows changed meanwhile.
    :param tail_until: for a set from the beginning: rows that changed while it was read, up to this moment, are in it
        as well, so it can hold two versions of a row; ``None`` if there is no such tail.
    :param requests: list calls that the attempt which committed it took. :param bytes: size of all files.
    :param columns: the columns of each table, by its entity, where the format has any, or a selection was asked for.
    :param children: rows in the files of flattened child lists, by entity.
    :param misfits: how many values didn't fit their column in all parts, see `Part`.
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
    misfits: dict[str, int] = {}
    schema_version: int | None = None
    snapshot: bool = False
    format_version: int = FORMAT_VERSION
    complete: bool = True


class Set(msgspec.Struct, frozen=True):
    """A committed set.

    :param manifest: what it holds. :param path: the manifest's path. :param files: its files, ready to be opened.
    :param children: the files of flattened child lists, by entity.
    """

    manifest: Manifest
    path: ObjectStoragePath
    files: list[ObjectStoragePath]
    children: dict[str, list[ObjectStoragePath]]

    @property
    def uris(self) -> list[str]:
        """The addresses of its files for other tools (DuckDB, Spark, pandas): without Airflow's connection in them."""
        return [uri(file) for file in self.files]


def uri(file: ObjectStoragePath) -> str:
    """Return a file's address for other tools: without the connection that Airflow puts into it."""
    address: str = file.fs.unstrip_protocol(file.path)
    return address


def read_manifest(path: str | ObjectStoragePath, conn_id: str | None = None) -> Set:
    """Return the committed set of a window.

    :param path: the manifest's path (as the operator returns it), or the window's folder, whose newest set is taken.
    :param conn_id: the Airflow connection of the store, where its path doesn't name one.
    :raises FileNotFoundError: there is no whole set there: nothing was committed, or a file is gone.
    """
    place = object_path(path, conn_id)
    named = _MANIFEST.fullmatch(place.name)
    store = Store(place.parent if named else place)
    found = whole_manifest(store, int(named[1])) if named else newest_manifest(store)
    if found is None:
        raise FileNotFoundError(f"no whole set at {path}: nothing was committed there, or a file of it is gone")
    return Set(
        found,
        store.folder / manifest_name(found.generation),
        [store.folder / part.name for part in found.parts],
        {
            child: [store.folder / part.children[child].name for part in found.parts if child in part.children]
            for child in found.children
        },
    )


def manifest_name(generation: int) -> str:
    """Return the name of a generation's manifest."""
    return f"_manifest-{generation:04d}.json"


def newest_generation(names: dict[str, int]) -> int:
    """Return the highest generation that has a manifest among `names`, or 0."""
    return max((int(match[1]) for match in map(_MANIFEST.fullmatch, names) if match), default=0)


def newest_manifest(store: Store) -> Manifest | None:
    """Return the newest manifest of a folder, if its set is whole (a set may be replaced while one looks)."""
    looked_at = 0
    while (generation := newest_generation(store.list())) > looked_at:
        if (manifest := whole_manifest(store, generation)) is not None:
            return manifest
        looked_at = generation
    return None


def whole_manifest(store: Store, generation: int) -> Manifest | None:
    """Return a generation's manifest, if every file that it lists is there in its size; ``None`` otherwise."""
    try:
        manifest = msgspec.json.decode(store.read(manifest_name(generation)), type=Manifest)
    except (FileNotFoundError, msgspec.MsgspecError):
        return None
    if manifest.format_version != FORMAT_VERSION:
        raise ValueError(
            f"{store.folder}: the manifest has format version {manifest.format_version}, this package reads "
            f"{FORMAT_VERSION}; use a newer airflow-provider-dotypos"
        )
    names = store.list()
    return manifest if all(part.sizes.items() <= names.items() for part in manifest.parts) else None
