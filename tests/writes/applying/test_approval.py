"""Who may say that a plan is approved: a person, by *Approve*, after the plan was made."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from typing import Any

import pytest

from airflow_provider_dotypos.exceptions import DotyposApprovalError, DotyposInputError
from airflow_provider_dotypos.writes.applying.approval import Approval, check_approval, check_mapped

MADE_AT = "2026-11-27T03:00:00.000Z"
ANSWERED = datetime(2026, 11, 27, 7, 30, tzinfo=timezone.utc)
APPROVED = {
    "chosen_options": ["Approve"],
    "params_input": {},
    "responded_at": ANSWERED,
    "responded_by_user": {"id": "7", "name": "jana"},
}


def test_the_answer_of_a_person_approves() -> None:
    assert check_approval(APPROVED, MADE_AT) == Approval("jana", "2026-11-27T07:30:00+00:00")


@pytest.mark.parametrize(
    "time",
    [
        "datetime.datetime(2026, 11, 27, 7, 30, tzinfo=Timezone('UTC'))",  # Airflow 3.3
        "DateTime(2026, 11, 27, 7, 30, 0, 0, tzinfo=Timezone('UTC'))",  # Airflow 3.1
        "datetime.datetime(2026, 11, 27, 7, 30, tzinfo=datetime.timezone.utc)",
        "'2026-11-27T07:30:00Z'",
    ],
)
def test_the_text_that_a_template_makes_of_it_does_as_well(time: str) -> None:
    text = str(APPROVED | {"responded_at": 0}).replace("'responded_at': 0", f"'responded_at': {time}")
    assert check_approval(text, MADE_AT).by == "jana"


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (None, "rejected it, or no task of that id has run"),
        ("None", "rejected it, or no task of that id has run"),
        ("", "rejected it, or no task of that id has run"),
        (True, "must be an answer to a question, not bool 'True'"),
        ("Approve", "must be an answer to a question, not str 'Approve'"),
        (["Approve"], "must be an answer to a question, not a value of type list"),
        ([APPROVED], "must be an answer to a question, not a value of type list"),  # about one of many plans
        ("__import__('os').abort()", "must be an answer to a question"),
        ("{'chosen_options': __import__('os').abort()}", "must be an answer to a question"),
        ("{" * 10_000, "must be an answer to a question"),
        (APPROVED | {"chosen_options": ["Reject"]}, "jana chose something else than Approve"),
        (APPROVED | {"chosen_options": []}, "chose something else"),
        (APPROVED | {"chosen_options": ["Approve", "Reject"]}, "chose something else"),
        (APPROVED | {"responded_by_user": None}, "nobody answered in time"),
        (APPROVED | {"responded_by_user": {}}, "nobody answered in time"),
        (APPROVED | {"responded_by_user": {"id": None, "name": ""}}, "nobody answered in time"),
        (f"{{'chosen_options': ['Approve'], 'responded_at': f({10**30}, 1, 1, tz='utc')}}", "must be an answer"),
        (APPROVED | {"responded_at": ANSWERED - timedelta(days=1)}, "about an earlier plan"),
    ],
)
def test_nothing_else_approves(answer: Any, reason: str) -> None:
    with pytest.raises(DotyposApprovalError, match=reason) as caught:
        check_approval(answer, MADE_AT)
    assert caught.value.permanent


@pytest.mark.parametrize("time", [None, "yesterday", "2026-11-27T07:30:00"])
def test_an_answer_without_a_time_doesnt_approve(time: Any) -> None:
    with pytest.raises(DotyposInputError, match="responded_at of approval"):
        check_approval(APPROVED | {"responded_at": time}, MADE_AT)


def test_a_time_of_another_zone_isnt_taken_for_utc() -> None:
    text = "{'chosen_options': ['Approve'], 'responded_by_user': {'name': 'j'}, 'responded_at': DateTime(2026, 1, 1)}"
    with pytest.raises(DotyposApprovalError):
        check_approval(text, MADE_AT)


def test_a_mapped_task_takes_no_answer_about_another_plan() -> None:
    pulled, named = "{{ ti.xcom_pull('approve') }}", "{{ ti.xcom_pull('approve', map_indexes=ti.map_index) }}"
    with pytest.raises(DotyposApprovalError, match="answers about all plans"):
        check_mapped(pulled, 0)
    check_mapped(pulled, -1)
    check_mapped(named, 0)
    check_mapped(APPROVED, 0)
