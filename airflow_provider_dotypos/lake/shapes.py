"""Which sets hold rows of the same shape, whatever their format: those may be read as one table.

The digest at the end of a folder's name stands for all that shapes rows, and for the format. It can't be taken apart.
So the digests of the usual choices are made again in each format. Sets with other choices are compared by their
columns.
"""

from __future__ import annotations

import functools
from collections import defaultdict
from collections.abc import Hashable, Sequence

from airflow_provider_dotypos.api.entities import find_entity
from airflow_provider_dotypos.api.errors import DotyposInputError
from airflow_provider_dotypos.api.query import include_names
from airflow_provider_dotypos.lake.sets import LakeSet
from airflow_provider_dotypos.transfers.files.manifest import Manifest
from airflow_provider_dotypos.transfers.rows.columns import columns_of
from airflow_provider_dotypos.transfers.selection import Selection

#: The usual choice of fields.
_ALL_FIELDS = "all fields"


def refuse_different_shapes(sets: Sequence[LakeSet]) -> None:
    """Raise unless all sets hold rows of the same shape. Formats may differ.

    :raises DotyposInputError: if they don't. The message lists the shapes, and how to choose.
    """
    kinds: dict[Hashable, dict[str, list[LakeSet]]] = defaultdict(lambda: defaultdict(list))
    for lake_set in sets:
        kinds[_rows_shape(lake_set)][lake_set.folder.shape].append(lake_set)
    if len(kinds) > 1 or any(_disagree(shapes) for shapes in kinds.values()):
        shapes = [f"{shape} ({_description(some)})" for kind in kinds.values() for shape, some in kind.items()]
        raise DotyposInputError(
            f"shape: the sets of {sets[0].manifest.entity} hold rows of different shapes, which aren't one table: "
            f"{'; '.join(sorted(shapes))}. Choose with shape={sets[-1].folder.shape!r}; name several with commas, if "
            "only their formats differ"
        )


def _disagree(shapes: dict[str, list[LakeSet]]) -> bool:
    """Return whether shapes that look alike can't be: the same format has several digests."""
    formats = [_format(some[0].manifest) for some in shapes.values()]
    return len(formats) > len(set(formats))


def _rows_shape(lake_set: LakeSet) -> Hashable:
    """Return what is the same for sets whose rows have the same shape, as far as a manifest shows it."""
    manifest = lake_set.manifest
    fields = _known_fields(lake_set) or _fields(lake_set)
    return (manifest.filter, manifest.include, frozenset(manifest.children), fields)


def _known_fields(lake_set: LakeSet) -> str | None:
    """Return which of the usual choices of fields a set was made with; ``None`` if it was another one."""
    manifest = lake_set.manifest
    known = _known_shapes(
        manifest.entity, manifest.filter, manifest.include, bool(manifest.children), *_format(manifest)
    )
    return known.get(lake_set.folder.shape)


@functools.lru_cache(64)
def _known_shapes(
    name: str, filter: str, include: str, flatten: bool, file_format: str, compression: str | None
) -> dict[str, str]:
    """Return the digests of the usual choices of fields, and what each stands for."""
    choices = {_ALL_FIELDS: True, "without personal data": False}
    try:
        return {
            Selection.of(
                name,
                cloud_id=0,
                filter=filter or None,
                include=include or None,
                flatten=flatten,
                personal_data=personal_data,
            ).shape(file_format, compression): choice
            for choice, personal_data in choices.items()
        }
    except DotyposInputError:  # of an earlier version, which allowed it
        return {}


def _fields(lake_set: LakeSet) -> tuple[frozenset[tuple[str, frozenset[str]]], str]:
    """Return the fields of a set's tables. Where a manifest doesn't show all that matters, the digest says the rest."""
    manifest = lake_set.manifest
    entity = find_entity(manifest.entity)
    nested = [name for name in include_names(entity, manifest.include) if not manifest.children]
    whole = {manifest.entity: columns_of(entity, nested).names}
    whole |= {child: columns_of(find_entity(child)).names for child in manifest.children}
    cut = frozenset((table, frozenset(names)) for table, names in manifest.columns.items() if whole[table] != {*names})
    return cut, lake_set.folder.shape if nested or entity.parent or not cut else ""


def _format(manifest: Manifest) -> tuple[str, str | None]:
    return manifest.file_format, manifest.compression


def _description(sets: Sequence[LakeSet]) -> str:
    """Return what people know a shape by. A filter isn't shown: it may hold personal data."""
    manifest = sets[0].manifest
    cut, _ = _fields(sets[0])
    fields = _known_fields(sets[0]) or ("some fields" if cut else _ALL_FIELDS)
    facts = [
        f"{len(sets)} sets" if len(sets) > 1 else "1 set",
        " ".join(filter(None, _format(manifest))),
        "filtered" if manifest.filter else "",
        f"with {manifest.include}{' in tables of their own' if manifest.children else ''}" if manifest.include else "",
        "" if fields == _ALL_FIELDS else fields,
    ]
    return ", ".join(filter(None, facts))
