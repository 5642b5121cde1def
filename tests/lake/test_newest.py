"""Tests `lake/newest`, `formats/chosen` and `formats/part_versions`."""

from __future__ import annotations

from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from airflow_provider_dotypos.lake.newest import Bounds, Newest, newest_rows
from airflow_provider_dotypos.transfers.files.committed_set import set_table
from tests.lake.lakes import SET_LISTS, commit_set, naive, passing_destination

CHILD = "product-customizations"

EXAMPLES = 25


def read(newest: Newest, table: str) -> list[tuple[str, ...]]:
    """Return what tells the newest rows of a table apart, read by their bits."""
    texts = []
    for found in newest.sets:
        contents = found.manifest.contents
        for file in contents.parts if table == "products" else contents.children(table):
            chosen = newest.chosen(found, file.name)
            rows = list(set_table(found.store, found.manifest, table, [file]).rows())
            assert len(rows) == chosen.rows == len(list(chosen))
            wanted = [row for row, wins in zip(rows, chosen, strict=True) if wins]
            assert len(wanted) == chosen.count
            texts += [(row["id"], row["name"]) for row in wanted]
    return sorted(texts)


@settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(SET_LISTS, st.sampled_from([Bounds(), Bounds(3), Bounds(None, 7), Bounds(2, 9)]), st.booleans(), st.randoms())
def test_the_newest_versions_are_those_of_a_dict(
    some: list[dict[str, Any]], bounds: Bounds, hide_deleted: bool, chance: Any
):
    with passing_destination() as place:
        found = [commit_set(place, include="customizations", flatten=True, **one) for one in some]
        chance.shuffle(found)
        newest = newest_rows(found, bounds=bounds, hide_deleted=hide_deleted)
        rows, children = naive(some, bounds, hide_deleted)
        assert read(newest, "products") == sorted((row["id"], row["name"]) for row in rows)
        assert read(newest, CHILD) == sorted((row["id"], row["name"]) for row in children)
