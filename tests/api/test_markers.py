"""What a walk concludes from null deletion markers, and what is done with it, without a server (`markers`)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import pytest

from airflow_provider_dotypos.api.entities import Entity, find_entity
from airflow_provider_dotypos.api.errors import DotyposConnectionError
from airflow_provider_dotypos.api.markers import Division, Finding, Findings
from airflow_provider_dotypos.api.window import Window

TAXES = find_entity("taxes")
KEY = "dotypos/7/taxes/null-markers"


class Store(dict[str, Any]):
    """What Airflow's state store does."""

    def set(self, key: str, value: Any) -> None:
        self[key] = value


def kept(finding: Finding | None = None) -> Division:
    division = Division(findings=Findings(7))
    division.findings.store = Store({} if finding is None else {KEY: finding})
    return division


def shows(*markers: bool | None) -> Callable[[Entity, str], Sequence[bool | None]]:
    return lambda entity, id: markers


def fails(entity: Entity, id: str) -> Sequence[bool | None]:
    raise DotyposConnectionError("the network is gone")


@pytest.mark.parametrize(
    ("known", "unmarked", "whole", "filtered", "finding"),
    [
        (None, None, True, fails, "no_null"),
        (None, None, False, fails, None),  # the rows of a window say nothing of the others
        (None, "1", True, shows(None), "shows_null"),
        (None, "1", False, shows(None), "shows_null"),
        (None, "1", False, shows(), "hides_null"),
        (None, "1", True, shows(False), None),  # its marker was set in between
        (None, "1", True, fails, None),  # all rows are read; this can't undo that
        ("no_null", "1", True, shows(), "hides_null"),
        ("no_null", "1", True, fails, "no_null"),
        ("shows_null", "1", True, shows(), "hides_null"),
        ("shows_null", None, True, fails, "shows_null"),
        ("hides_null", "1", True, shows(None), "shows_null"),
        ("hides_null", "1", False, fails, "hides_null"),  # known: a window doesn't try again
        ("hides_null", None, True, fails, "hides_null"),  # nulls were there, and may be again
    ],
)
def test_what_a_walk_by_two_filters_shows(
    known: Finding | None, unmarked: str | None, whole: bool, filtered: Any, finding: Finding | None
) -> None:
    division = kept(known)
    division.learn(TAXES, unmarked, whole=whole, filtered=filtered)
    assert (division.findings.store or {}).get(KEY) == finding  # type: ignore[union-attr]
    assert division.findings.get("taxes") == finding


@pytest.mark.parametrize("name", ["products", "warehouse-products", "orders", "tables"])
def test_where_the_question_is_settled_or_does_not_arise_nothing_is_asked(name: str) -> None:
    division = kept()
    division.learn(find_entity(name), "1", whole=True, filtered=fails)
    assert not division.findings.store


@pytest.mark.parametrize(
    ("known", "usual", "one"),
    [
        (None, None, False),
        ("no_null", None, True),
        ("shows_null", "hides_null", True),
        ("hides_null", "shows_null", False),
        (None, "shows_null", True),
        (None, "hides_null", False),
    ],
)
def test_one_filter_is_used_where_it_is_known_to_be_safe(known: Finding | None, usual: str | None, one: bool) -> None:
    assert kept(known).is_one(TAXES, Window(1, 2), usual) is one
    assert not kept(known).is_one(TAXES, Window(None, 2), usual)
    assert not kept(known).is_one(find_entity("products"), Window(1, 2), usual)
