"""The manifest of a set: what was extracted, in which files. Readers begin here: no manifest, no set."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import msgspec

from airflow_provider_dotypos.api.errors import DotyposInputError
from airflow_provider_dotypos.api.window import Window
from airflow_provider_dotypos.storage.store import Store, object_path
from airflow_provider_dotypos.transfers.errors import DamagedSetError
from airflow_provider_dotypos.transfers.files.formats.file_format import FileFormat
from airflow_provider_dotypos.transfers.files.part import ChildFile, Contents, Part
from airflow_provider_dotypos.transfers.files.tables import Table, check_table, columns_of_table

if TYPE_CHECKING:
    import pandas
    import pyarrow
    from airflow.sdk import ObjectStoragePath

#: The newest format of manifests; earlier ones are read as well.
FORMAT_VERSION = 2

# An underscore in front hides what isn't data from engines that read a folder whole (Spark, Hive, Athena).
_MANIFEST = re.compile(r"_manifest-(\d{4,})\.json")


class Manifest(msgspec.Struct, frozen=True, kw_only=True):
    """What a set holds; written last, never changed.

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


@dataclass(frozen=True)
class CommittedSet:
    """A committed set. `rows` and `to_batches` read it.

    It has a table of its own entity, and one for each child list that was flattened. A method that takes a table takes
    the name of its entity. It defaults to the set's own.

    :param manifest: what it holds.
    :param path: the manifest's path.
    :param files: its files, ready to be opened.
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

    @property
    def tables(self) -> dict[str, int]:
        """How many rows each table has, by its entity; the set's own is first."""
        return {self.manifest.entity: self.manifest.rows, **self.manifest.children}

    def rows(self, table: str | None = None) -> Iterator[dict[str, Any]]:
        """Yield a table's rows, in little memory.

        A row is in the form in which the API gives it, whatever the format of the files: ids, numbers and times are
        text (``Decimal(row["totalValueRounded"])`` is exact), truth values are ``bool``, lists and nested objects are
        ``list`` and ``dict``. CSV and Parquet hold every field of the entity: one that the API omitted is ``None``, in
        CSV also an empty text. Parquet doesn't keep how a number was spelled: ``12.50`` comes back as ``12.5``.

        :raises DotyposInputError: if the set has no such table.
        :raises DamagedSetError: if a file can't be read, or doesn't hold the rows that the manifest counts.
        :raises PyarrowMissingError: if the files are Parquet, and pyarrow isn't installed.
        """
        return self._table(table).rows()

    def to_batches(self, table: str | None = None) -> Iterator[pyarrow.RecordBatch]:
        """Yield a table's rows as record batches of some thousand, in little memory.

        Columns are typed like those of Parquet files, whatever the format of the files, and all batches have the same
        schema. Needs the extra ``parquet``. It raises what `rows` raises.
        """
        return self._table(table).to_batches()

    def to_arrow(self, table: str | None = None) -> pyarrow.Table:
        """Return all rows of a table in memory, as `to_batches` yields them; a table without rows has its columns.

        It raises what `rows` raises.
        """
        return self._table(table).to_arrow()

    def to_pandas(self, table: str | None = None) -> pandas.DataFrame:
        """Return all rows of a table in memory as a data frame, with the types of `to_arrow`.

        Whole numbers and truth values are pandas's nullable types, so an id stays exact beside a null. Amounts are
        ``Decimal``. It raises what `rows` raises.

        :raises PandasMissingError: if pandas isn't installed.
        """
        return self._table(table).to_pandas()

    def _table(self, name: str | None) -> Table:
        """Return a table.

        :raises DotyposInputError: if there is none of that name.
        """
        manifest = self.manifest
        name = name or manifest.entity
        check_table(name, self.tables)
        own = name == manifest.entity
        return Table(
            store=Store(self.path.parent),
            names=[file.name for file in (self.files if own else self.children[name])],
            counted=self.tables[name],
            file_format=FileFormat.read(manifest.file_format, manifest.compression),
            columns=columns_of_table(name, manifest.include if own else "", manifest.children, manifest.columns),
        )


def uri(file: ObjectStoragePath) -> str:
    """Return a file's address for other tools: without the connection that Airflow puts into it."""
    address: str = file.fs.unstrip_protocol(file.path)
    return address


def read_manifest(path: str | ObjectStoragePath, conn_id: str | None = None, *, verify: bool = False) -> CommittedSet:
    """Return the committed set of a window.

    Every file must exist in its size. A set may be moved or copied together with its last three folders, whose names
    say what it is: ``{cloud}/{entity}/{window}``.

    :param path: the manifest's path (as the operator returns it), or the window's folder, whose newest set is taken.
    :param conn_id: the Airflow connection of the store, where its path doesn't name one.
    :param verify: also read every file and compare its SHA-256.
    :raises FileNotFoundError: if there is no whole set there: nothing was committed, or a file is gone.
    :raises DotyposInputError: if the manifest is of another set than the folder's name says, or of a newer format.
    :raises DamagedSetError: if `verify` finds a file whose bytes have changed.
    """
    place = object_path(path, conn_id)
    named = _MANIFEST.fullmatch(place.name)
    store = Store(place.parent if named else place)
    manifest = whole_manifest(store, int(named[1])) if named else newest_manifest(store)
    if manifest is None:
        _refuse_misplaced(store, int(named[1]) if named else newest_generation(store.list()))
        raise FileNotFoundError(f"no whole set at {path}: nothing was committed there, or a file of it is gone")
    if verify:
        _verify(store, manifest)
    return CommittedSet(
        manifest,
        store.folder / manifest_name(manifest.generation),
        [store.folder / part.name for part in manifest.parts],
        {
            child: [store.folder / file.name for file in manifest.contents.children(child)]
            for child in manifest.children
        },
    )


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
    """Return a folder's newest set, if it is whole."""
    manifest = newest_manifest(store)
    return None if manifest is None else Committed.of(store, manifest)


def manifest_name(generation: int) -> str:
    """Return the name of a generation's manifest."""
    return f"_manifest-{generation:04d}.json"


def newest_generation(names: dict[str, int]) -> int:
    """Return the highest generation that has a manifest among `names`, or 0."""
    return max((int(match[1]) for match in map(_MANIFEST.fullmatch, names) if match), default=0)


def newest_manifest(store: Store) -> Manifest | None:
    """Return the newest manifest of a folder, if its set is whole (a set may be replaced while one looks).

    What can't be read or belongs to another set counts as if it weren't there.
    """
    looked_at = 0
    while (newest := newest_generation(names := store.list())) > looked_at:
        looked_at = newest
        for generation in sorted({int(match[1]) for match in map(_MANIFEST.fullmatch, names) if match}, reverse=True):
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


def _refuse_misplaced(store: Store, generation: int) -> None:
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


def _verify(store: Store, manifest: Manifest) -> None:
    for file in manifest.contents.files:
        if store.sha256(file.name) != file.sha256:
            raise DamagedSetError(
                f"{store.folder / file.name}: its bytes aren't those that were written (SHA-256 differs); extract the "
                "window again with overwrite=True"
            )
