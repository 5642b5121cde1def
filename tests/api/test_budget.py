"""A budget of requests: how it is written."""

from __future__ import annotations

import pytest

from airflow_provider_dotypos.api.budget import Budget, read_budget
from airflow_provider_dotypos.exceptions import DotyposConfigurationError


@pytest.mark.parametrize("text", ["150/30min", "150/90s", "5000/1h", "100000/24h", "30/30min each"])
def test_a_budget_is_shown_as_it_is_written(text: str) -> None:
    assert str(read_budget(text)) == text


@pytest.mark.parametrize(("text", "cure"), [("150", "like 150/30min"), ("9/h", "10 to 100000 requests in 1 s to 24h")])
def test_a_budget_that_is_none_says_how_it_is_written(text: str, cure: str) -> None:
    with pytest.raises(DotyposConfigurationError, match=cure):
        read_budget(text)


def test_an_hour_may_be_written_in_any_unit() -> None:
    assert read_budget("150/h") == read_budget("150/60 min") == read_budget("150/3600s") == Budget(150, 3600)
