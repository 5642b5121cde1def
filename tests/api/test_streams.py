"""The names and filters of streams: a part that an attempt has left is kept by its stream's name (`streams`)."""

from __future__ import annotations

import pytest

from airflow_provider_dotypos.api.entities import find_entity
from airflow_provider_dotypos.api.query import Triple
from airflow_provider_dotypos.api.streams import streams
from airflow_provider_dotypos.api.window import Window

DELETED = (("deleted", "eq", "1"),)
UNDATED = (("versionDate", "eq", "null"),)
NO_STOCK = (("stockStatusVersiondate", "eq", "null"),)
LATER_STOCK = (("stockStatusVersiondate", "gteq", "20"),)

#: Of each stream: its rows, the cursor, and the cursors under which others deliver them. Attempts of the version that
#: had no stream ``both`` have left parts by all of these names but those that end with the second cursor's.
NAMED: dict[str, tuple[tuple[Triple, ...], str | None, tuple[str, ...]]] = {
    "live": ((), "stockStatusVersiondate", ()),
    "deleted": (DELETED, "stockStatusVersiondate", ()),
    "live-versionDate": ((), "versionDate", ("stockStatusVersiondate",)),
    "deleted-versionDate": (DELETED, "versionDate", ("stockStatusVersiondate",)),
    "live-versionDate-0": (LATER_STOCK, "versionDate", ()),
    "live-versionDate-1": (NO_STOCK, "versionDate", ()),
    "deleted-versionDate-0": (DELETED + LATER_STOCK, "versionDate", ()),
    "deleted-versionDate-1": (DELETED + NO_STOCK, "versionDate", ()),
    "live-null": (NO_STOCK + UNDATED, None, ()),
    "deleted-null": (DELETED + NO_STOCK + UNDATED, None, ()),
}


@pytest.mark.parametrize("since", [None, 10])
def test_a_name_stands_for_the_same_rows_as_ever(since: int | None) -> None:
    window = Window(since, 20)
    made = {
        stream.name: (stream.conditions, stream.cursor, stream.earlier)
        for stream in streams(find_entity("warehouse-products"), window)
    }
    by_edges = since is None  # where the second cursor's rows are told apart by filters
    assert made == {
        name: stream
        for name, stream in NAMED.items()
        if name.endswith(("live", "deleted", "-null")) or name[-1].isdigit() == by_edges
    }


@pytest.mark.parametrize(
    ("name", "conditions", "one_filter", "names"),
    [
        ("taxes", (), False, ["live", "live-null", "deleted", "deleted-null"]),
        ("taxes", (), True, ["both", "both-null"]),
        ("taxes", (("deleted", "in", "0,1"),), True, ["rows", "rows-null"]),
        ("orders", (), True, ["rows"]),
        ("portions", (), True, ["rows"]),
    ],
)
def test_live_and_deleted_rows_are_one_stream_or_two(
    name: str, conditions: tuple[Triple, ...], one_filter: bool, names: list[str]
) -> None:
    assert [stream.name for stream in streams(find_entity(name), Window(1, 2), conditions, one_filter)] == names
