"""How a plan is applied (`writes/applying/options.py`)."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from airflow_provider_dotypos.exceptions import DotyposInputError
from airflow_provider_dotypos.writes.applying.options import ApplyOptions


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"method": "get"}, "method must be auto or patch or put, not str 'get'"),
        ({"method": None}, "method must be"),
        ({"create": "auto"}, "create must be put or post"),
        ({"fail_on": "some"}, "fail_on must be any, none or a share"),
        ({"fail_on": 5}, "fail_on must be"),
        ({"fail_on": True}, "fail_on must be"),
        ({"settle": -1}, "settle must be"),
        ({"settle": "60"}, "settle must be"),
        ({"max_age": 24}, "max_age must be a timedelta above 0"),
        ({"max_age": timedelta(0)}, "max_age must be a timedelta above 0"),
    ],
    ids=str,
)
def test_what_cannot_be_meant_is_refused(arguments: Any, message: str) -> None:
    with pytest.raises(DotyposInputError, match=message):
        ApplyOptions(**arguments)


@pytest.mark.parametrize(
    ("fail_on", "counts", "tolerated"),
    [
        ("any", {"applied": 9, "already": 1}, True),
        ("any", {}, True),
        *(("any", {"applied": 9, status: 1}, False) for status in ("conflict", "rejected", "uncertain", "not tried")),
        ("none", {"rejected": 9}, True),
        (0.1, {"applied": 9, "conflict": 1}, True),
        (0.1, {"applied": 8, "conflict": 2}, False),
        (0, {"applied": 9, "conflict": 1}, False),
    ],
)
def test_which_outcome_lets_a_task_succeed(fail_on: Any, counts: dict[str, int], tolerated: bool) -> None:
    assert ApplyOptions(fail_on=fail_on).tolerates(counts) is tolerated
