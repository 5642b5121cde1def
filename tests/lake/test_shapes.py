from __future__ import annotations

from itertools import combinations_with_replacement, product
from pathlib import Path
from typing import Any

import pytest
from airflow.sdk import ObjectStoragePath

from airflow_provider_dotypos.api.errors import DotyposInputError
from airflow_provider_dotypos.api.window import Window
from airflow_provider_dotypos.lake.shapes import refuse_different_shapes
from tests.lake.lakes import commit_set

SHAPES: list[dict[str, Any]] = [
    {},
    {"filter": "display|eq|true"},
    {"columns": "name,deleted"},
    {"exclude": "notes"},
    {"personal_data": False},
    {"include": "customizations"},
    {"include": "customizations", "flatten": True},
    {"include": "customizations", "columns": "name,deleted,customizations.name"},
    {"include": "customizations", "columns": "name,deleted,customizations.name", "flatten": True},
]

#: What a manifest doesn't show: which fields of nested children were wanted. Such sets aren't mixed at all.
UNKNOWN = SHAPES[7]


def differ(*sets: Any) -> bool:
    try:
        refuse_different_shapes(sets)
    except DotyposInputError:
        return True
    return False


def test_sets_are_of_one_shape_if_only_their_formats_differ(tmp_path: Path):
    place = ObjectStoragePath(f"file://{tmp_path}")
    made = [
        (number, file_format, commit_set(place, Window(0, 1), [], file_format=file_format, **shape))
        for (number, shape), file_format in product(enumerate(SHAPES), ("jsonl", "parquet", "csv"))
    ]
    for (one, format_of_one, first), (other, format_of_other, second) in combinations_with_replacement(made, 2):
        surely = format_of_one == format_of_other or SHAPES[one] != UNKNOWN
        assert differ(first, second) == (one != other or not surely), (SHAPES[one], SHAPES[other])


@pytest.mark.parametrize("file_format", ["jsonl", "parquet"])
def test_the_rows_of_one_warehouse_arent_those_of_another(tmp_path: Path, file_format: str):
    place = ObjectStoragePath(f"file://{tmp_path}")
    sets = [
        commit_set(place, Window(0, 1), [], entity="warehouse-products", file_format=form, warehouse_id=warehouse)
        for warehouse, form in ((None, "jsonl"), (5, "jsonl"), (6, file_format))
    ]
    assert differ(*sets[:2])
    assert differ(*sets[1:])
    assert not differ(sets[1], sets[1])


def test_shapes_that_differ_in_their_fields_alone_are_told_apart(tmp_path: Path):
    place = ObjectStoragePath(f"file://{tmp_path}")
    sets = [commit_set(place, Window(0, 1), [], **SHAPES[number]) for number in (0, 3, 4)]
    with pytest.raises(DotyposInputError) as error:
        refuse_different_shapes(sets)
    for lake_set, what in zip(sets, ("", ", some fields", ", without personal data"), strict=True):
        assert f"{lake_set.folder.shape} (1 set, jsonl{what})" in str(error.value)
