"""What a row says about its planned write (`writes/judging.py`, `writes/verdicts.py`)."""

from __future__ import annotations

from typing import Any

import pytest

from airflow_provider_dotypos.writes.judging import judge, judge_created
from airflow_provider_dotypos.writes.plan import PlannedRow
from airflow_provider_dotypos.writes.verdicts import Verdict
from tests.writes.planned import PRODUCTS, create_of, update_of

CLOUD = 310_101_001
BEFORE = {"priceWithVat": "45", "name": "Tea"}
AFTER = {"priceWithVat": "48", "name": "Green tea"}

CHANGED = "somebody changed it since the plan was made"


@pytest.mark.parametrize(
    ("now", "verdict"),
    [
        (None, Verdict("conflict", "there is no such row any more")),
        ({**BEFORE, "_cloudId": "320202002"}, Verdict("conflict", "it is a row of another cloud", ("_cloudId",))),
        ({**AFTER, "deleted": True}, Verdict("conflict", "it was deleted", ("deleted",))),
        ({**AFTER, "deleted": None, "_cloudId": str(CLOUD)}, Verdict("already")),
        ({"priceWithVat": 48.0, "name": "Green tea"}, Verdict("already")),
        (BEFORE, None),
        ({**BEFORE, "priceWithVat": "48"}, None),
        ({**BEFORE, "priceWithVat": "47"}, Verdict("conflict", CHANGED, ("priceWithVat",))),
        ({"priceWithVat": None, "name": "Coffee"}, Verdict("conflict", CHANGED, ("priceWithVat", "name"))),
        ({**BEFORE, "notes": ["hot"]}, None),
        ({}, Verdict("conflict", CHANGED, ("priceWithVat", "name"))),
    ],
    ids=[
        *("gone", "other cloud", "deleted", "as planned", "in numbers", "as before", "half done"),
        *("edited", "all edited", "another field edited", "without the fields"),
    ],
)
def test_an_update_is_judged_by_its_own_fields(now: dict[str, Any] | None, verdict: Verdict | None) -> None:
    assert judge(PRODUCTS, update_of(5, BEFORE, AFTER), now, CLOUD) == verdict


@pytest.mark.parametrize(
    ("now", "verdict"),
    [
        ({"externalId": "A", "vat": 1.21}, None),
        ({"externalId": "B", "vat": "1.21"}, Verdict("conflict", CHANGED, ("externalId",))),
        ({"externalId": "A", "vat": "1.12"}, Verdict("conflict", CHANGED, ("vat",))),
        ({"externalId": "B", "vat": "1.12", **AFTER}, Verdict("already")),
    ],
    ids=["as before", "another key", "another rate", "as planned"],
)
def test_what_a_plan_has_seen_must_be_as_it_was(now: dict[str, Any], verdict: Verdict | None) -> None:
    """Another product may have got the key since then."""
    planned = update_of(5, {**BEFORE, "externalId": "A", "vat": "1.21"}, AFTER)
    assert judge(PRODUCTS, planned, BEFORE | now, CLOUD) == verdict


@pytest.mark.parametrize(
    ("now", "verdict"),
    [
        (None, Verdict("already")),
        ({**BEFORE, "deleted": True}, Verdict("already")),
        ({**BEFORE, "_cloudId": "5"}, Verdict("conflict", "it is a row of another cloud", ("_cloudId",))),
        (BEFORE, None),
        ({**BEFORE, "name": "Coffee"}, Verdict("conflict", CHANGED, ("name",))),
    ],
    ids=["gone", "deleted", "other cloud", "as before", "edited"],
)
def test_a_delete_is_of_what_its_source_has_seen(now: dict[str, Any] | None, verdict: Verdict | None) -> None:
    planned = PlannedRow("delete", ("5",), 1, id="5", before=BEFORE)
    assert judge(PRODUCTS, planned, now, CLOUD) == verdict


@pytest.mark.parametrize(
    ("now", "status", "fields"),
    [
        (AFTER, "already", ()),
        ({**AFTER, "deleted": True}, "conflict", ("deleted",)),
        ({**AFTER, "_cloudId": "5"}, "conflict", ("_cloudId",)),
        ({**AFTER, "name": "Coffee"}, "conflict", ("name",)),
    ],
    ids=["as planned", "deleted since", "other cloud", "other values"],
)
def test_a_created_row_is_never_written_again(now: dict[str, Any], status: str, fields: tuple[str, ...]) -> None:
    verdict = judge_created(PRODUCTS, create_of(5, AFTER), now, CLOUD)
    assert (verdict.status, verdict.fields) == (status, fields)
