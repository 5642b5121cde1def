"""Which files of a set's folder belong to its set, and which are left over."""

from __future__ import annotations

import re
from collections.abc import Iterable

from airflow_provider_dotypos.storage.store import Store
from airflow_provider_dotypos.transfers.files.manifest import Manifest, manifest_name

#: Every name that this package gives, and its generation; nothing else in a folder is ours to remove.
OURS = re.compile(
    r"_manifest-(\d{4,})\.json|\.staging-g(\d{4,})-[0-9a-f]{16}"
    r"|(_)?g(\d{4,})-.+-t\d+[0-9a-f]{6}\.(?:jsonl|csv|parquet|rowless)(?:\.gz)?(?(3)\.meta)"
)


def sidecar_name(part: str) -> str:
    """Return the name of a part's sidecar: neither engines that read folders nor globs by suffix take it for data."""
    return f"_{part}.meta"


def clean_folder(store: Store, committed: Manifest, names: Iterable[str] | None = None) -> None:
    """Remove the leftovers of a set's generation and of earlier ones: they can't be committed any more.

    :param names: the files that are looked at. Defaults to all that are there.
    """
    keep = set_files(committed)
    for name in store.list() if names is None else names:
        match = OURS.fullmatch(name)
        if match and int(match[match.lastindex or 0]) <= committed.generation and name not in keep:
            store.delete(name)


def set_files(manifest: Manifest) -> set[str]:
    """Return the names of a set's files, their sidecars, and its manifest."""
    files = manifest.contents.sizes
    return {manifest_name(manifest.generation), *files, *map(sidecar_name, files)}


def unlisted_files(names: Iterable[str], committed: Manifest | None) -> tuple[list[str], list[str]]:
    """Return the files of a folder that hold rows, or say so, and belong to no set.

    :param committed: the folder's set, if there is one.
    :return: those that can't be committed any more, and those that an unfinished attempt may still commit.
    """
    newest = 0 if committed is None else committed.generation
    listed = set() if committed is None else set_files(committed)
    old: list[str] = []
    unfinished: list[str] = []
    for name in sorted(names):
        match = OURS.fullmatch(name)
        if match and name not in listed and match[1] is None:
            (old if int(match[match.lastindex or 0]) <= newest else unfinished).append(name)
    return old, unfinished
